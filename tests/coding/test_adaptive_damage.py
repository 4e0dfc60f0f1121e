"""Adaptive files that are damaged, cut, or declare what no encoder writes."""

from __future__ import annotations

import pytest

from fewbits.coding import FormatError, container, params_from_bytes
from fewbits.coding.adaptive import adaptive_file, reading
from fewbits.coding.weights.trees import packed_tree, parameter_tree
from tests.coding.mutants import LIMIT_BYTES, campaign
from tests.coding.test_adaptive import leaves, network


def test_a_stream_declares_no_more_than_it_may():
    leaf = parameter_tree.Leaf(parameter_tree.GRID, (1 << 13, 1 << 13), 8, 0, 1.0)
    header = {"tree": {"a": leaf.to_bytes()}}
    for body in ({}, {"symbols": b"\x01\x02"}):
        data = container.write_archive(reading.KIND, header, body)
        with pytest.raises(FormatError, match="do not fit in the stream"):
            params_from_bytes(data)


@pytest.mark.parametrize("leaf", [b"\x48\x02\x02\x01\0\0\x80\x3f", b"\x48\x02\x02\x09\0\0\x80\x3f"])
def test_a_trellis_that_is_none_is_refused(leaf):
    data = container.write_archive(reading.KIND, {"tree": leaf}, {"symbols": b"\x01"})
    with pytest.raises(FormatError, match="trellis"):
        params_from_bytes(data)


def test_truncated_and_longer_streams_are_refused():
    data = adaptive_file.write_trellis({"a": network()["dense"]["kernel"]})
    archive = container.read_archive(data)
    stream = archive.sections["symbols"]
    # A few bytes less may be another stream: that is for the container's checksums to find.
    for wrong in (stream[: len(stream) // 2], stream + b"\x01", stream + b"\0", b"\x80"):
        with pytest.raises(FormatError):
            reading.unpack(archive.header, {"symbols": wrong})


def test_damaged_files():
    check_damage(150)


@pytest.mark.slow
@pytest.mark.nightly
def test_many_damaged_files():
    check_damage(10_000)


def check_damage(count):
    files = [
        adaptive_file.write_trellis(network()),
        adaptive_file.write_grid(network(density=0.1), {"*bias": "float16", "*": 5}),
    ]

    def declared(archive):
        found, tree = [], archive.header["tree"]
        if "pruned" in archive.header:
            tree = packed_tree.unpack(tree)
        parameter_tree.map_leaves(
            parameter_tree.from_header(tree),
            lambda _, code: found.append(parameter_tree.read_leaf(code).shape),
        )
        return found

    outcomes = campaign(
        count,
        files,
        reading.read_adaptive,
        declared,
        lambda tree: [tensor.shape for tensor in leaves(tree)],
        ("header", "symbols", "floats"),
    )
    assert outcomes.refused > 0.6 * count
    assert outcomes.peak_bytes < LIMIT_BYTES
