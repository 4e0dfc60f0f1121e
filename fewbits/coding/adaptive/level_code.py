"""A number's level and sign as bits: zero or not, sign, unary, and Elias gamma for the large."""

from __future__ import annotations

import numpy as np

from fewbits.coding.adaptive.bit_mixer import code_bit
from fewbits.coding.adaptive.logistic import Tables
from fewbits.coding.compiled import compiled

N_BINS = 64
SCALE_CLASSES = 24
MIXED_BINS = 32
N_MIXERS = 2 * N_BINS + MIXED_BINS * SCALE_CLASSES
_UNARY = 18
_MOST_BITS = 30
_ZERO, _SIGN, _UNARY_STAGE, _PREFIX, _SUFFIX = range(5)


@compiled
def code_level(
    encode: bool,
    level: int,
    negative: int,
    odd: int,
    scale: int,
    zero_class: int,
    heading: int,
    context: np.ndarray,
    starts: np.ndarray,
    places: np.ndarray,
    inputs: np.ndarray,
    slots: np.ndarray,
    weights: np.ndarray,
    coder: np.ndarray,
    data: np.ndarray,
    tables: Tables,
) -> int:
    """Codes one level.

    Args:
      encode: whether level and sign are written; otherwise they are read.
      level: at least 0; ignored when reading.
      negative: 0 or 1; likewise.
      odd: 1 in the trellis's odd states.
      scale: below SCALE_CLASSES; chooses the second mixer.
      zero_class: likewise, for the first bit.
      heading: the sign that is expected, 1 for positive and 2 for negative, or 0; context 7 learns
        apart where it was right.
      context: int64[n], of each kind; the one of kind 7 is changed under a heading.
      starts: int64[n], first context of each kind.
      places: int64[n], for the function's own use.
      inputs: see `code_bit`, likewise `slots`, `weights`, `coder`, `data` and `tables`.
      slots: changed.
      weights: changed.
      coder: changed.
      data: written or read.
      tables: see `logistic`.

    Returns:
      Twice the level, plus 1 for a negative number; -1 where no encoder writes such a number.
    """
    stage = _ZERO
    unary = 1
    groups = 0
    left = 0
    rest = 1
    top = 0
    if level >= _UNARY:
        while (level - _UNARY + 1) >> (top + 1) > 0:
            top += 1
    while True:
        mixer = scale
        if stage == _ZERO:
            bin_ = 0
            bit = 1 if level > 0 else 0
            mixer = zero_class
        elif stage == _SIGN:
            bin_ = 1
            bit = negative
        elif stage == _UNARY_STAGE:
            bin_ = 1 + unary
            bit = 1 if level > unary else 0
        elif stage == _PREFIX:
            bin_ = 19 + min(groups, 15)
            bit = 1 if top > groups else 0
        else:
            bin_ = 35 + min(groups, 14) if left == groups else 50 + min(groups, 13)
            bit = ((level - _UNARY + 1) >> (left - 1)) & 1
        column = 2 * bin_ + (0 if stage == _SIGN else odd)
        for j in range(places.size):
            places[j] = (starts[j] + context[j]) * 128 + column
        second = 128 + min(bin_, 31) * 24 + mixer
        bit = code_bit(
            encode, bit, places, slots, weights, column, second, inputs, coder, data, tables
        )
        if stage == _ZERO:
            if bit == 0:
                return 0
            stage = _SIGN
        elif stage == _SIGN:
            negative = bit
            if heading > 0 and (heading == 2) == (bit == 1):
                context[7] += 192
            stage = _UNARY_STAGE
        elif stage == _UNARY_STAGE:
            if bit == 0:
                break
            unary += 1
            if unary == _UNARY:
                stage = _PREFIX
        elif stage == _PREFIX:
            if bit == 1:
                groups += 1
            if groups > _MOST_BITS:
                return -1
            if bit == 0:
                if groups == 0:
                    break
                left = groups
                stage = _SUFFIX
        else:
            rest = 2 * rest + bit
            left -= 1
            if left == 0:
                break
    level = unary if unary < _UNARY else rest + _UNARY - 1
    return 2 * level + negative
