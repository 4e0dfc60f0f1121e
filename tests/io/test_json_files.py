"""Plain values of results, and files that say whether they are whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from fewbits.io.json_files import (
    file_digest,
    plain,
    read_checked,
    restore,
    write_checked,
    write_json,
)


class Pair(NamedTuple):
    a: int
    b: float


@dataclass
class Settings:
    pair: Pair
    path: Path = Path("/a/b")


def test_values_become_what_json_has():
    found = plain({3: Settings(Pair(1, float("inf"))), "x": (np.float32(0.5), np.arange(2), True)})
    assert found == {"3": {"pair": {"a": 1, "b": None}, "path": "/a/b"}, "x": [0.5, [0, 1], True]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert plain(np.array([np.nan, 1.0])) == [None, 1.0]


def test_a_plain_value_is_restored_by_its_type():
    given = Settings(Pair(1, 0.5), Path("c"))
    assert restore(Settings, plain(given)) == given
    assert restore(dict[str, Pair | None], {"x": [2, 1.5], "y": None}) == {"x": (2, 1.5), "y": None}
    found = restore(Settings, {"pair": {"a": 3, "b": 1.0}, "old": 1})
    assert found == Settings(Pair(3, 1.0))  # what is gone is left out, what lacks is the default
    assert restore(tuple[Pair, int], [[1, 2.0], 7]) == (Pair(1, 2.0), 7)
    assert restore(float | str, "x") == "x"


def test_a_file_is_made_with_its_folder_and_replaced(tmp_path):
    path = tmp_path / "new" / "a.json"
    for content in ([1], {"b": 2}):
        write_json(path, content)
        assert json.loads(path.read_text()) == content


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"content": 1}', b'{"sha256": "0", "content": 1}']
)
def test_damage_is_seen(tmp_path, damage):
    path = tmp_path / "a.json"
    assert read_checked(path) is None
    write_checked(path, {"loss": np.float64(0.25)})
    assert read_checked(path) == {"loss": 0.25}
    path.write_bytes(damage)
    assert read_checked(path) is None


def test_a_files_digest_is_sha256(tmp_path):
    assert file_digest(tmp_path / "a") == "missing"
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a").startswith("ba7816bf8f01cfea")
