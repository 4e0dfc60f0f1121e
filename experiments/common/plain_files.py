"""Files of general-purpose compressors: what everybody has, decoded in a subprocess like ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.runner import subprocesses
from fewbits.codecs import general_purpose
from fewbits.training.trees import named_leaves

CODECS = {codec.suffix: codec for codec in general_purpose.CODECS.values()}


def save(path: Path, content: bytes) -> int:
    """Compress `content` with the codec of the path's suffix; the bytes of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CODECS[path.suffix].compress(content))
    return path.stat().st_size


def symbols(params: Any, step: float | None = None) -> bytes:
    """Quantised tensors as integers, one after the other: what a user would hand to xz.

    Args:
      params: on a uniform grid.
      step: of the grid; None takes a fifteenth of each tensor's largest magnitude, as of 5 bits.
    """
    found = []
    for leaf in map(np.asarray, named_leaves(params).values()):
        largest = np.float64(np.abs(leaf).max(initial=0))
        found.append(np.rint(leaf.ravel() / (np.float32(step) if step else largest / 15 or 1.0)))
    together = np.concatenate(found)
    return together.astype(np.int8 if np.abs(together).max() < 128 else np.int16).tobytes()


def check(files: Sequence[tuple[Path, bytes]]) -> None:
    """One subprocess decompresses all files to the given contents.

    Raises:
      ValueError: one of them to another.
    """
    decoded = subprocesses.call(_read, [path for path, _ in files])
    for (path, content), found in zip(files, decoded, strict=True):
        if found != content:
            raise ValueError(f"{path.name} does not decompress to what was written")


def _read(paths: Sequence[Path]) -> list[bytes]:
    return [CODECS[path.suffix].decompress(path.read_bytes()) for path in paths]
