"""Decoding in a subprocess: a size counts only for a file that one has decoded."""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.runner.records import REPOSITORY


class SubprocessFailedError(Exception):
    """The subprocess failed; the message carries its own last words."""


def python(module: str, arguments: Sequence[str | Path], *, same_device: bool = False) -> str:
    """Run `python -m module arguments` in a process that shares nothing with this one but files.

    Args:
      module: what to run.
      arguments: of its command line.
      same_device: whether it runs where this process would, as a decoder has to that repeats
        floats; else the CPU decodes what an accelerator wrote, and needs no share of its memory.

    Returns:
      What it printed.

    Raises:
      SubprocessFailedError: it ended with a status other than 0.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    search = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    # On a GPU, no process takes all memory for itself.
    device = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if same_device else {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": search, **device},
    )
    if done.returncode != 0:
        raise SubprocessFailedError(
            f"{' '.join(command[1:])} failed: {done.stderr.strip()[-2000:]}"
        )
    return done.stdout


def call(function: Callable[..., Any], *arguments: Any, same_device: bool = False) -> Any:
    """`function(*arguments)`, a function of a module, in such a process; see `python`."""
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "given", Path(folder) / "result"
        given.write_bytes(pickle.dumps((function, arguments)))
        python(__name__, [given, result], same_device=same_device)
        return pickle.loads(result.read_bytes())


if __name__ == "__main__":
    _function, _arguments = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps(_function(*_arguments)))
