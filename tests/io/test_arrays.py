"""Users' .npz files: what is no such file, or damaged, is one line that names it."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fewbits.coding import InputError
from fewbits.io import npy
from fewbits.io.arrays import read_arrays


def test_arrays_come_back_by_name(tmp_path: Path):
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(3), y=np.array(["a", "b"]))
    found = read_arrays(tmp_path / "a.npz")
    assert found["x"].tolist() == [0, 1, 2]
    assert found["y"].tolist() == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"hello, I am text", b"\x93NUMP"])
def test_other_files_are_refused_without_advice_on_pickles(tmp_path: Path, content: bytes):
    path = tmp_path / "text.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not an .npz file") as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert "pickle" not in str(caught.value)


def test_objects_are_not_read(tmp_path: Path):
    np.savez(tmp_path / "objects.npz", x=np.array([{}, None], dtype=object))
    with pytest.raises(InputError, match=r"array 'x' holds Python objects.*\.astype\(str\)"):
        read_arrays(tmp_path / "objects.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_single_byte_of_damage_is_refused_or_harmless(tmp_path: Path, save):
    save(tmp_path / "whole.npz", x=np.arange(5, dtype=np.uint8))
    whole, path = (tmp_path / "whole.npz").read_bytes(), tmp_path / "damaged.npz"
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with contextlib.suppress(InputError):
            read_arrays(path)


def test_one_array_saved_alone_is_read_whatever_its_name(tmp_path: Path):
    with (tmp_path / "alone.npz").open("wb") as file:
        np.save(file, np.arange(6.0).reshape(2, 3))
    assert read_arrays(tmp_path / "alone.npz")["arr_0"].tolist() == [[0, 1, 2], [3, 4, 5]]


def stored(path: Path, declared: str, data: bytes = b"") -> Path:
    """An .npz file with an array of a header of one's own."""
    text = declared.encode() + b" " * 20 + b"\n"
    member = npy.MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text + data
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", member)
    return path


HUGE = (
    "(100000000, 28, 28)", "(1000000000000000,)", "(1 << 70,)", f"({'1,' * 40} 10**18)",
    f"({2**70},)", "(-1,)", "(True,)",
)  # fmt: skip


@pytest.mark.parametrize("shape", HUGE)
def test_a_size_that_the_file_does_not_have_is_refused_before_memory_is_taken(tmp_path, shape):
    path = stored(
        tmp_path / "huge.npz", f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}"
    )
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"huge\.npz: its array 'x' (is damaged|declares)"):
            read_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_arrays_larger_than_the_machine_takes_are_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "two.npz", x=np.zeros(100), y=np.zeros(100))
    np.save(tmp_path / "one.npy", np.zeros(300))
    monkeypatch.setattr(npy, "memory_limit", lambda: 1500)
    with pytest.raises(InputError, match=r"two\.npz: its array 'y' declares .* takes 700"):
        read_arrays(tmp_path / "two.npz")
    with pytest.raises(InputError, match=r"one\.npy declares .* 2,400 bytes; this machine"):
        npy.read_npy(tmp_path / "one.npy")


def test_a_member_that_says_it_is_larger_than_its_stream_is_refused(tmp_path):
    """A zip archive's own sizes can be anything as well."""
    path = stored(
        tmp_path / "x.npz", "{'descr': '|u1', 'fortran_order': False, 'shape': (4,)}", b"abcd"
    )
    whole = path.read_bytes()
    for place in (22, whole.index(b"PK\1\2") + 24):
        data = bytearray(whole)
        data[place : place + 4] = (1 << 31).to_bytes(4, "little")
        path.write_bytes(data)
        if place > 22:
            with pytest.raises(InputError, match="a size that the file cannot hold"):
                read_arrays(path)


def test_two_arrays_of_one_name_are_refused(tmp_path):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "two.npz", "w") as archive:
        warnings.simplefilter("ignore")
        for value in (1, 2):
            buffer = io.BytesIO()
            np.save(buffer, np.array([value]))
            archive.writestr("x.npy", buffer.getvalue())
    with pytest.raises(InputError, match="two arrays called 'x'"):
        read_arrays(tmp_path / "two.npz")


def test_a_member_that_is_no_array_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "notes.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match="'readme.txt', which is no array"):
        read_arrays(tmp_path / "notes.npz")


DTYPES = (
    "bool",
    "int8",
    "uint16",
    "<i8",
    ">i4",
    "float16",
    ">f8",
    "complex64",
    "<U3",
    "S2",
    "M8[s]",
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_every_dtype_shape_and_order_comes_back(tmp_path, dtype, shape):
    values = np.arange(int(np.prod(shape))).reshape(shape) % 2
    array = values.astype(dtype) if dtype[0] != "M" else values.astype("i8").view(dtype)
    turned = np.asfortranarray(array)
    np.savez_compressed(tmp_path / "a.npz", c=array, f=turned)
    np.save(tmp_path / "f.npy", turned)
    for found in (*read_arrays(tmp_path / "a.npz").values(), npy.read_npy(tmp_path / "f.npy")):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
        assert found.flags.writeable
