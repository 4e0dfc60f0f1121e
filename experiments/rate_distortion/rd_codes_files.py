"""Letters that are put into files, and what a subprocess reads back from them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import ratedist
from experiments.runner import subprocesses
from fewbits.coding import container


class Measured(NamedTuple):
    """A file as it is found on disk."""

    bytes: int
    bits: float
    """Of the whole file, per letter."""
    distortion: float
    """Mean squared error of what a subprocess decodes from it."""


def write(path: Path, content: bytes, samples: np.ndarray) -> Measured:
    """Write a file and `check` it."""
    container.save(path, content)
    return check(path, samples)


def check(path: Path, samples: np.ndarray) -> Measured:
    """Decode in a subprocess and compare with the samples that went in.

    Raises:
      ValueError: it decodes to another shape or type.
    """
    values = subprocesses.call(ratedist.decode, container.load_bytes(path))
    # Codes of numbers without an order are decoded in single precision.
    narrow = samples.dtype == np.float64 and values.dtype == np.float32
    if values.shape != samples.shape or not (narrow or values.dtype == samples.dtype):
        raise ValueError(f"{path.name} decodes to {values.dtype} of {values.shape}")
    size = path.stat().st_size
    error = float(((values.astype(float) - samples) ** 2).mean())
    return Measured(size, 8 * size / samples.size, error)
