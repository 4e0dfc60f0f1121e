"""Where results go: checked before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from fewbits.io.errors import InputError


def check_writable(path: Path) -> None:
    """Before any work is done: a wrong folder should not cost minutes.

    Raises:
      InputError: a file of this name cannot be written.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: the folder {path.parent} is not yours to write to")
