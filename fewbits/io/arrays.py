"""Arrays from a user's .npz file, and nothing else from it."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from fewbits.io.errors import InputError


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, by name.

    Raises:
      InputError: it is something else, damaged, or holds objects, which are never read.
      OSError: it cannot be opened.
    """
    # An open file of our own: NumPy leaves the one it opens open when it finds damage.
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise InputError(f"{path} is not an .npz file; save with numpy.savez")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (
            ValueError,
            EOFError,
            KeyError,
            NotImplementedError,
            MemoryError,
            OSError,  # a place before the file's beginning
            zlib.error,
            zipfile.BadZipFile,
        ) as error:
            raise InputError(
                f"{path} cannot be read as an .npz file: it is damaged, or holds objects where "
                "numbers are needed; save arrays with numpy.savez"
            ) from error
