import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import networks, trees
from pruning.graphs import layer_graph, reachability

MLP = networks.mlp((6, 8, 7, 3), jnp.tanh)
RELU_MLP = networks.mlp((6, 8, 7, 3))
LENET = networks.lenet_5_caffe((16, 16, 1), 4)


def sparse(network, seed: int, share: float):
    """Random parameters, biases included, of which about `share` remain."""
    key_params, key_bias, key_mask = jax.random.split(jax.random.key(seed), 3)
    params = network.init(key_params)
    vector = trees.as_vector(params)
    vector = vector + 0.1 * jax.random.normal(key_bias, vector.shape)
    kept = jax.random.uniform(key_mask, vector.shape) < share
    return trees.from_vector(jnp.where(kept, vector, 0.0), params)


def same(left, right) -> bool:
    return all((a == b).all() for a, b in zip(*map(jax.tree.leaves, (left, right)), strict=True))


N_CASES = 64


def many(network):
    """Parameters of many networks, from nearly empty to half full, with a leading axis."""
    shares = jnp.linspace(0.03, 0.6, N_CASES)
    return jax.vmap(lambda seed, share: sparse(network, seed, share))(jnp.arange(N_CASES), shares)


def count(params) -> jax.Array:
    return jax.vmap(trees.nonzeros)(params)


@pytest.mark.slow
def test_random_gradient_test_and_graph_agree():
    """For tanh, whose slope is nowhere zero, the two tests must name the same weights."""
    shape = jax.ShapeDtypeStruct((20, 6), jnp.float32)

    def both(seed, params):
        key = jax.random.key(seed)
        by_gradient = reachability.random_gradient(key, MLP.apply, params, shape)
        return jax.tree.map(lambda p: p != 0, by_gradient), reachability.reachable(params)

    params = many(MLP)
    by_gradient, by_graph = jax.jit(jax.vmap(both))(jnp.arange(N_CASES), params)
    assert same(by_gradient, by_graph)
    assert (count(by_graph) < count(params)).sum() > N_CASES // 4


@pytest.mark.parametrize(
    ("network", "activation"), [(MLP, jnp.tanh), (RELU_MLP, jax.nn.relu)], ids=["tanh", "relu"]
)
@pytest.mark.slow
def test_removal_keeps_the_function_and_never_adds(network, activation):
    x = jax.random.normal(jax.random.key(1), (9, 6))

    def remove(params):
        return reachability.remove_unreachable(params, activation=activation)

    def checked(params):
        smaller = remove(params)
        outputs = network.apply(smaller, x), network.apply(params, x)
        return smaller, remove(smaller), reachability.reachable(smaller), outputs

    params = many(network)
    smaller, again, reachable, outputs = jax.jit(jax.vmap(checked))(params)
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)
    assert (count(smaller) <= count(params)).all()
    assert (count(smaller) < count(params)).sum() > N_CASES // 4
    assert same(again, smaller)
    # The stricter graph keeps nothing that lies on no path.
    assert same(jax.tree.map(lambda p: p != 0, smaller), reachable)


def test_by_hand():
    """A unit fed by nothing becomes a bias, a unit that feeds nothing goes."""
    params = {
        "dense1": {
            "kernel": jnp.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]),
            "bias": jnp.array([0.5, 0.7, 0.0]),
        },
        "output": {"kernel": jnp.array([[1.0], [10.0], [0.0]]), "bias": jnp.array([0.1])},
    }
    smaller = reachability.remove_unreachable(params)
    assert smaller["dense1"]["kernel"].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert smaller["dense1"]["bias"].tolist() == [0.5, 0, 0]
    assert smaller["output"]["kernel"].tolist() == [[1], [0], [0]]
    np.testing.assert_allclose(smaller["output"]["bias"], [7.1])


