"""Dead weights of any graph: the function stays, and an independent test finds nothing more."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pruning
from pruning.graphs import dataflow


class Convolutional(nn.Module):
    """BatchNorm, GroupNorm, residual branch, both pools."""

    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=True)(nn.Conv(6, (3, 3))(x))
        x = nn.max_pool(nn.relu(x), (2, 2), (2, 2))
        x = x + nn.gelu(nn.GroupNorm(num_groups=2)(nn.Conv(6, (3, 3))(x)))
        return nn.Dense(3)(nn.avg_pool(x, (2, 2), (2, 2)).reshape(len(x), -1))


class Attentive(nn.Module):
    """Embedding, LayerNorm, attention, a gated layer."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(11, 8)(tokens) + nn.Embed(5, 8)(jnp.arange(5))[None]
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(nn.LayerNorm()(x))
        h = nn.LayerNorm()(x)
        x = x + nn.Dense(8)(nn.silu(nn.Dense(12)(h)) * nn.Dense(12)(h))
        return nn.Dense(4)(x.mean(axis=1))


class Recurrent(nn.Module):
    """A scan, which has no rule of its own."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.RNN(nn.GRUCell(6))(x)[:, -1])


def thinned(variables: Any, share: float, seed: int) -> Any:
    """Parameters of which about a share is left, biases and scales included."""
    flat, structure = jax.tree.flatten(variables["params"])
    rng = np.random.default_rng(seed)
    return structure.unflatten(
        [
            (leaf + 0.1 * rng.normal(size=leaf.shape)) * (rng.uniform(size=leaf.shape) < share)
            for leaf in flat
        ]
    )


def count(tree: Any) -> int:
    return sum(int((np.asarray(leaf) != 0).sum()) for leaf in jax.tree.leaves(tree))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "x", "fewer"),
    [
        (Convolutional(), np.random.default_rng(0).normal(size=(8, 8, 8, 1)), True),
        (Attentive(), np.random.default_rng(0).integers(0, 11, (8, 5)), True),
        (Recurrent(), np.random.default_rng(0).normal(size=(8, 4, 3)), False),
    ],
    ids=["convolutional", "attentive", "recurrent"],
)
@pytest.mark.parametrize("share", [0.3, 0.08])
def test_outputs_stay_exactly(model, x, fewer, share):
    x = jnp.asarray(x, jnp.float32 if x.dtype.kind == "f" else jnp.int32)
    variables = model.init(jax.random.key(0), x)
    rest = {name: part for name, part in variables.items() if name != "params"}
    params = thinned(variables, share, 1)

    def apply(params, x):
        return model.apply({"params": params, **rest}, x)

    smaller = jax.jit(lambda p: pruning.remove_unreachable(p, apply, x[:1]))(params)
    np.testing.assert_array_equal(apply(smaller, x), apply(params, x))
    assert count(smaller) <= count(params)
    if fewer:
        assert count(smaller) < count(params)
    again = pruning.remove_unreachable(smaller, apply, x[:1])
    assert count(again) == count(smaller)


def test_what_is_left_has_a_gradient_and_what_went_has_none():
    """For tanh, whose slope is nowhere zero, random gradients name the same weights."""

    def apply(params, x):
        h = jnp.tanh(x @ params["a"] + params["c"][None])
        h = h + jnp.tanh(h @ params["b"])
        return h @ params["d"]

    rng = np.random.default_rng(3)
    shapes = {"a": (5, 7), "b": (7, 7), "c": (7,), "d": (7, 2)}
    for seed, share in enumerate((0.5, 0.25, 0.1)):
        params = {
            name: jnp.asarray(rng.normal(size=s) * (rng.uniform(size=s) < share), jnp.float32)
            for name, s in shapes.items()
        }
        found = dataflow.useful(apply, params, jax.ShapeDtypeStruct((1, 5), jnp.float32))
        x = jnp.asarray(rng.normal(size=(40, 5)), jnp.float32)
        slope = jnp.asarray(rng.normal(size=(40, 2)), jnp.float32)
        gradient = jax.grad(lambda p, x=x, slope=slope: jnp.sum(apply(p, x) * slope))(params)
        for name in shapes:
            expected = (params[name] != 0) & (gradient[name] != 0)
            np.testing.assert_array_equal(found[name], expected, err_msg=f"{name} {seed}")


@pytest.mark.slow
def test_tokens_that_the_example_lacks_stay():
    """Embeddings of words that no example has are still part of the function."""

    def apply(params, tokens):
        return params["embedding"][tokens].sum(axis=1) @ params["out"]

    params = {"embedding": jnp.ones((9, 3)), "out": jnp.array([[1.0], [0.0], [2.0]])}
    smaller = pruning.remove_unreachable(params, apply, jnp.zeros((1, 4), jnp.int32))
    assert smaller["embedding"].sum(axis=0).tolist() == [9, 0, 9]


def test_a_mask_and_other_leaves_stay():
    params = {"w": jnp.array([[1.0, 0.0]]), "v": jnp.array([[0.0], [1.0]]), "n": jnp.array(3)}

    def apply(params, x):
        return x @ params["w"] @ params["v"] * params["n"]

    x = jnp.ones((1, 1))
    assert count(pruning.remove_unreachable(params, apply, x)["w"]) == 0
    kept = pruning.remove_unreachable(params, apply, x, mask={"w": False, "v": True, "n": True})
    assert kept["w"].tolist() == [[1, 0]]
    assert count(kept["v"]) == 0  # its factor is zero
    assert kept["n"] == 3
    with pytest.raises(ValueError, match="needs inputs"):
        pruning.remove_unreachable(params, apply)
