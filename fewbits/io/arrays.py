"""Arrays from a user's .npz file, and nothing else from it."""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from fewbits.io import npy
from fewbits.io.errors import InputError

_REMEDY = "save arrays with numpy.savez"
_STRONGEST_DEFLATE = 1032
"""Bytes that a byte of a deflate stream can stand for."""
_SMALL = 1 << 16
"""Declared sizes up to this are not compared with what they are compressed to."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, by name; of one array saved alone, "arr_0".

    Sizes are checked against the file and this machine's memory before anything is allocated.

    Raises:
      InputError: it is something else, damaged, too large, has two arrays of one name, or holds
        objects, which are never read.
      OSError: it cannot be opened.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file; {_REMEDY}")
    with path.open("rb") as file:
        start = file.read(len(npy.MAGIC))
        if start == npy.MAGIC:
            return {"arr_0": npy.read_npy(path)}
        if start[:2] != b"PK":
            raise InputError(f"{path} is not an .npz file; {_REMEDY}")
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                return _members(path, archive, os.fstat(file.fileno()).st_size)
        except npy.DamagedError as error:
            raise InputError(f"{path}: {error}; {error.remedy or _REMEDY}") from error
        except (
            zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, KeyError,
            ValueError, OverflowError, IndexError, OSError,  # a place before the file's beginning
            NotImplementedError,  # a compression, or a version of the format
            RuntimeError,  # encrypted
            MemoryError,
        ) as error:  # fmt: skip
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path} cannot be read as an .npz file: it is damaged, cut or encrypted; {_REMEDY}"
            ) from error


def _members(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    left = npy.memory_limit()
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name == member.filename:
            raise InputError(f"{path} holds {name!r}, which is no array; {_REMEDY}")
        if name in found:
            raise InputError(f"{path} has two arrays called {name!r}; save each once")
        compressed, declared = member.compress_size, member.file_size
        most = _STRONGEST_DEFLATE * compressed + _SMALL
        if compressed > size or (member.compress_type == zipfile.ZIP_DEFLATED and declared > most):
            raise npy.DamagedError(f"its array {name!r} declares a size that the file cannot hold")
        with archive.open(member) as stream:
            try:
                found[name] = npy.read_stream(stream, declared, left)
            except npy.DamagedError as error:
                raise type(error)(f"its array {name!r} {error}") from error
        left -= found[name].nbytes
    return found
