"""The uniform grid of k bits: one step and one zero per tensor, both exact float32 numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

MIN_BITS, MAX_BITS = 2, 16
_BLOCK = 1 << 18


class Grid(NamedTuple):
    """A tensor on its grid: value = float32(zero + symbol * step).

    Attributes:
      symbols: int32[n], at most 2^(bits-1) - 1 in magnitude.
      step: float32, >= 0.
      zero: float32, the value of symbol 0.
    """

    symbols: np.ndarray
    step: np.float32
    zero: np.float32


def largest_symbol(bits: int) -> int:
    """The symbols of a k-bit grid run from minus to plus this; symmetrical, so that 0 is one."""
    return (1 << (bits - 1)) - 1


def quantise(values: np.ndarray, bits: int) -> Grid:
    """Rounds a tensor to the grid that spans its range.

    The step is max |w| / (2^(k-1) - 1) around zero = 0. Where all values have one sign, as scales
    and variances do, zero is the middle of the range and the step spans the rest.

    Args:
      values: float32[n], finite.
      bits: 2 to 16.
    """
    flat = np.ravel(values)
    low, high = (float(flat.min()), float(flat.max())) if flat.size else (0.0, 0.0)
    zero = np.float32(0)
    if low > 0 or high < 0:
        zero = np.float32((low + high) / 2)
    limit = largest_symbol(bits)
    reach = max(high - float(zero), float(zero) - low)
    step = np.float32(abs(reach) / limit)
    symbols = np.zeros(flat.size, np.int32)
    if step > 0:
        for block in _blocks(flat.size):
            exact = (flat[block].astype(np.float64) - zero) / np.float64(step)
            symbols[block] = np.clip(np.rint(exact), -limit, limit)
    return Grid(symbols.reshape(values.shape), step, zero)


def _blocks(size: int) -> Iterator[slice]:
    """Pieces of a tensor small enough that work on them in float64 takes no memory to speak of."""
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))


def values(grid: Grid) -> np.ndarray:
    """The float32 values of a grid's symbols.

    A float32 step times a 16-bit symbol is exact in float64, so two roundings, both defined by
    IEEE 754, lead to the same float32 everywhere. Infinite where the sum passes float32.
    """
    flat = np.ravel(grid.symbols)
    found = np.empty(flat.size, np.float32)
    with np.errstate(over="ignore"):
        for block in _blocks(flat.size):
            found[block] = flat[block] * np.float64(grid.step) + np.float64(grid.zero)
    return found.reshape(np.shape(grid.symbols))


def is_finite(grid: Grid) -> bool:
    """Whether all values are finite: whether those of the largest and the least symbol are."""
    ends = np.array([grid.symbols.min(initial=0), grid.symbols.max(initial=0)])
    return bool(np.isfinite(values(grid._replace(symbols=ends))).all())


def multiples(values: np.ndarray, step: np.float32) -> np.ndarray:
    """The nearest multiple of a step to each value, int32[n], halves to even.

    Args:
      values: float32[...], finite, less than 2^31 steps in magnitude.
      step: positive.
    """
    flat = np.ravel(values)
    found = np.empty(flat.size, np.int32)
    for block in _blocks(flat.size):
        found[block] = np.rint(flat[block].astype(np.float64) / np.float64(step))
    return found
