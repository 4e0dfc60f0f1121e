"""Users' .npz files: what is no such file, or damaged, is one line that names it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from fewbits.coding import InputError
from fewbits.io.arrays import read_arrays


def test_arrays_come_back_by_name(tmp_path: Path):
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(3), y=np.array(["a", "b"]))
    found = read_arrays(tmp_path / "a.npz")
    assert found["x"].tolist() == [0, 1, 2]
    assert found["y"].tolist() == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"hello, I am text", b"\x93NUMPY\x01\x00"])
def test_other_files_are_refused_without_advice_on_pickles(tmp_path: Path, content: bytes):
    path = tmp_path / "text.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not an .npz file") as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert "pickle" not in str(caught.value)


def test_objects_are_not_read(tmp_path: Path):
    np.savez(tmp_path / "objects.npz", x=np.array([{}, None], dtype=object))
    with pytest.raises(InputError, match="objects where numbers are needed"):
        read_arrays(tmp_path / "objects.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_single_byte_of_damage_is_refused_or_harmless(tmp_path: Path, save):
    save(tmp_path / "whole.npz", x=np.arange(5, dtype=np.uint8))
    whole, path = (tmp_path / "whole.npz").read_bytes(), tmp_path / "damaged.npz"
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with contextlib.suppress(InputError):
            read_arrays(path)
