from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.training import trees

TREE = {"a": {"kernel": jnp.array([[1.0, -2.0], [0.0, 4.0]])}, "b": jnp.array([0.0, -3.0, 0.5])}


def test_sizes_and_nonzeros():
    assert trees.size(TREE) == 7
    assert trees.nonzeros(TREE) == 5
    assert trees.size(jax.eval_shape(lambda: TREE)) == 7
    assert (trees.size({}), int(trees.nonzeros({}))) == (0, 0)


def test_vector_and_back():
    vector = trees.as_vector(TREE)
    np.testing.assert_array_equal(vector, [1, -2, 0, 4, 0, -3, 0.5])
    back = trees.from_vector(vector, TREE)
    assert jax.tree.structure(back) == jax.tree.structure(TREE)
    jax.tree.map(np.testing.assert_array_equal, back, TREE)
    with pytest.raises(ValueError, match=r"7 numbers.*\(6,\)"):
        trees.from_vector(vector[:6], TREE)


def test_from_vector_keeps_dtypes():
    like = {"a": jnp.zeros(2, jnp.float16), "b": jnp.zeros(1)}
    assert trees.from_vector(jnp.ones(3), like)["a"].dtype == jnp.float16


def test_threshold_keeps_the_largest():
    magnitudes = trees.magnitudes(TREE)
    for n_kept, support in [(0, []), (1, [4]), (2, [4, -3]), (5, [1, -2, 4, -3, 0.5])]:
        mask = trees.mask_above(TREE, trees.threshold_keeping(magnitudes, n_kept))
        kept = trees.as_vector(trees.masked(TREE, mask))
        np.testing.assert_array_equal(kept[kept != 0], support)


def test_zeros_are_never_kept():
    """Asking for more than there are nonzeros gives the support, not zeros counted as weights."""
    threshold = trees.threshold_keeping(trees.magnitudes(TREE), 7)
    mask = trees.mask_above(TREE, threshold)
    assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) == 5


def test_thresholds_are_traceable_over_ranks():
    magnitudes = trees.magnitudes(TREE)
    thresholds = jax.jit(trees.threshold_keeping)(magnitudes, jnp.arange(8))
    np.testing.assert_array_equal(thresholds, [np.inf, 4, 3, 2, 1, 0.5, 0, 0])


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=12, max_size=12, unique_by=abs), st.data())
def test_without_ties_exactly_as_many_are_kept(values, data):
    tree = {"x": jnp.asarray(values, jnp.float32)}
    nonzero = sum(value != 0 for value in values)
    n_kept = data.draw(st.integers(0, nonzero))
    threshold = trees.threshold_keeping(trees.magnitudes(tree), n_kept)
    assert trees.mask_above(tree, threshold)["x"].sum() == n_kept


@settings(derandomize=True, max_examples=30, deadline=None)
@given(
    st.lists(st.floats(width=16), min_size=1, max_size=20),
    st.sampled_from([jnp.float32, jnp.float16, jnp.bfloat16]),
)
def test_threshold_is_that_of_a_sort_bit_for_bit(values, dtype):
    """With ties, zeros, infinities and NaN, in three types, for every rank at once."""
    magnitudes = jnp.abs(jnp.asarray(values, dtype))
    ranks = np.arange(1, len(values) + 1)
    expected = np.sort(np.asarray(magnitudes, np.float64))[::-1]
    found = jax.jit(trees.threshold_keeping)(magnitudes, ranks)
    np.testing.assert_array_equal(np.asarray(found, np.float64), expected)


def test_threshold_in_double_precision():
    with jax.enable_x64(True):
        values = np.array([1.0, 1.0 + 2**-50, 5e-324, 1e300])
        found = trees.threshold_keeping(jnp.asarray(values), np.arange(1, 5))
        np.testing.assert_array_equal(found, np.sort(values)[::-1])


def test_masked_replaces_nan_by_zero():
    tree = {"x": jnp.array([jnp.nan, 2.0])}
    np.testing.assert_array_equal(
        trees.masked(tree, {"x": jnp.array([False, True])})["x"], [0.0, 2.0]
    )


def test_names_and_back():
    named = trees.named_leaves(TREE)
    assert list(named) == ["a/kernel", "b"]
    back = trees.from_named(named)
    assert jax.tree.structure(back) == jax.tree.structure(TREE)


@pytest.mark.parametrize("name", ["", "/a", "a//b", "a/"])
def test_from_named_refuses_empty_parts(name):
    with pytest.raises(ValueError, match="between its slashes"):
        trees.from_named({name: 1})


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_from_named_refuses_crossing_paths(names):
    with pytest.raises(ValueError, match="path"):
        trees.from_named(dict.fromkeys(names, 1))


def test_named_leaves_refuses_names_that_collide():
    with pytest.raises(ValueError, match="'a/b'"):
        trees.named_leaves({"a": {"b": 1}, "a/b": 2})
