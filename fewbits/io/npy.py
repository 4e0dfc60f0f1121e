"""One array in a file of NumPy's own form, whatever the file is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fewbits.io.errors import InputError

MAGIC = b"\x93NUMPY"


def is_npy(path: Path) -> bool:
    """Whether a file begins as `numpy.save` writes it."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_npy(path: Path) -> np.ndarray:
    """The array of a file.

    Raises:
      InputError: damaged, or an array of objects, which are never read.
    """
    try:
        # Mapped first: a size that the file does not have is refused before anything is allocated.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, OSError, OverflowError, SyntaxError, MemoryError) as error:
        raise InputError(
            f"{path} is no sound .npy file of numbers; save one with numpy.save"
        ) from error
