"""The uniform grid of k bits: one step and one zero per tensor, both exact float32 numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MIN_BITS, MAX_BITS = 2, 16


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
    values = values.astype(np.float64)
    zero = np.float32(0)
    if values.size and (values.min() > 0 or values.max() < 0):
        zero = np.float32((values.min() + values.max()) / 2)
    values -= zero
    reach = np.abs(values).max(initial=0.0)
    step = np.float32(reach / largest_symbol(bits))
    if step == 0:
        return Grid(np.zeros(values.shape, np.int32), step, zero)
    symbols = np.rint(values / np.float64(step))
    limit = largest_symbol(bits)
    return Grid(np.clip(symbols, -limit, limit).astype(np.int32), step, zero)


def values(grid: Grid) -> np.ndarray:
    """The float32 values of a grid's symbols.

    A float32 step times a 16-bit symbol is exact in float64, so two roundings, both defined by
    IEEE 754, lead to the same float32 everywhere. Infinite where the sum passes float32.
    """
    exact = grid.symbols * np.float64(grid.step) + np.float64(grid.zero)
    with np.errstate(over="ignore"):
        return exact.astype(np.float32)
