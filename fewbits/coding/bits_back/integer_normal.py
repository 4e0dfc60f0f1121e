"""The normal distribution in whole numbers, so that encoder and decoder agree on any machine.

A number line is cut into bins; the cumulative count of bin i is

    F(i) = floor(Phi((edge_i - mean) / scale) (2^precision - bins)) + i,

strictly increasing from 0 to 2^precision, so that every bin can be coded. Phi comes from a table
that `decimal` computes, interpolated in integers.
"""

from __future__ import annotations

import decimal
import functools
from typing import NamedTuple

import numpy as np

_TABLE_BITS = 8
_FRACTION_BITS = 8
_REACH = 7
VALUE_BITS = 32
UNIT_BITS = _TABLE_BITS + _FRACTION_BITS
"""`phi` takes multiples of 2^-16."""
INVERSE_BITS = 2 * UNIT_BITS


class NormalBins(NamedTuple):
    """A normal distribution over bins; many at once where mean and inverse scale are arrays.

    Attributes:
      edges: int64[bins - 1], inner edges, increasing, in a unit u of the caller's.
      mean: int64[...], in u.
      inverse_scale: int64[...], 2^32 u / scale, at least 0; |edge - mean| times it below 2^62.
    """

    edges: np.ndarray
    mean: np.ndarray | int
    inverse_scale: np.ndarray | int

    @property
    def size(self) -> int:
        """Number of bins."""
        return self.edges.size + 1

    def cumulative(self, index: np.ndarray, precision: int) -> np.ndarray:
        """F(index), int64, for indices from 0 to `size`; broadcast against mean and scale."""
        inner = np.clip(index, 1, max(self.size - 1, 1)) - 1
        edge = self.edges[inner] if self.edges.size else np.zeros_like(inner)
        free = (1 << precision) - self.size
        below = phi((edge - self.mean) * self.inverse_scale >> UNIT_BITS)
        count = (below * free >> VALUE_BITS) + index
        ends = np.where(index <= 0, 0, 1 << precision)
        return np.where((index > 0) & (index < self.size), count, ends)


def phi(t: np.ndarray) -> np.ndarray:
    """Phi(t 2^-16) in units of 2^-32, int64, never decreasing; 0 and 1 beyond 7 deviations."""
    limit = _REACH << UNIT_BITS
    place = np.clip(np.asarray(t, np.int64), -limit, limit - 1) + limit
    cell, fraction = place >> _FRACTION_BITS, place & ((1 << _FRACTION_BITS) - 1)
    table = _table()
    return table[cell] + ((table[cell + 1] - table[cell]) * fraction >> _FRACTION_BITS)


def quantiles(numerators: np.ndarray, denominator: int) -> np.ndarray:
    """Where Phi reaches numerator / denominator, int64 in units of 2^-16, never decreasing.

    Args:
      numerators: int[...], from 0 to `denominator`.
      denominator: at most 2^30.
    """
    limit = _REACH << UNIT_BITS
    grid = np.arange(-limit, limit)
    levels = np.asarray(numerators, np.int64) * (1 << VALUE_BITS) // denominator
    return np.searchsorted(phi(grid), levels) - limit


@functools.cache
def _table() -> np.ndarray:
    """Phi at multiples of 1/256 from -7 to 7, in units of 2^-32, from its power series.

    Phi(t) = 1/2 + phi(t) sum_k t^(2k+1) / (1 3 5 ... (2k+1)).
    """
    upper = []
    with decimal.localcontext(decimal.Context(prec=40)):
        # 1 / sqrt(2 pi) to forty digits.
        root = decimal.Decimal("0.3989422804014326779399460599343818684759")
        for number in range((_REACH << _TABLE_BITS) + 1):
            t = decimal.Decimal(number) / (1 << _TABLE_BITS)
            square, term, total, k = t * t, t, t, 1
            while term > decimal.Decimal("1e-20"):
                k += 2
                term = term * square / k
                total += term
            upper.append(int((root * (-square / 2).exp() * total) * (1 << VALUE_BITS)))
    half = 1 << (VALUE_BITS - 1)
    rising = np.array(upper, np.int64)
    table = np.concatenate([half - rising[::-1], half + rising[1:]])
    table[0], table[-1] = 0, 1 << VALUE_BITS
    return table
