"""What the command lines of all rooms do alike: one line for a mistake, exit status 2."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from coding.errors import FormatError, InputError


def run(parser: argparse.ArgumentParser, arguments: list[str] | None) -> int:
    """Parses and runs one command line.

    Args:
      parser: whose commands set `run`, a function of the options.
      arguments: None for the process's own.

    Returns:
      The exit status: 2 for a user's or a file's mistake, after one line that says what it was.
    """
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (InputError, FormatError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or ''}: {error.strerror or error}")
    return 0


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


def _fail(line: str) -> int:
    sys.stderr.write(f"error: {line}\n")
    return 2
