from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import FormatError, container, units
from fewbits.coding.weights import model_file
from fewbits.coding.weights.model_file import pack, quantise, read_model, unpack, write_model
from fewbits.coding.weights.trees.parameter_tree import read_leaf
from fewbits.coding.weights.uniform_grid import largest_symbol
from tests.coding.families import DETERMINISTIC

ALL_BITS = [None, "float32", 32, "float16", *range(2, 17)]


def small_tree(seed: int = 0) -> dict[str, Any]:
    """Every kind of container and tensor: empty, scalar, constant, of one sign, large."""
    rng = np.random.default_rng(seed)
    return {
        "convolution": {"w": rng.normal(0, 0.3, (3, 3, 1, 4)), "b": np.zeros(4)},
        "dense": [
            {"w": rng.normal(0, 0.05, (30, 20)), "b": rng.normal(0, 0.01, 20)},
            {"w": rng.laplace(0, 1, (20, 10)), "scale": 1 + 0.1 * rng.random(10)},
        ],
        "pair": (np.float32(-3.25), np.full((2, 3), 0.125, np.float16)),
        "nothing": {"empty": np.zeros((0, 7)), "no_tensor": {}, "no_item": []},
        "ä/b": jnp.asarray([1.0, -2.0], jnp.bfloat16),
    }


def assert_same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert isinstance(left, np.ndarray)
        assert left.dtype == right.dtype == np.float32
        assert left.shape == right.shape
        np.testing.assert_array_equal(left.view(np.uint32), right.view(np.uint32))


@pytest.mark.parametrize("bits", ALL_BITS)
def test_what_comes_back_is_what_quantise_says(bits):
    tree = small_tree()
    assert_same(read_model(write_model(tree, bits=bits)), quantise(tree, bits))
    assert jax.tree.structure(quantise(tree, bits)) == jax.tree.structure(tree)


def test_float32_is_lossless_and_float16_rounds_once():
    tree = small_tree()
    for leaf, back in zip(jax.tree.leaves(tree), jax.tree.leaves(quantise(tree)), strict=True):
        np.testing.assert_array_equal(back, np.asarray(leaf).astype(np.float32))
    for leaf, back in zip(
        jax.tree.leaves(tree), jax.tree.leaves(quantise(tree, "float16")), strict=True
    ):
        half = np.asarray(leaf).astype(np.float32).astype(np.float16)
        np.testing.assert_array_equal(back, half.astype(np.float32))


@pytest.mark.parametrize("bits", range(2, 17))
def test_the_error_of_a_grid_is_at_most_half_a_step(bits):
    values = np.random.default_rng(bits).normal(0, 2, 500).astype(np.float32)
    back = quantise({"w": values}, bits)["w"]
    step = np.abs(values).max() / largest_symbol(bits)
    assert np.abs(back - values).max() <= step / 2 * (1 + 1e-5)
    assert np.unique(back).size <= 2**bits - 1
    assert np.all(back[values == 0] == 0)


def test_zero_stays_zero_and_the_extremes_stay():
    values = np.array([-4.0, 0.0, 1.0, 4.0], np.float32)
    np.testing.assert_array_equal(quantise([values], 3)[0], [-4, 0, np.float32(4 / 3), 4])


def test_tensors_of_one_sign_use_the_whole_grid():
    values = np.linspace(5, 6, 100).astype(np.float32)
    for signed in (values, -values):
        back = quantise([signed], 4)[0]
        assert np.abs(back - signed).max() <= 0.5 / 14 + 1e-6
    constant = np.full(7, 0.1, np.float32)
    np.testing.assert_array_equal(quantise([constant], 2)[0], constant)


@DETERMINISTIC
@given(
    values=st.lists(st.floats(-(2.0**100), 2.0**100, width=32), max_size=60),
    bits=st.integers(2, 16),
)
def test_round_trip_of_any_tensor(values, bits):
    tree = {"w": np.array(values, np.float32)}
    assert_same(read_model(write_model(tree, bits=bits)), quantise(tree, bits))


