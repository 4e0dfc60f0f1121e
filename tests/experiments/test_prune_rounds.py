"""Pruning in rounds: small networks are the whole ones, chains resume, lanes join."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.pruning import iterative, prune_lenet, prune_runs
from experiments.pruning.iterative import Chain, Round
from fewbits.training import networks, trees
from pruning import reachability, shrink
from tests.pruning.test_reachability import sparse

pytestmark = pytest.mark.slow

SHAPE = (16, 16, 1)
CONFIG = prune_lenet.Config(
    data="digits",
    training=prune_runs.Training(batch_size=100),
    seeds=(0, 1),
    validation_images=297,
)
CHAIN = Chain("drr", 1e-4, (Round(1.0, 20), Round(3.0, 20, 10)))


@pytest.mark.parametrize("name", ["lenet300", "lenet5"])
def test_the_small_network_computes_what_the_whole_one_does(name):
    network = prune_runs.NETWORKS[name][0](SHAPE, 10)
    params = reachability.remove_unreachable(sparse(network, 0, 0.02))
    units = shrink.live(params)
    small = iterative.small_network(name, units, SHAPE)
    start = shrink.shrunk(params, units)
    assert trees.size(start) < trees.size(params) / 2
    images = np.random.default_rng(0).integers(0, 256, (20, *SHAPE), dtype=np.uint8)
    np.testing.assert_allclose(
        small.apply(start, images), network.apply(params, images), atol=1e-4, rtol=1e-4
    )


def test_a_chain_goes_on_where_it_stopped_and_ends_the_same(tmp_path):
    parts = prune_lenet.load_parts(CONFIG, None)
    network = prune_lenet.network_for(CONFIG, parts)

    def train(chain, file):
        return iterative.train(
            chain, CONFIG.training, "lenet300", network, parts, 0, tmp_path / file,
            lambda done, total: None,
        )  # fmt: skip

    whole = train(CHAIN, "whole.npz")
    first = train(dataclasses.replace(CHAIN, rounds=CHAIN.rounds[:1]), "cut.npz")
    assert first.metrics["nonzeros"].shape == (1, 1)
    resumed = train(CHAIN, "cut.npz")
    for ours, theirs in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    first, second = whole.metrics["nonzeros"][:, 0]
    assert second < first
    assert whole.metrics["test_error"].max() < 0.3
    np.testing.assert_allclose(whole.points["strength"], [1e-4, 3e-4])
    picked = prune_runs.params_of(whole, 1, 0)
    assert trees.nonzeros(picked) == second
    images, labels = parts["test"].pixels, parts["test"].labels
    found = np.mean(np.argmax(network.apply(picked, images), axis=1) != labels)
    assert found == pytest.approx(whole.metrics["test_error"][1, 0], abs=2e-3)


def test_seeds_side_by_side_are_one_record(tmp_path):
    config = dataclasses.replace(CONFIG, chains=(Chain("magnitude", 0.1, (Round(1.0, 3),)),))
    parts = prune_lenet.load_parts(config, None)
    lanes, _ = prune_lenet.train_chain(config, config.chains[0], parts, tmp_path)
    assert lanes.seeds.tolist() == [0, 1]
    assert lanes.metrics["nonzeros"].shape == (1, 2)
    size = trees.size(networks.lenet_300_100((8, 8, 1), 10).init(jax.random.key(0)))
    assert (lanes.metrics["nonzeros"] <= np.ceil(0.1 * size)).all()


@pytest.mark.parametrize(
    ("settings", "said"), [({"method": "drrr"}, "drrr"), ({"rounds": ()}, "at least one round")]
)
def test_bad_chains_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Chain(**{"method": "drr", "strength": 1e-4, **settings})
