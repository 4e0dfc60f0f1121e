"""One array in NumPy's own form, whatever its file is called; its size is checked first.

The header says how large an array is, and anybody can write any number there. It is compared with
the bytes that there are, and with the machine's memory, before anything is allocated. An array of
objects is a pickle, which can run any program, and is never read.
"""

from __future__ import annotations

import contextlib
import io
import os
import tokenize
import warnings
from pathlib import Path
from typing import IO

import numpy as np

from fewbits.io.errors import InputError

MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
_CHUNK = 1 << 22
_LEAST_MEMORY = 1 << 30


class DamagedError(Exception):
    """Bytes that are no array of numbers; the message ends a sentence about the file.

    Attributes:
      remedy: where there is another than to save the file again.
    """

    remedy: str | None = None


class ObjectsError(DamagedError):
    """An array of objects, which is sound but never read."""

    remedy = "save it as numbers, or as text (array.astype(str)), or leave it out"


def memory_limit() -> int:
    """Bytes that the arrays of one file may take: half of the memory of this machine."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        total = 2 * _LEAST_MEMORY
    with contextlib.suppress(OSError, ValueError):  # "max", or no such system
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return max(total // 2, _LEAST_MEMORY)


def is_npy(path: Path) -> bool:
    """Whether a file begins as `numpy.save` writes it."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_npy(path: Path) -> np.ndarray:
    """The array of a file.

    Raises:
      InputError: damaged, too large for this machine, or an array of objects.
      OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        try:
            return read_stream(file, os.fstat(file.fileno()).st_size, memory_limit())
        except DamagedError as error:
            remedy = error.remedy or "save numbers with numpy.save"
            raise InputError(f"{path} {error}; {remedy}") from error


def read_stream(file: IO[bytes], size: int, most: int) -> np.ndarray:
    """The array of a stream in NumPy's form.

    Args:
      file: at its beginning.
      size: bytes that the stream has, or claims to have.
      most: bytes that the array may take.

    Raises:
      DamagedError: no such stream, another size than its header says, or too large.
      ObjectsError: an array of objects.
    """
    shape, fortran, dtype, begin = _header(file)
    if dtype.hasobject:
        raise ObjectsError("holds Python objects, which are never read")
    count = 1
    for length in shape:  # Python's integers do not overflow
        if length < 0:
            raise DamagedError(f"is damaged: it declares the shape {shape}")
        count *= length
    declared = count * dtype.itemsize
    if declared > most:
        raise DamagedError(
            f"declares an array {_short(shape)} of {dtype}, {declared:,} bytes; this machine takes "
            f"{most:,}"
        )
    if declared != size - begin:
        raise DamagedError(
            f"is damaged: it declares an array {_short(shape)} of {dtype}, {declared:,} bytes, "
            f"and has {max(size - begin, 0):,}"
        )
    found = np.empty(shape[::-1] if fortran else shape, dtype)
    if declared:
        _fill(file, memoryview(found.reshape(-1).view(np.uint8)))  # type: ignore[arg-type]
    if file.read(1):  # which checks a compressed stream's checksum too
        raise DamagedError("is damaged: there is more than it declares")
    return found.T if fortran else found


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, dtype, and the place of the first number."""
    lead = file.read(len(MAGIC) + 2)
    if lead[: len(MAGIC)] != MAGIC or len(lead) < len(MAGIC) + 2:
        raise DamagedError("is damaged: no array begins where one should")
    width = {1: 2, 2: 4, 3: 4}.get(lead[len(MAGIC)])
    if width is None:
        raise DamagedError("is damaged, or written by a later NumPy")
    length = int.from_bytes(file.read(width), "little")
    text = file.read(min(length, _LONGEST_HEADER))
    if len(text) != length:
        raise DamagedError("is damaged: an array's header is cut or too long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2
            whole = io.BytesIO(length.to_bytes(width, "little") + text)
            read = (
                np.lib.format.read_array_header_1_0
                if width == 2
                else np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = read(whole)
    except (
        ValueError,
        TypeError,
        SyntaxError,
        RecursionError,
        MemoryError,
        OverflowError,
        tokenize.TokenError,
    ) as error:
        raise DamagedError("is damaged: an array's header is not NumPy's") from error
    return shape, fortran, dtype, len(lead) + width + length


def _fill(file: IO[bytes], space: memoryview) -> None:
    place = 0
    while place < len(space):
        part = file.read(min(_CHUNK, len(space) - place))
        if not part:
            raise DamagedError("is damaged: it ends within an array")
        space[place : place + len(part)] = part
        place += len(part)


def _short(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) < 80 else f"of {len(shape)} axes"
