"""Trees of parameters as users of PyTorch, flax and optax have them."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
from flax import linen, nnx
from flax.core import FrozenDict

NUMPY_DTYPES = (
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "float32", "float64", "complex64",
)  # fmt: skip
EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz")


def torch_like():
    """The state dict of Conv2d, BatchNorm2d and Linear, as PyTorch names and types it."""
    rng = np.random.default_rng(0)
    return {
        "0.weight": rng.normal(size=(4, 1, 3, 3)).astype(np.float32),
        "0.bias": rng.normal(size=4).astype(np.float32),
        "1.weight": np.ones(4, np.float32),
        "1.bias": np.zeros(4, np.float32),
        "1.running_mean": rng.normal(size=4).astype(np.float32),
        "1.running_var": rng.random(4).astype(np.float32),
        "1.num_batches_tracked": np.array(1234567890123, np.int64),
        "layer.0.weight": rng.normal(size=(2, 4)).astype(np.float16),
        "layer.10.weight": rng.normal(size=(2, 2)).astype(np.float64),
    }


def every_dtype():
    tree = {name: np.arange(6).reshape(2, 3).astype(name) for name in NUMPY_DTYPES}
    for name in EXTENDED:
        tree[name] = (2.0 ** np.arange(6)).reshape(2, 3).astype(getattr(ml_dtypes, name))
    return {**tree, "scalar": np.int64(3), "none": np.zeros((0, 3), np.float16)}


class Net(linen.Module):
    @linen.compact
    def __call__(self, x, train: bool = False):
        x = linen.BatchNorm(use_running_average=not train)(linen.Dense(3)(x))
        return linen.Dense(2)(x)


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(2, 3, rngs=rngs), nnx.Linear(3, 3, rngs=rngs)])
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)


class Pair(NamedTuple):
    kernel: jax.Array
    bias: jax.Array | None


@cache
def linen_variables():
    variables = Net().init(jax.random.key(0), jnp.ones((2, 4)))
    assert set(variables) == {"params", "batch_stats"}
    return variables


@cache
def nnx_state():
    return nnx.split(NnxNet(nnx.Rngs(0)))[1]


USERS_TREES = {
    "torch": torch_like,
    "linen": linen_variables,
    "frozen": lambda: FrozenDict(linen_variables()),
    "nnx": nnx_state,
    "optax": lambda: {
        "params": {"w": jnp.ones((2, 3), jnp.bfloat16)},
        "opt": optax.adam(1e-3).init({"w": jnp.ones((2, 3), jnp.bfloat16)}),
        "step": jnp.int32(7),
    },
    "lists": lambda: [Pair(jnp.ones((2, 3)), None), {"empty": {}, "items": (jnp.zeros(2),)}],
    "one array": lambda: np.arange(5, dtype=np.int16),
}


def matched(one, other):
    """The leaves of two trees, which have the same structure, dtypes and kinds, pair by pair."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert left.dtype == right.dtype
        assert isinstance(left, jax.Array) == isinstance(right, jax.Array)
        if jnp.issubdtype(left.dtype, jax.dtypes.prng_key):
            left, right = jax.random.key_data(left), jax.random.key_data(right)
        yield left, right


def assert_same(one, other):
    for left, right in matched(one, other):
        np.testing.assert_array_equal(left, right)
