"""Decoding in a fresh process: a size counts only for a file that one has decoded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.records import REPOSITORY


class FreshProcessError(Exception):
    """The fresh process failed; the message carries its own last words."""


def python(module: str, arguments: Sequence[str | Path]) -> str:
    """Run `python -m module arguments` in a process that shares nothing with this one but files.

    Returns:
      What it printed.

    Raises:
      FreshProcessError: it ended with a status other than 0.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    search = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        # The CPU decodes what an accelerator wrote, and needs no share of its memory.
        env={**os.environ, "PYTHONPATH": search, "JAX_PLATFORMS": "cpu"},
    )
    if done.returncode != 0:
        raise FreshProcessError(f"{' '.join(command[1:])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
