"""Training sets that a subprocess has decoded from a file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.runner import subprocesses
from fewbits.training import downstream


def from_archive(path: Path, per_class: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels drawn from a file of `lgc`; None for as many as it says itself."""
    counted = [] if per_class is None else ["--per-class", str(per_class)]
    return _decoded("lgc", ["decompress", path], [*counted, "--seed", str(seed)])


def from_subset(path: Path, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A lossless subset, repeated to the size of the other training sets."""
    return downstream.to_size(
        *_decoded("lgc.coresets.lossless_subset", ["decompress", path], []), size, seed
    )


def _decoded(
    module: str, command: Sequence[str | Path], options: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "decoded.npz"
        subprocesses.python(module, [*command, out, *options])
        with np.load(out) as decoded:
            return decoded["images"], decoded["labels"]