@pytest.mark.parametrize(
    "values", [[1e-45], [1e-45, -1e-45], [3.4e38], [1e38, -1e38], [-0.0], [1e-38, 1e38]]
)
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_extreme_values(values, bits):
    tree = [np.array(values, np.float32)]
    assert_same(read_model(write_model(tree, bits=bits)), quantise(tree, bits))


@pytest.mark.parametrize("tree", [np.zeros((2, 2)), {}, [], (), {"a": ()}, [[[]]], 1.5])
def test_the_smallest_trees(tree):
    for bits in (None, 4):
        back = read_model(write_model(tree, bits=bits))
        assert jax.tree.structure(back) == jax.tree.structure(tree)


@pytest.mark.parametrize("bits", ALL_BITS)
def test_a_description_of_a_tensor_comes_back(bits):
    for tensor in (np.ones((1, 2, 3, 1, 1, 2, 1)), np.array(-1.5), np.array([-1.0, 1.0])):
        ((_, leaf),) = model_file.describe(pack([tensor], bits)[0])
        assert leaf.shape == tensor.shape
        assert leaf.bits == (bits if isinstance(bits, int) and bits != 32 else 0)
        assert read_leaf(leaf.to_bytes()) == leaf


def test_a_named_tuple_becomes_a_tuple():
    layer = namedtuple("layer", "w b")(np.ones(2), np.zeros(1))
    back = read_model(write_model(layer))
    assert type(back) is tuple
    np.testing.assert_array_equal(back[0], [1, 1])


def test_bits_by_path_pattern_and_function():
    tree = small_tree()
    by_path = {"dense/0/w": 3, "*/b": "float16", "*": 6}
    back = read_model(write_model(tree, bits=by_path))
    assert_same(back, quantise(tree, by_path))
    leaves = dict(model_file.describe(pack(tree, by_path)[0]))
    assert leaves["dense/0/w"].bits == 3
    assert leaves["dense/0/b"].bits == leaves["ä/b"].bits == 0
    assert leaves["dense/1/w"].bits == leaves["pair/0"].bits == 6
    by_function = dict(
        model_file.describe(pack(tree, lambda path, x: 4 if x.ndim > 1 else None)[0])
    )
    assert (by_function["dense/0/w"].bits, by_function["dense/0/b"].bits) == (4, 0)


@pytest.mark.parametrize("bits", [0, 1, 17, 64, -3, 2.5, "int8", True, {"*": 1}, {"nowhere": 4}])
def test_bits_that_there_are_not(bits):
    with pytest.raises(ValueError, match="bits"):
        write_model(small_tree(), bits=bits)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (np.array([1.0, np.nan]), "a/1: parameters are not finite"),
        (np.array([np.inf]), "a/1: parameters are not finite"),
        (np.array([1e300]), "a/1: parameters are not finite"),
        (np.array([1, 2]), "a/1: parameters are arrays of floats, not int64"),
        (np.array([True]), "a/1: .* not bool"),
        (np.array([1j]), "a/1: .* not complex128"),
        (None, "a/1: .* not object"),
        ("text", "a/1: "),
        (np.zeros((1,) * 8), "a/1: 8 dimensions"),
        ({3: np.zeros(1)}, "not 3"),
    ],
)
@pytest.mark.parametrize("bits", [None, 4])
def test_a_tensor_that_cannot_be_stored_is_named(leaf, message, bits):
    with pytest.raises(ValueError, match=message):
        write_model({"a": [np.zeros(2), leaf]}, bits=bits)


def test_what_does_not_fit_float16_is_named():
    with pytest.raises(ValueError, match="w: 70000.0 does not fit float16"):
        write_model({"w": np.array([70_000.0])}, bits="float16")
    # 65,504 is float16's largest; up to 65,520 would round down to it, and is refused as well.
    assert quantise([np.array([65504.0])], "float16")[0] == 65504


def test_a_grid_that_would_overflow_is_named():
    largest = np.finfo(np.float32).max
    tree = {"w": np.array([largest, -largest], np.float32)}
    np.testing.assert_array_equal(quantise(tree, 2)["w"], tree["w"])
    # A 31st of it, rounded to float32, is a little too much.
    with pytest.raises(ValueError, match="w: values too close to float32's largest"):
        quantise(tree, 6)


