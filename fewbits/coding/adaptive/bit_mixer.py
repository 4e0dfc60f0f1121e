"""One bit, predicted by several contexts at once: logistic mixing and a binary arithmetic coder.

Each context holds a probability that moves towards the bits it sees, fast at first. Two sets of
weights turn the contexts' log odds into two predictions, whose mean codes the bit; each set then
follows the gradient of its own code length. This is the mixing of PAQ (Mahoney 2005), here in
whole numbers throughout: encoder and decoder agree on every machine.
"""

from __future__ import annotations

import numpy as np

from fewbits.coding import binary_coder
from fewbits.coding.adaptive.logistic import LARGEST, MAX_COUNT, ONE, Tables
from fewbits.coding.compiled import compiled

COUNT_BITS = 10
PROBABILITY_BITS = 21
NEW_SLOT = 1 << (PROBABILITY_BITS - 1 + COUNT_BITS)
"""A context that has seen nothing: probability one half, count 0."""
WEIGHT_ONE = 1 << 16
BITS = binary_coder.REGISTERS
"""Where the array `coder` holds the number of bits coded so far, behind the arithmetic coder's."""
_COUNT_MASK = (1 << COUNT_BITS) - 1
_TOP = (1 << PROBABILITY_BITS) - 1
_TO_STRETCH = PROBABILITY_BITS - 16
_SLOW_RATE, _FAST_RATE, _FAST_BITS = 14, 200_000, 4_000


@compiled
def code_bit(
    encode: bool,
    bit: int,
    places: np.ndarray,
    slots: np.ndarray,
    weights: np.ndarray,
    first: int,
    second: int,
    inputs: np.ndarray,
    coder: np.ndarray,
    data: np.ndarray,
    tables: Tables,
) -> int:
    """Codes a bit and learns from it.

    Args:
      encode: whether `bit` is written; otherwise it is read.
      bit: 0 or 1; ignored when reading.
      places: int64[n], each context's slot.
      slots: int32[...], probability and count of every context; changed.
      weights: int64[sets, n + 1], the mixers' weights in units of 2^-16; changed.
      first: row of `weights` of the first mixer.
      second: row of `weights` of the second mixer.
      inputs: int64[n + 1], for the function's own use; the last is constant.
      coder: int64[5]; changed.
      data: uint8[...], written or read.
      tables: see `logistic`.

    Returns:
      The bit.
    """
    squash, stretch, rate, trust = tables
    count = places.size
    one = ONE * weights[first, count]
    two = ONE * weights[second, count]
    for j in range(count):
        slot = slots[places[j]]
        log_odds = stretch[slot >> (COUNT_BITS + _TO_STRETCH)]
        inputs[j] = (log_odds * trust[slot & _COUNT_MASK]) >> 8
        one += inputs[j] * weights[first, j]
        two += inputs[j] * weights[second, j]
    one = min(max(one >> 16, -LARGEST), LARGEST)
    two = min(max(two >> 16, -LARGEST), LARGEST)
    probability = squash[((one + two) >> 1) + LARGEST]

    bit = binary_coder.code(encode, bit, probability, coder, data)

    speed = _SLOW_RATE + _FAST_RATE // (coder[BITS] + _FAST_BITS)
    coder[BITS] += 1
    one = ((bit << 16) - squash[one + LARGEST]) * speed
    two = ((bit << 16) - squash[two + LARGEST]) * speed
    for j in range(count + 1):
        weights[first, j] += (inputs[j] * one + (1 << 19)) >> 20
        weights[second, j] += (inputs[j] * two + (1 << 19)) >> 20
    for j in range(count):
        slot = slots[places[j]]
        seen = slot & _COUNT_MASK
        belief = slot >> COUNT_BITS
        if bit:
            belief += ((_TOP - belief) * rate[seen]) >> 16
        else:
            belief -= (belief * rate[seen]) >> 16
        slots[places[j]] = (belief << COUNT_BITS) | min(seen + 1, MAX_COUNT)
    return bit
