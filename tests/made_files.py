"""Files made byte by byte: archives, arrays and checkpoints, sound or with any fault."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable

import numpy as np


def npz(save: Callable = np.savez, /, **arrays: np.ndarray) -> bytes:
    """The bytes of an .npz file."""
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def npy(array: np.ndarray, **options: bool) -> bytes:
    """The bytes of an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of any members."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")  # two of one name
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def header(text: str, data: bytes = b"") -> bytes:
    """An .npy file with a header of one's own."""
    line = text.encode() + b" " * 16 + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + data


def shaped(shape: str, dtype: str = "'<f8'", data: bytes = b"") -> bytes:
    """An .npz file whose array declares a shape."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}"
    return zipped(("images.npy", header(text, data)), compression=zipfile.ZIP_DEFLATED)


def patched(data: bytes, place: int, new: bytes) -> bytes:
    """Some bytes replaced; a negative place counts from the end."""
    place %= len(data)
    return data[:place] + new + data[place + len(new) :]


def in_deflate() -> bytes:
    """Damage in the middle of a deflate stream, in a file whose directory is sound."""
    whole = npz(np.savez_compressed, samples=np.random.default_rng(0).normal(size=200))
    return patched(whole, 600, b"\xff\xff\xff\xff")


def method(number: int) -> bytes:
    """A compression method that the archive names, in both places."""
    whole = zipped(("samples.npy", npy(np.arange(4.0))))
    whole = patched(whole, 8, number.to_bytes(2, "little"))
    return patched(whole, whole.index(b"PK\x01\x02") + 10, number.to_bytes(2, "little"))


def encrypted() -> bytes:
    """The flag of an encrypted member."""
    whole = zipped(("samples.npy", npy(np.arange(4.0))))
    whole = patched(whole, 6, b"\x01")
    return patched(whole, whole.index(b"PK\x01\x02") + 8, b"\x01")


def safetensors(declared: dict | bytes, data: bytes = b"", size: int | None = None) -> bytes:
    """A .safetensors file with a header of one's own."""
    text = declared if isinstance(declared, bytes) else json.dumps(declared).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def tensor(dtype: str = "F32", shape: tuple = (2,), offsets: tuple = (0, 8)) -> dict:
    """One tensor's entry of such a header."""
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}
