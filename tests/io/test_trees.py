"""Names of leaves, and a user's own tree around other leaves."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from flax.core import FrozenDict
from hypothesis import given
from hypothesis import strategies as st

from fewbits.io import trees


class Layer(NamedTuple):
    kernel: jax.Array
    bias: jax.Array | None


def names(tree):
    return [name for name, _ in trees.flatten(tree)[0]]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"a": {"b": 1.0}, "c": [2.0, None, (3.0,)]}, ["a/b", "c/0", "c/2/0"]),
        ({"layer.0.weight": 1.0}, ["layer.0.weight"]),
        ({0: {"k": 1.0}, 1: {"k": 2.0}}, ["0/k", "1/k"]),
        (FrozenDict({"params": {"Dense_0": {"kernel": 1.0}}}), ["params/Dense_0/kernel"]),
        ([Layer(jnp.ones(2), None)], ["0/kernel"]),
        (np.float32(2), ["the tensor"]),
        ({"": 1.0, "a": 2.0}, ["", "a"]),
        ({"": {"a": 1.0}, "a": 2.0}, ["/a", "a"]),
        (None, []),
    ],
)
def test_names_are_paths(tree, expected):
    assert names(tree) == expected


def test_an_nnx_state_has_the_names_of_its_pure_dict():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs)])

    state = nnx.split(Net(nnx.Rngs(0)))[1]
    assert names(state) == ["layers/0/bias", "layers/0/kernel"]
    assert names(nnx.to_pure_dict(state)) == names(state)


def test_one_name_for_two_leaves_is_refused():
    with pytest.raises(ValueError, match="a/b: two leaves"):
        trees.flatten({"a/b": 1.0, "a": {"b": 2.0}})


@pytest.mark.parametrize("key", [1.5, (1, 2), True])
def test_a_key_that_is_no_name_is_refused(key):
    with pytest.raises(ValueError, match="keys of a tree"):
        trees.flatten({key: 1.0})


leaves = st.integers(0, 99).map(np.int64)
words = st.text("ab.0", min_size=1, max_size=3)
some_trees = st.recursive(
    leaves | st.none(),
    lambda inner: (
        st.dictionaries(words, inner, max_size=3)
        | st.dictionaries(st.integers(-2, 12), inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)


@given(some_trees)
def test_new_leaves_take_the_places_of_the_old(tree):
    found, rebuild = trees.flatten(tree)
    same = rebuild([leaf for _, leaf in found])
    assert same == tree
    assert type(same) is type(tree)
    assert trees.restore(dict(found), tree) == tree


@pytest.mark.parametrize(
    "named", [{"a": 1, "a/b": 2}, {"a/b": 2, "a": 1}, {"a//b": 1}, {"/a": 1}, {"a/": 1}]
)
def test_names_that_do_not_nest_stay_flat(named):
    assert trees.nested(named) == named


def test_restore_compares_dots_with_slashes():
    like = {"params": {"kernel": np.zeros(2, np.float16)}}
    back = trees.restore({"params.kernel": np.ones(2)}, like)
    assert back["params"]["kernel"].dtype == np.float16


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (1e6, np.float16, 65504),
        (-1e6, ml_dtypes.float8_e4m3fn, -448),
        (np.inf, np.float16, np.inf),
        (1e39, ml_dtypes.bfloat16, 3.3895314e38),
        (0.1, np.float64, 0.1),
    ],
)
def test_a_float_beyond_a_narrower_dtype_becomes_its_largest(value, dtype, expected):
    assert float(trees.to_dtype(np.array(value), dtype)) == pytest.approx(expected)
