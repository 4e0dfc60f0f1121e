"""Integer tables of the logistic function, its inverse, and rates of learning.

Log odds are in units of 1/256 nat, probabilities in units of 2^-16. `decimal` computes the one
table that is not whole-number arithmetic, so every machine has the same.
"""

from __future__ import annotations

import decimal
import functools
from typing import NamedTuple

import numpy as np

ONE = 256
"""Log odds are in units of 1/256 nat."""
LARGEST = 12 * ONE - 1
"""Largest log odds in magnitude."""
CERTAIN = 1 << 16
"""Probabilities are in units of 2^-16, from 1 to 2^16 - 1."""
MAX_COUNT = 400
"""A context forgets at this rate: what it sees counts as one of so many."""


class Tables(NamedTuple):
    """What coding a bit looks up.

    Attributes:
      squash: int32[2 LARGEST + 1], probability of log odds x at place x + LARGEST.
      stretch: int16[2^16], the least log odds whose probability is at least p.
      rate: int64[MAX_COUNT + 1], share of the error that a context learns after n bits, in 2^-16.
      trust: int64[MAX_COUNT + 1], weight of a context that has seen n bits, in 2^-8.
    """

    squash: np.ndarray
    stretch: np.ndarray
    rate: np.ndarray
    trust: np.ndarray


@functools.cache
def squash() -> np.ndarray:
    """int64[2 LARGEST + 1]: 2^16 / (1 + exp(-x / 256)) of log odds x, from 1 to 2^16 - 1."""
    odds = []
    with decimal.localcontext(decimal.Context(prec=40)):
        factor, power = (1 / decimal.Decimal(ONE)).exp(), decimal.Decimal(1)
        for _ in range(LARGEST + 1):
            odds.append(int((CERTAIN * power / (1 + power)).to_integral_value()))
            power *= factor
    upper = np.minimum(np.array(odds, np.int64), CERTAIN - 1)
    table = np.concatenate([CERTAIN - upper[:0:-1], upper])
    table.setflags(write=False)
    return table


@functools.cache
def tables() -> Tables:
    """The tables of the format; FORMAT.md defines them."""
    places = np.searchsorted(squash(), np.arange(CERTAIN))
    stretch = np.minimum(places - LARGEST, LARGEST).astype(np.int16)
    seen = np.arange(MAX_COUNT + 1)
    rate = 10 * CERTAIN // (10 * seen + 16)
    trust = 10 * ONE * seen // (10 * seen + 4)
    return Tables(squash().astype(np.int32), stretch, rate, trust)
