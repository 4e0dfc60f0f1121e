"""Bytes that a command reads, from a file or from standard input."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fewbits.coding import container
from fewbits.io.errors import FormatError, InputError
from fewbits.io.outputs import is_stream


def read_bytes(path: str | os.PathLike[str], most: int = container.MAX_FILE_BYTES) -> bytes:
    """Any bytes of a file, or of standard input for `-`.

    Args:
      path: of a regular file, or `-`.
      most: bytes that it may have.

    Raises:
      InputError: a pipe, a device or a folder, or more than `most` bytes.
      OSError: it cannot be read.
    """
    if is_stream(path):
        data = _standard_input().read(most + 1)
        if len(data) > most:
            raise InputError(f"standard input has more than {most:,} bytes")
        return data
    path = Path(path)
    # Asked before opening: opening a named pipe would wait for a writer.
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file; name a file, or - for standard input")
    size = path.stat().st_size
    if size > most:
        raise InputError(f"{path} has {size:,} bytes; at most {most:,}")
    return path.read_bytes()


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file that this package wrote, or of standard input for `-`.

    Raises:
      FormatError: it does not begin as such a file does, or is too large.
      InputError: standard input is a terminal.
      OSError: it cannot be read.
    """
    if not is_stream(path):
        return container.load_bytes(path)
    data = read_bytes(path)
    if not data.startswith(container.MAGIC):
        raise FormatError("standard input is not a fewbits file")
    return data


def _standard_input():
    if sys.stdin is None:
        raise InputError("-: there is no standard input; name a file")
    if sys.stdin.isatty():
        raise InputError("-: standard input is a terminal; name a file, or use a pipe")
    return sys.stdin.buffer
