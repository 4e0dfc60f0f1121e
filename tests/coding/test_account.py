from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fewbits.coding import FormatError, account, container, write_archive
from fewbits.coding.inspection._account import Row, as_table
from fewbits.coding.weights.model_file import pack, write_model

TREE = {
    "one": {"w": np.random.default_rng(0).normal(size=(40, 30)), "b": np.ones(30)},
    "two": [np.zeros(5), np.zeros((0, 3))],
}


@pytest.mark.parametrize("bits", [None, "float16", 2, 4, 16, {"one/b": "float16", "*": 5}])
def test_rows_add_up_to_the_size_of_the_file(tmp_path: Path, bits):
    path = tmp_path / "m"
    container.save(path, write_model(TREE, bits=bits))
    rows = account(path)
    assert sum(row.size_bytes for row in rows) == os.stat(path).st_size
    assert min(row.size_bytes for row in rows) >= 0
    assert account(path.read_bytes()) == rows
    assert account(str(path)) == rows


def test_tensors_get_the_bytes_that_they_use():
    rows = dict(account(write_model(TREE, bits={"one/w": 4})))
    assert rows["section floats: one/b"] == 120
    assert rows["section floats: two/0"] == 20
    assert rows["section floats: two/1"] == 0
    symbols = {part: size for part, size in rows.items() if part.startswith("section symbols")}
    assert list(symbols) == ["section symbols: one/w"]


def test_shares_of_a_common_stream_follow_the_ideal_length():
    rng = np.random.default_rng(1)
    rows = dict(
        account(write_model({"a": rng.normal(size=3000), "b": rng.normal(size=1000)}, bits=6))
    )
    share = rows["section symbols: a"] / (rows["section symbols: a"] + rows["section symbols: b"])
    assert share == pytest.approx(0.75, abs=0.02)


def test_other_kinds_and_the_trees_within():
    header, sections = pack(TREE, 4, prefix="decoder_")
    header_2, sections_2 = pack(TREE, None, prefix="x_")
    data = write_archive(
        "lgc",
        {"decoder": header, "other": header_2, "seed": 1},
        {**sections, **sections_2, "mixture": b"12345"},
    )
    rows = account(data)
    assert sum(row.size_bytes for row in rows) == len(data)
    assert Row("section mixture", 5) in rows
    assert Row("header seed", 6) in rows
    assert any(row.part == "section decoder_symbols: decoder/one/w" for row in rows)
    # Not stored under the prefix of its name, so not divided.
    assert any(row.part == "section x_floats" for row in rows)


def test_an_empty_archive_is_all_envelope():
    data = write_archive("empty", {}, {})
    assert account(data) == [Row("envelope", len(data))]


def test_a_table_for_people():
    table = as_table([Row("envelope", 1234), Row("section a", 5)])
    assert table.splitlines() == [
        "envelope   1,234 bytes",
        "section a      5 bytes",
        "total      1,239 bytes",
    ]


def test_no_account_of_a_damaged_file(tmp_path: Path):
    data = write_model(TREE)
    with pytest.raises(FormatError):
        account(data[:-1])
    with pytest.raises(FileNotFoundError):
        account(tmp_path / "missing")
