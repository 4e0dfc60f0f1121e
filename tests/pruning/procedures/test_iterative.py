"""Iterative pruning: fewer weights with every step, the same function in every shape."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pruning
from fewbits.io import datasets
from fewbits.training import evaluation, networks, trees
from pruning.graphs import reachability, shrink
from pruning.procedures import _iterative
from tests.pruning.graphs.test_reachability import sparse

SHAPE = (16, 16, 1)
NETWORKS = {
    "lenet300": lambda widths: networks.mlp(widths).apply,
    "lenet5": lambda widths: networks.lenet_5_caffe(SHAPE, widths[-1], widths[1:4]).apply,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_small_network_computes_what_the_whole_one_does(name):
    constructor = networks.lenet_300_100 if name == "lenet300" else networks.lenet_5_caffe
    network = constructor(SHAPE, 10)
    params = reachability.remove_unreachable(sparse(network, 0, 0.02))
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (20, *SHAPE), dtype=np.uint8))
    seen = []

    def train(apply, small):
        seen.append((trees.size(small), apply(small, images)))
        return {"params": small}

    found = _iterative.in_smallest_shape(train, params, NETWORKS[name])
    size, outputs = seen[0]
    assert size < trees.size(params) / 2
    assert size == trees.size(shrink.shrunk(params, shrink.live(params)))
    np.testing.assert_allclose(outputs, network.apply(params, images), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(
        network.apply(found["params"], images), outputs, atol=1e-4, rtol=1e-4
    )


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("method", "strengths"), [("drr", (3e-4, 1e-3)), ("magnitude", (0.4, 0.2))]
)
def test_every_step_removes_more_and_trains_less(method, strengths):
    train, held = datasets.split_validation(datasets.load("digits", "train"), 300)
    network = networks.mlp((64, 40, 20, 10))
    found = pruning.iterative(
        jax.random.key(0), network.init(jax.random.key(1)),
        (train.pixels, train.labels), (held.pixels, held.labels),
        network=NETWORKS["lenet300"], strengths=strengths, steps=400, fine_tune_steps=100,
        method=method,
    )  # fmt: skip
    first, second = found
    assert second.nonzeros < first.nonzeros < first.trained == 3630
    assert second.trained < first.trained or method == "magnitude"
    assert first.finite
    assert second.finite
    for step in found:
        assert trees.nonzeros(step.params) == step.nonzeros
        assert jax.tree.map(jnp.shape, step.params) == jax.tree.map(jnp.shape, first.params)
        data = (jnp.asarray(held.pixels), jnp.asarray(held.labels))
        nats = evaluation.mean_cross_entropy(network.apply, step.params, *data)
        assert float(nats) == pytest.approx(step.validation_loss_nats, rel=1e-3)
        assert evaluation.accuracy(network.apply, step.params, *data) > 0.8
    if method == "magnitude":
        assert second.nonzeros <= 0.21 * first.trained


def test_what_cannot_be_pruned_iteratively_is_refused():
    params = networks.mlp((4, 3, 2)).init(jax.random.key(0))
    data = (np.zeros((8, 4), np.float32), np.zeros(8, np.int32))
    prune = {"network": NETWORKS["lenet300"], "steps": 1}
    with pytest.raises(ValueError, match="no strengths"):
        pruning.iterative(jax.random.key(0), params, data, data, strengths=(), **prune)
    with pytest.raises(ValueError, match="steps has 2 numbers for 1 strengths"):
        pruning.iterative(
            jax.random.key(0), params, data, data, strengths=(1e-3,), **{**prune, "steps": (1, 2)}
        )
    with pytest.raises(ValueError, match="unknown method 'drrr'; known are drr, "):
        pruning.iterative(
            jax.random.key(0), params, data, data, strengths=(1e-3,), method="drrr", **prune
        )
    with pytest.raises(ValueError, match="layer"):
        pruning.iterative(
            jax.random.key(0), {"a": np.zeros(3)}, data, data, strengths=(1e-3,), **prune
        )
