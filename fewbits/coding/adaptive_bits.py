"""Adaptive binary models: odds of coin tosses, learned in integers, one row of tosses at a time.

A context counts how often it has seen heads and tails; several contexts predict the same toss, and
their log odds are added up. All of it is fixed-point arithmetic on whole
numbers (logarithms to base two in steps of 1/256 from a table that `decimal` rounds), so encoder
and decoder agree on any machine. The odds of a whole row follow from the rows before it, which
keeps the arithmetic in NumPy.

Log odds are rounded to half octaves before they become one of 65 frequency tables. That costs at
most a thousandth of the coded length and lets tosses with equal odds be coded together.
"""

from __future__ import annotations

import decimal
import functools

import numpy as np

from fewbits.coding.tables import MAX_PRECISION, FrequencyTable

ONE = 256
"""Log odds are in units of 1/256 octave."""
_MANTISSA_BITS = 8
_STEP_BITS = 7
_STEP = 1 << _STEP_BITS
_MAX_LEVEL = 32
_SCALE_BITS = 16
_PRIOR_TOSSES = 2


class AdaptiveBits:
    """Odds of rows of coin tosses, from contexts that learn.

    Attributes:
      base: log odds of heads before anything is known, int.
    """

    def __init__(self, n_contexts: int, heads: int, tails: int):
        """Starts with every context believing in `heads` : `tails`, as if it had seen two tosses.

        Args:
          n_contexts: number of contexts of all kinds together.
          heads: how many heads there are or are thought to be, >= 1.
          tails: likewise.
        """
        self.base = int(log2(heads) - log2(tails))
        share = (heads << _SCALE_BITS) // (heads + tails)
        self._prior = np.clip(share, 1, (1 << _SCALE_BITS) - 1) * _PRIOR_TOSSES
        self._tosses = np.zeros(n_contexts, np.int64)
        self._heads = np.zeros(n_contexts, np.int64)

    def evidence(self, contexts: np.ndarray) -> np.ndarray:
        """How far each context's log odds lie above `base`, int64 of the shape of `contexts`."""
        heads = self._heads[contexts]
        tails = self._tosses[contexts] - heads
        in_favour = (heads << _SCALE_BITS) + self._prior
        against = (tails << _SCALE_BITS) + (_PRIOR_TOSSES << _SCALE_BITS) - self._prior
        return log2(in_favour) - log2(against) - self.base

    def learn(self, contexts: np.ndarray, bits: np.ndarray) -> None:
        """Counts a row of tosses.

        Args:
          contexts: int[k, n], the k contexts of each toss; no context is of two kinds.
          bits: bool[n].
        """
        size = self._tosses.size
        self._tosses += np.bincount(contexts.ravel(), minlength=size)
        self._heads += np.bincount(contexts[:, bits].ravel(), minlength=size)


def log2(numbers: np.ndarray | int) -> np.ndarray:
    """Logarithm to base two of whole numbers >= 1 below 2^53, in units of 1/256, rounded down."""
    # frexp of a whole number that a float64 holds exactly only looks at its bits.
    mantissa, exponent = np.frexp(np.asarray(numbers, np.float64))
    place = (mantissa * (2 << _MANTISSA_BITS)).astype(np.int64) - (1 << _MANTISSA_BITS)
    return (exponent.astype(np.int64) - 1) * ONE + _logarithms()[place]


def levels(log_odds: np.ndarray) -> np.ndarray:
    """The index into `level_tables` of tosses with these log odds, int64 of the same shape."""
    nearest = (log_odds + _STEP // 2) >> _STEP_BITS
    return np.clip(nearest, -_MAX_LEVEL, _MAX_LEVEL) + _MAX_LEVEL


@functools.cache
def level_tables() -> tuple[FrequencyTable, ...]:
    """Tables for a toss (0 or 1) whose log odds are -16, -15.5, ... 16 octaves."""
    total = 1 << MAX_PRECISION
    tables = []
    with decimal.localcontext(decimal.Context(prec=40)):
        for level in range(-_MAX_LEVEL, _MAX_LEVEL + 1):
            odds = decimal.Decimal(2) ** (decimal.Decimal(level) / (ONE // _STEP))
            heads = int((total * odds / (1 + odds)).to_integral_value())
            tables.append(FrequencyTable(0, np.array([total - heads, heads])))
    return tuple(tables)


@functools.cache
def level_costs() -> np.ndarray:
    """float64[levels, 2]: bits that tails and heads cost at each level."""
    return np.stack([table.cost_bits for table in level_tables()])


@functools.cache
def _logarithms() -> np.ndarray:
    with decimal.localcontext(decimal.Context(prec=40)):
        octave = decimal.Decimal(2).ln()
        size = 1 << _MANTISSA_BITS
        values = [int((decimal.Decimal(size + i) / size).ln() / octave * ONE) for i in range(size)]
    return np.array(values, np.int64)
