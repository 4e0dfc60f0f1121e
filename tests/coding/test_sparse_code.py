from __future__ import annotations

import lzma
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import FormatError, container, units
from fewbits.coding.weights.model_file import quantise
from fewbits.coding.weights.sparse import sparse_code
from fewbits.coding.weights.sparse.sparse_code import (
    count_nonzeros,
    quantise_sparse,
    read_sparse,
    write_sparse,
)
from fewbits.coding.weights.trees import parameter_tree
from tests.coding.families import DETERMINISTIC
from tests.coding.mutants import Outcomes, campaign


def pruned_network(density: float, seed: int = 0, sizes=(784, 300, 100, 10)) -> dict[str, Any]:
    """Pruned as networks are: the picture's centre and some units keep more weights than others."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(sizes[0]))
    y, x = np.mgrid[:side, :side] / side - 0.5
    row_odds = 3 * np.exp(-((x**2 + y**2) / 0.06)).ravel()[:, None]
    params = {}
    for number, (rows, columns) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        column_odds = rng.gamma(1.0, size=(1, columns))
        kept = rng.random((rows, columns)) < density * row_odds * column_odds
        kernel = rng.laplace(0, 0.2, (rows, columns)) * kept
        params[f"dense{number + 1}"] = {"kernel": kernel, "bias": rng.normal(0, 0.1, columns)}
        row_odds = 3 * column_odds.T
    return params


def odd_tree() -> dict[str, Any]:
    """Every kind of tensor: empty, scalar, all zero, dense, of one sign, one column, four axes."""
    rng = np.random.default_rng(1)
    return {
        "conv": rng.normal(size=(3, 3, 4, 6)) * (rng.random((3, 3, 4, 6)) < 0.2),
        "list": [np.zeros((5, 4)), np.zeros((0, 3)), np.float32(2.5)],
        "pair": (rng.normal(size=(6, 5)), 1 + rng.random((4, 4)), rng.normal(size=(70, 1))),
        "single": np.eye(1, 40),
        "vector": np.zeros(7),
    }


def assert_same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert left.dtype == right.dtype == np.float32
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("bits", [2, 5, 8, 16, {"pair*": 3, "*": 6}])
def test_what_comes_back_is_what_quantise_says(bits):
    tree = odd_tree()
    back = read_sparse(write_sparse(tree, bits))
    assert_same(back, quantise_sparse(tree, bits))
    assert_same(back, quantise(tree, bits))


@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 9), st.floats(0, 1))
@DETERMINISTIC
def test_round_trip_of_any_small_matrix(seed, rows, columns, density):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < density)
    params = [weights, rng.normal(size=columns)]
    assert_same(read_sparse(write_sparse(params, 4)), quantise_sparse(params, 4))


def test_a_subprocess_reads_the_same_network(tmp_path: Path):
    params = pruned_network(0.03, sizes=(100, 30, 10))
    container.save(tmp_path / "net.fwb", write_sparse(params))
    script = (
        "import sys, numpy as np; from fewbits.coding import container\n"
        "from fewbits.coding.weights.sparse import sparse_code\n"
        "tree = sparse_code.read_sparse(container.load_bytes(sys.argv[1]))\n"
        "np.savez(sys.argv[2], **{a + '_' + b: x for a, t in tree.items() for b, x in t.items()})"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "net.fwb"), str(tmp_path / "net.npz")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    with np.load(tmp_path / "net.npz") as back:
        for layer, tensors in quantise_sparse(params).items():
            for name, tensor in tensors.items():
                np.testing.assert_array_equal(back[f"{layer}_{name}"], tensor)


def test_a_mask_without_pattern_costs_its_entropy():
    # Identity 10 of the design: n h(rho) + 1 % + 16 bytes.
    rng = np.random.default_rng(0)
    mask = rng.random((784, 300)) < 0.03
    params = {"kernel": mask * rng.choice([-1.0, 1.0], mask.shape)}
    bits_ideal = mask.size * float(units.binary_entropy_bits(mask.mean())) + mask.sum()
    archive = container.read_archive(write_sparse(params, 2))
    assert 8 * len(archive.sections["symbols"]) <= 1.01 * bits_ideal + 8 * 16


def test_pattern_makes_it_shorter_than_its_entropy_and_than_xz():
    params = pruned_network(0.04, sizes=(400, 150, 10))
    data = write_sparse(params)
    quantised = quantise_sparse(params)
    ideal = 0.0
    dense = []
    for tensors in quantised.values():
        for tensor in tensors.values():
            step = np.abs(tensor).max() / 15
            dense.append(np.rint(tensor / step).astype(np.int8).tobytes())
        share = np.mean(tensors["kernel"] != 0)
        ideal += tensors["kernel"].size * float(units.binary_entropy_bits(share))
    archive = container.read_archive(data)
    mask_bits = sum(
        part.bits
        for part in sparse_code.parts(archive.header, archive.sections)
        if part.what == "mask"
    )
    assert mask_bits < 0.95 * ideal
    xz = lzma.compress(b"".join(dense), preset=9 | lzma.PRESET_EXTREME)
    assert len(data) < 0.85 * len(xz)  # these signs are random, a network's are not


def test_the_order_of_columns_does_not_matter_to_the_mask():
    # Contexts know a column's own history and the rows' totals, nothing about columns beside it.
    kernel = pruned_network(0.05, sizes=(64, 40))["dense1"]["kernel"]
    order = np.random.default_rng(2).permutation(40)

    def mask_bits(weights: np.ndarray) -> float:
        archive = container.read_archive(write_sparse([weights], 4))
        return sparse_code.parts(archive.header, archive.sections)[0].bits

    assert mask_bits(kernel) == pytest.approx(mask_bits(kernel[:, order]), rel=1e-12)


def test_parts_add_up_to_the_stream():
    archive = container.read_archive(write_sparse(pruned_network(0.1, sizes=(256, 60, 10))))
    found = sparse_code.parts(archive.header, archive.sections)
    total_bits = sum(part.bits for part in found)
    assert 0 <= 8 * len(archive.sections["symbols"]) - total_bits <= 0.001 * total_bits + 64
    assert [part.what for part in found if part.path == "dense1/kernel"] == [
        "mask",
        "signs",
        "magnitudes",
    ]


def test_units_without_inputs_keep_no_outputs():
    """The tensor before says which rows are empty: cheaper than being told row by row."""
    rng = np.random.default_rng(3)
    alive = rng.random(300) < 0.3
    first = (rng.random((50, 300)) < 0.2) * alive
    second = (rng.random((300, 40)) < 0.2) * alive[:, None]

    def mask_bits(tree: Any, path: str) -> float:
        archive = container.read_archive(write_sparse(tree, 3))
        found = sparse_code.parts(archive.header, archive.sections)
        return next(p.bits for p in found if p.path == path and p.what == "mask")

    together = mask_bits([first * 1.0, second * 1.0], "1")
    assert together < 0.85 * mask_bits([second * 1.0], "0")


def test_nonzeros_are_counted_in_kernels_only():
    assert count_nonzeros({"kernel": np.eye(3), "bias": np.ones(3)}) == 3


@pytest.mark.parametrize(
    ("params", "bits", "message"),
    [
        ({"a": np.ones((2, 2))}, None, "a: a sparse model needs 2 to 16 bits"),
        ({"a": np.ones((2, 2))}, "float16", "a: a sparse model needs 2 to 16 bits"),
        ({"a": np.array([[np.nan]])}, 5, "a: parameters are not finite"),
        ({"a": np.ones((2, 2), int)}, 5, "a: parameters are arrays of floats"),
        ({"a": np.ones(2)}, {"b": 5}, "'b'"),
        ({"a": np.ones(2)}, 17, "17"),
    ],
)
def test_mistakes_are_named(params, bits, message):
    with pytest.raises(ValueError, match=message):
        write_sparse(params, bits)


def test_more_zeros_than_a_stream_may_stand_for_are_refused():
    with pytest.raises(ValueError, match="too many for a stream"):
        write_sparse([np.zeros((3000, 1000))])


def declared_shapes(archive: container.Archive) -> list[tuple[int, ...]]:
    leaves = []
    tree = parameter_tree.from_header(archive.header["tree"])
    parameter_tree.map_leaves(tree, lambda _, code: leaves.append(parameter_tree.read_leaf(code)))
    return [leaf.shape for leaf in leaves]


def mutants(count: int) -> Outcomes:
    """Files damaged below the checksums end in FormatError or arrays of the declared shapes."""
    return campaign(
        count,
        [write_sparse(odd_tree(), 4), write_sparse([np.eye(3), np.ones(2)], 3)],
        read_sparse,
        declared_shapes,
        lambda tree: [tensor.shape for tensor in jax.tree.leaves(tree)],
        ["symbols", "symbols", "masks", "tables", "header"],
    )


def test_damage_below_the_checksum_ends_in_a_format_error():
    assert mutants(100).refused > 75


@pytest.mark.nightly
def test_ten_thousand_damaged_streams():
    outcomes = mutants(10_000)
    assert outcomes.refused > 8000


@pytest.mark.parametrize(
    ("header", "sections"),
    [
        ({}, {"symbols": b"\1"}),
        ({"tree": b"", "masks": b"", "tables": b""}, {}),
        ({"tree": b"", "masks": 1, "tables": b""}, {"symbols": b"\1"}),
        (None, {"symbols": b"\1"}),
        # A tensor of 2^27 zeros in a stream of one byte.
        (
            {
                "tree": bytes([2, 2, 128, 128, 4, 128, 16, 5, 0, 0, 0, 0, 0]),
                "masks": b"\0",
                "tables": b"",
            },
            {"symbols": b"\1"},
        ),
    ],
)
def test_headers_that_make_no_sense(header, sections):
    with pytest.raises(FormatError):
        sparse_code.unpack(header, sections)


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.01, 0.5])
def test_a_large_tensor_is_coded_in_three_times_its_memory(density):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(2_500, 1_000)).astype(np.float32)
    kernel[rng.random(kernel.shape, np.float32) > density] = 0
    data, peak = traced(write_sparse, {"kernel": kernel})
    assert peak <= 3 * kernel.nbytes
    _, peak = traced(read_sparse, data)
    assert peak <= 3 * kernel.nbytes


def traced(function, argument):
    """What the function returns, and the most memory that it took."""
    tracemalloc.start()
    try:
        return function(argument), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
