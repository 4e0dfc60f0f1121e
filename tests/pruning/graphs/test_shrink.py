import jax
import numpy as np
import pytest

from pruning.graphs import reachability, shrink
from tests.pruning.graphs.test_reachability import LENET, RELU_MLP, same, sparse


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("network", "share"),
    [(RELU_MLP, 0.15), pytest.param(LENET, 0.02, marks=pytest.mark.slow)],
)
def test_there_and_back_changes_nothing(network, share, seed):
    params = reachability.remove_unreachable(sparse(network, seed, share))
    units = shrink.live(params)
    small = shrink.shrunk(params, units)
    assert same(shrink.restored(small, units, params), params)


@pytest.mark.slow
def test_the_small_network_computes_the_same():
    params = reachability.remove_unreachable(sparse(RELU_MLP, 3, 0.15))
    units = shrink.live(params)
    assert sum(units.widths()) < sum((6, 8, 7, 3))
    from fewbits.training import networks

    x = jax.random.normal(jax.random.key(1), (50, 6))
    small = networks.mlp(units.widths())
    found = small.apply(shrink.shrunk(params, units), x[:, units.inputs])
    np.testing.assert_allclose(found, RELU_MLP.apply(params, x), atol=1e-5)


def test_no_layer_vanishes_and_outputs_stay():
    empty = jax.tree.map(np.zeros_like, RELU_MLP.init(jax.random.key(0)))
    units = shrink.live(empty)
    assert units.widths() == (1, 1, 1, 3)
    assert same(shrink.restored(shrink.shrunk(empty, units), units, empty), empty)