def test_a_tree_too_deep_for_a_header():
    tree: Any = np.zeros(1)
    for _ in range(40):
        tree = [tree]
    with pytest.raises(ValueError, match="deep"):
        write_model(tree)


def lenet_like() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    shapes = {"one": (784, 6), "two": (6, 30), "three": (30, 10)}
    return {
        name: {"w": rng.normal(0, shape[0] ** -0.5, shape), "b": rng.normal(0, 0.01, shape[1])}
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_model_costs_little_more_than_the_entropy_of_its_symbols(bits):
    tree = lenet_like()
    entropy_bytes = 0.0
    for leaf in jax.tree.leaves(tree):
        values = quantise([leaf], bits)[0]
        counts = np.unique(values, return_counts=True)[1]
        entropy_bytes += leaf.size * float(units.empirical_entropy_bits(counts)) / 8
    data = write_model(tree, bits=bits)
    # The histograms of the six tensors, which this entropy takes as known, cost something too:
    # half a bit per symbol value and doubling of the sample, about, if nothing were shared.
    histograms = 6 * 2**bits * 0.5 * np.log2(len(jax.tree.leaves(tree))) / 8
    assert len(data) <= entropy_bytes * 1.02 + histograms + 230


def test_sharing_tables_never_costs_more_than_a_table_each():
    tree = lenet_like()
    together = write_model(tree, bits=4)
    header, _ = pack(tree, 4)
    used = {leaf.table for _, leaf in model_file.describe(header)}
    assert len(used) < 6
    apart = sum(len(pack({"x": leaf}, 4)[1]["symbols"]) for leaf in jax.tree.leaves(tree))
    assert len(together) < apart + 400


def test_the_same_tree_gives_the_same_file():
    tree = small_tree()
    backwards = dict(reversed(tree.items()))
    assert write_model(tree, bits=5) == write_model(backwards, bits=5)
    assert write_model(jax.tree.map(jnp.float32, tree), bits=5) == write_model(
        jax.tree.map(np.float32, tree), bits=5
    )


def test_two_trees_in_one_archive_of_another_kind():
    one, other = small_tree(1), small_tree(2)
    head_one, sections_one = pack(one, 4, prefix="encoder_")
    head_other, sections_other = pack(other, {"pair/*": 7}, prefix="decoder_")
    data = container.write_archive(
        "pair",
        {"encoder": head_one, "decoder": head_other, "seed": 3},
        {**sections_one, **sections_other, "labels": b"123"},
    )
    archive = container.read_archive(data, kind="pair")
    assert_same(
        unpack(archive.header["encoder"], archive.sections, prefix="encoder_"), quantise(one, 4)
    )
    assert_same(
        unpack(archive.header["decoder"], archive.sections, prefix="decoder_"),
        quantise(other, {"pair/*": 7}),
    )
    with pytest.raises(FormatError):
        read_model(data)


DIGEST_PROGRAM = """
import hashlib, sys
import numpy as np
from fewbits.coding import container
from fewbits.coding.weights import model_file

def leaves(tree):
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, (list, tuple)):
        return [leaf for item in tree for leaf in leaves(item)]
    return [tree]

tree = model_file.read_model(container.load_bytes(sys.argv[1]))
print(hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves(tree))).hexdigest())
heavy = {"jax", "scipy", "flax", "cvxpy", "highspy", "tensorflow", "sklearn", "tyro"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def digest(tree: Any) -> str:
    return hashlib.sha256(b"".join(leaf.tobytes() for leaf in jax.tree.leaves(tree))).hexdigest()


def test_a_subprocess_decodes_the_same_with_light_imports(tmp_path: Path):
    tree = small_tree()
    bits = {"dense/*": 5, "pair/*": "float16", "*": 9}
    container.save(tmp_path / "m", write_model(tree, bits=bits))
    printed = subprocess.run(
        [sys.executable, "-c", DIGEST_PROGRAM, str(tmp_path / "m")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.strip()
    assert printed == digest(quantise(tree, bits))
