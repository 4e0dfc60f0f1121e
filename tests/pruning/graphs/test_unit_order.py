"""Hidden units in the order of the smallest file."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pruning
from fewbits.coding import params_to_bytes
from fewbits.training import networks


def pruned(network, density, seed=0):
    params = network.init(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda w: np.asarray(w) * (rng.random(w.shape) < density), params)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (networks.mlp((36, 30, 20, 4)), (5, 36)),
        pytest.param(
            networks.lenet_5_caffe((16, 16, 1), 10), (2, 16, 16, 1), marks=pytest.mark.slow
        ),
    ],
)
def test_the_function_stays(network, shape):
    params = pruned(network, 0.2)
    x = jax.random.uniform(jax.random.key(1), shape)
    sorted_params = pruning.sort_units(params)
    assert jax.tree.map(np.shape, sorted_params) == jax.tree.map(np.shape, params)
    np.testing.assert_allclose(
        network.apply(sorted_params, x), network.apply(params, x), rtol=1e-4, atol=1e-5
    )
    again = pruning.sort_units(sorted_params)
    jax.tree.map(np.testing.assert_array_equal, again, sorted_params)


def test_a_shuffled_network_is_sorted_alike_and_its_file_is_smaller():
    # With so many inputs no two columns are alike, whose biases would come in any order.
    params = pruned(networks.mlp((60, 120, 3)), 0.15)
    order = np.random.default_rng(1).permutation(120)
    first, last = params["dense1"], params["output"]
    shuffled = {
        "dense1": {"kernel": first["kernel"][:, order], "bias": first["bias"][order]},
        "output": {"kernel": last["kernel"][order], "bias": last["bias"]},
    }
    one, other = pruning.sort_units(params), pruning.sort_units(shuffled)
    jax.tree.map(np.testing.assert_array_equal, one, other)
    # log2(120!) is 660 bits, 82 bytes; a part of it is paid for learning the order.
    assert len(params_to_bytes(one, bits=4)) < len(params_to_bytes(shuffled, bits=4)) - 40


def test_a_dense_network_stays_as_it_is():
    params = pruned(networks.mlp((6, 5, 3)), 2.0)
    jax.tree.map(np.testing.assert_array_equal, pruning.sort_units(params), params)


@pytest.mark.slow
def test_prune_writes_sorted_units():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 12)).astype(np.float32)
    data = x, (x[:, 0] * x[:, 1] > 0).astype(np.int32)
    network = networks.mlp((12, 16, 2))

    def apply(params, inputs):
        return network.apply(params, inputs)

    files = {}
    for sort in (False, True):
        files[sort] = pruning.prune(
            apply, network.init(jax.random.key(0)), data, data, steps=200, strengths=(2e-3,),
            bits=(5,), tuned_bits=None, baseline=False, max_loss=50, sort_units=sort,
        )  # fmt: skip
    before, after = files[False].params, files[True].params
    np.testing.assert_allclose(
        network.apply(after, jnp.asarray(x)), network.apply(before, jnp.asarray(x)), atol=1e-4
    )
    expected = pruning.sort_units(jax.tree.map(np.asarray, before))
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.asarray, after), expected)
    assert len(files[True].file) <= len(files[False].file)
