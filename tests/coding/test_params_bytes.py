"""Trees of parameters as bytes: precision, structure and dtypes of a user's own tree."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

from fewbits.coding import params_from_bytes, params_to_bytes, read_archive
from fewbits.coding.weights import model_file, prior_file
from fewbits.coding.weights.sparse import sparse_code


class Layer(NamedTuple):
    kernel: jax.Array
    bias: jax.Array | None


def plain():
    rng = np.random.default_rng(0)
    return {
        "zz": [rng.normal(size=(4, 3)), rng.normal(size=3)],
        "a": {"kernel": rng.normal(size=(3, 2)), "scalar": np.float64(0.25)},
    }


def pruned():
    rng = np.random.default_rng(1)
    odds = 0.2 * np.exp(-(((np.arange(300) - 150) / 40.0) ** 2))[:, None]
    kernel = rng.normal(size=(300, 100)) * (rng.random((300, 100)) < odds)
    return {"dense": {"kernel": kernel, "bias": rng.normal(size=100)}}


def leaves_equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


def test_bits_are_those_of_the_uniform_grid():
    data = params_to_bytes(plain(), bits=8)
    leaves_equal(params_from_bytes(data), model_file.quantise(plain(), 8))
    assert params_to_bytes(params_from_bytes(data), bits=8) == data


@pytest.mark.parametrize("step", [0.5, 0.01])
@pytest.mark.parametrize("tree", [plain(), pruned()])
def test_a_step_is_the_distance_between_values(tree, step):
    tree = jax.tree.map(np.float32, tree)
    data = params_to_bytes(tree, step=step)
    leaves_equal(params_from_bytes(data), prior_file.quantise_coded(tree, step))
    assert len(data) <= len(prior_file.write_coded(tree, step))
    assert len(data) <= len(sparse_code.write_sparse(tree, step=step))


def test_a_pruned_tree_has_the_shortest_file():
    data = params_to_bytes(pruned(), step=0.1)
    assert read_archive(data).kind == "adaptive"
    assert len(data) < len(sparse_code.write_sparse(pruned(), step=0.1))


def test_bits_and_a_step_are_one_too_many():
    with pytest.raises(ValueError, match="one of bits, a step"):
        params_to_bytes(plain(), bits=8, step=0.1)


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), 1e-9])
def test_refuses_steps(step):
    with pytest.raises(ValueError, match="step"):
        params_to_bytes(plain(), step=step)


@pytest.mark.parametrize(
    "tree",
    [
        jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), plain()),
        jax.tree.map(lambda x: np.asarray(x, np.float16), plain()),
        {"one": Layer(jnp.ones((2, 3)), jnp.zeros(3)), "two": Layer(jnp.ones((3, 1)), None)},
        FrozenDict({"dense": {"kernel": jnp.ones((2, 2))}}),
        [(np.ones(3), {"b": np.zeros((2, 0))}), jnp.float32(2)],
        np.linspace(0, 1, 10),
    ],
)
def test_like_gives_structure_dtypes_and_libraries_back(tree):
    data = params_to_bytes(tree, bits=16)
    restored = params_from_bytes(data, like=tree)
    assert jax.tree.structure(restored) == jax.tree.structure(tree)
    for old, new in zip(jax.tree.leaves(tree), jax.tree.leaves(restored), strict=True):
        assert new.dtype == old.dtype
        assert new.shape == old.shape
        assert isinstance(new, jax.Array) == isinstance(old, jax.Array)
        np.testing.assert_allclose(np.float64(new), np.float64(old), atol=0.02)


def test_like_may_be_shapes_alone():
    tree = jax.tree.map(jnp.asarray, plain())
    restored = params_from_bytes(params_to_bytes(tree), like=jax.eval_shape(lambda: tree))
    leaves_equal(restored, params_from_bytes(params_to_bytes(tree), like=tree))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda like: like["a"].update(kernel=np.ones(2)), r"a/kernel: shape \(3, 2\) .*\(2,\)"),
        (lambda like: like["a"].update(more=np.ones(2)), "a/more: not in the file"),
        (lambda like: like.pop("zz"), "zz/0: in the file, but not"),
    ],
)  # fmt: skip
def test_another_tree_is_refused_in_one_line(change, words):
    like = plain()
    change(like)
    with pytest.raises(ValueError, match=words) as caught:
        params_from_bytes(params_to_bytes(plain()), like=like)
    assert "\n" not in str(caught.value)


def test_paths_that_read_the_same_are_not_mixed_up():
    tree = {"a/b": np.zeros(2), "a": {"b": np.ones(2)}}
    data = params_to_bytes(tree)
    leaves_equal(params_from_bytes(data), model_file.quantise(tree, 8))
    with pytest.raises(ValueError, match="a/b: two leaves"):
        params_from_bytes(data, like=tree)


def test_plain_trees_need_no_jax():
    program = (
        "import sys, numpy as np; from fewbits.coding import params_from_bytes, params_to_bytes\n"
        "tree = {'a': [np.ones(3), (np.zeros((2, 2)),)]}\n"
        "params_from_bytes(params_to_bytes(tree), like=tree)\n"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
