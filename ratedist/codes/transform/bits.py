"""Adaptive binary arithmetic coding with mixed contexts, in whole numbers.

Each binary decision is predicted by several contexts. A context holds a probability (16 bits) and
how often it was used; the predictions are combined in the logistic domain by weights that follow
the gradient of the coding cost (logistic mixing, Mahoney 2005). The mixed probability drives the
binary arithmetic coder. Encoder and decoder are the same function: in one direction the decision is
given, in the other it is read, so both adapt alike. There is no floating point in it.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from fewbits.coding import FormatError, binary_coder
from fewbits.coding.adaptive import logistic
from fewbits.coding.binary_coder import HIGH, LOW, PLACE
from fewbits.coding.compiled import compiled

INPUTS = 10
"""Contexts of one decision."""
DECODING = binary_coder.REGISTERS
"""The register that is 1 in a coder that reads, else 0."""
_LIMIT = logistic.LARGEST
_COUNT_LIMIT = 255
_LEAST = 24
"""No decision is thought less likely than this many 2^-16."""
_MOST_OVERRUN = 1 << 16


class Coder(NamedTuple):
    """All state of a coder, as arrays that `code_bit` changes.

    Attributes:
      registers: Int[5], those of the arithmetic coder, and `DECODING`.
      buffer: UInt8[n], the stream.
      chances: Int[contexts, 2], probability of a one in 1/65536 and number of uses.
      weights: Int[sets, INPUTS], mixing weights in 1/65536.
      inputs: Int[INPUTS], contexts of the next decision.
      stretched: Int[INPUTS], their log odds.
      stretch: Int[4096], log odds of probabilities.
      squash: Int[6143], probabilities of log odds.
      rates: Int[256], by how much a context moves after so many uses, in 1/65536.
      trust: Int[256], how much a context counts after so many uses, in 1/256.
    """

    registers: np.ndarray
    buffer: np.ndarray
    chances: np.ndarray
    weights: np.ndarray
    inputs: np.ndarray
    stretched: np.ndarray
    stretch: np.ndarray
    squash: np.ndarray
    rates: np.ndarray
    trust: np.ndarray


def start(contexts: int, sets: int, data: bytes | None = None, capacity: int = 0) -> Coder:
    """A coder that writes (to `capacity` bytes) or, given `data`, one that reads."""
    registers = np.zeros(binary_coder.REGISTERS + 1, np.int64)
    binary_coder.start(registers, data)
    registers[DECODING] = data is not None
    buffer = np.frombuffer(bytearray(capacity if data is None else data), np.uint8)
    chances = np.zeros((contexts, 2), np.int64)
    chances[:, 0] = 1 << 15
    weights = np.full((sets, INPUTS), 65536 * 7 // (10 * INPUTS), np.int64)
    inputs = np.zeros(INPUTS, np.int64)
    return Coder(registers, buffer, chances, weights, inputs, inputs.copy(), *_tables())


def is_full(coder: Coder) -> bool:
    """Whether the buffer was too short for what was written."""
    return int(coder.registers[PLACE]) + 4 > coder.buffer.size


def finish(coder: Coder) -> bytes:
    """The bytes written.

    Raises:
      ValueError: they were too many for the buffer.
    """
    if is_full(coder):
        raise ValueError("the stream is longer than its buffer")
    at = int(coder.registers[PLACE])
    # Not `binary_coder.last_bytes`, which ends some streams otherwise: the same signal keeps giving
    # the same file.
    low, high = int(coder.registers[LOW]), int(coder.registers[HIGH])
    for length in range(1, 5):
        word = ((low >> (32 - 8 * length)) + 1) << (32 - 8 * length)
        if word <= high:
            break
    if low == 0:
        word, length = 0, 1
    written = coder.buffer[:at].tobytes() + word.to_bytes(4, "big")[:length]
    return written.rstrip(b"\0")


def check_read(coder: Coder) -> None:
    """Refuses a stream that ended far too early.

    Raises:
      FormatError: more was read than there is.
    """
    if int(coder.registers[PLACE]) - 4 - coder.buffer.size > _MOST_OVERRUN:
        raise FormatError("the stream ends too early", "symbols")


@compiled
def code_bit(coder, bit, first_set, second_set):
    """Codes one decision under the contexts in `coder.inputs`; returns it.

    Args:
      coder: Coder.
      bit: 0 or 1; ignored when reading.
      first_set: weights for this kind of decision.
      second_set: further weights, added to them.
    """
    registers, chances, weights = coder.registers, coder.chances, coder.weights
    total = 0
    for i in range(INPUTS):
        context = coder.inputs[i]
        count = chances[context, 1]
        value = (coder.stretch[chances[context, 0] >> 4] * coder.trust[count]) >> 8
        coder.stretched[i] = value
        total += value * (weights[first_set, i] + weights[second_set, i])
    total >>= 16
    total = min(max(total, -_LIMIT), _LIMIT)
    chance = coder.squash[total + _LIMIT]
    bit = binary_coder.code(registers[DECODING] == 0, bit, chance, registers, coder.buffer)
    error = (bit << 16) - chance
    for i in range(INPUTS):
        context = coder.inputs[i]
        step = (coder.stretched[i] * error * 3 + (1 << 17)) >> 18
        weights[first_set, i] += step
        weights[second_set, i] += step
        count = chances[context, 1]
        if count == 0:
            # A context met for the first time starts at what the others believed.
            chances[context, 0] = chance
        target = 65535 if bit else 0
        chances[context, 0] += ((target - chances[context, 0]) * coder.rates[count]) >> 16
        if count < _COUNT_LIMIT:
            chances[context, 1] = count + 1
    return bit


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    squash = np.clip(logistic.squash(), _LEAST, logistic.CERTAIN - _LEAST)
    places = (np.arange(4096) << 4) + 8
    stretch = np.searchsorted(squash, places) - _LIMIT
    uses = np.arange(_COUNT_LIMIT + 1)
    rates = (65536 * 2) // (2 * uses + 3)
    trust = (256 * uses * 4) // (4 * uses + 3)
    return stretch.astype(np.int64), squash, rates.astype(np.int64), trust.astype(np.int64)