@pytest.mark.slow
def test_inputs_that_are_always_zero():
    params = sparse(RELU_MLP, 3, 0.5)
    live = jnp.array([True, False, True, False, True, True])
    smaller = reachability.remove_unreachable(params, live_inputs=live)
    assert not jnp.any(smaller["dense1"]["kernel"][~live])
    x = jnp.where(live[None], jax.random.normal(jax.random.key(0), (9, 6)), 0.0)
    np.testing.assert_allclose(
        RELU_MLP.apply(smaller, x), RELU_MLP.apply(params, x), rtol=1e-5, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("padded", [False, True])
def test_convolutions(padded):
    """A channel without taps but with a bias folds through pooling and flattening."""
    side = 12 if padded else 16
    network = networks.lenet_5_caffe((side, side, 1), 4)
    params = sparse(network, 5, 0.02)
    conv1 = params["conv1"]
    closed = jnp.arange(20) < 8
    conv1["kernel"] = jnp.where(closed[None, None, None], 0.0, conv1["kernel"])
    conv1["bias"] = jnp.where(closed, 0.3, conv1["bias"])
    conv2 = params["conv2"]
    dead = jnp.arange(50) < 20
    conv2["kernel"] = jnp.where(dead[None, None, None], 0.0, conv2["kernel"])
    conv2["bias"] = jnp.where(dead, 0.2, conv2["bias"])
    x = jax.random.uniform(jax.random.key(0), (3, side, side, 1))
    smaller = jax.jit(functools.partial(reachability.remove_unreachable, zero_padding=padded))(
        params
    )
    np.testing.assert_allclose(
        network.apply(smaller, x), network.apply(params, x), rtol=1e-4, atol=1e-4
    )
    assert trees.nonzeros(smaller) < trees.nonzeros(params)
    assert not jnp.any(smaller["conv2"]["bias"][dead])
    if not padded:
        assert not jnp.any(smaller["conv1"]["bias"][closed])


@pytest.mark.slow
def test_random_gradient_on_convolutions_finds_only_unreachable_weights():
    params = sparse(LENET, 2, 0.01)
    shape = jax.ShapeDtypeStruct((16, 16, 16, 1), jnp.float32)
    kept = reachability.random_gradient(jax.random.key(0), LENET.apply, params, shape)
    reachable = reachability.reachable(params)
    outside = jax.tree.map(lambda k, r: jnp.any((k != 0) & ~r), kept, reachable)
    assert not any(map(bool, jax.tree.leaves(outside)))


@pytest.mark.slow
def test_it_is_traceable_and_maps_over_runs():
    runs = [sparse(RELU_MLP, seed, 0.2) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    together = jax.jit(jax.vmap(reachability.remove_unreachable))(stacked)
    for number, params in enumerate(runs):
        alone = reachability.remove_unreachable(params)
        picked = jax.tree.map(lambda leaf, number=number: leaf[number], together)
        for a, b in zip(jax.tree.leaves(picked), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_links_in_order():
    layers = {f"conv{i}": (3, 3, 4, 4) for i in (10, 2, 1)} | {"dense1": (64, 5), "output": (5, 2)}
    params = {
        name: {"kernel": jnp.zeros(shape), "bias": jnp.zeros(shape[-1])}
        for name, shape in layers.items()
    }
    links = layer_graph.links(params)
    assert [link.name for link in links] == ["conv1", "conv2", "conv10", "dense1", "output"]
    assert [link.copies for link in links] == [1, 1, 1, 16, 1]


@pytest.mark.parametrize(
    ("params", "value"),
    [
        ({}, "dict"),
        ({"norm1": {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}}, "'norm1'"),
        ({"output": {"kernel": jnp.zeros((2, 2))}}, "kernel"),
        ({"output": {"kernel": jnp.zeros(2), "bias": jnp.zeros(2)}}, "rank 1"),
        (
            {
                "dense1": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)},
                "output": {"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)},
            },
            "reads 4 units, dense1 makes 3",
        ),
    ],
)
def test_what_is_no_chain_is_named(params, value):
    with pytest.raises(ValueError, match=value):
        layer_graph.links(params)


@pytest.mark.slow
def test_images_that_are_not_square():
    """20 x 12 pads on account of its lesser side; a constant channel is not constant there."""
    shape = (20, 12, 1)
    network = networks.lenet_5_caffe(shape, 4)
    params = sparse(network, 5, 0.02)
    conv1 = params["conv1"]
    closed = jnp.arange(20) < 8
    conv1["kernel"] = jnp.where(closed[None, None, None], 0.0, conv1["kernel"])
    conv1["bias"] = jnp.where(closed, 0.3, conv1["bias"])
    x = jax.random.uniform(jax.random.key(0), (3, *shape))
    padded = networks.pads_with_zeros(shape)
    assert padded
    smaller = reachability.remove_unreachable(params, zero_padding=padded)
    expected = network.apply(params, x)
    np.testing.assert_allclose(network.apply(smaller, x), expected, rtol=1e-4, atol=1e-4)
    wrong = reachability.remove_unreachable(params, zero_padding=False)
    assert jnp.abs(network.apply(wrong, x) - expected).max() > 1e-3
