"""Adaptive binary arithmetic coding with mixed contexts, in whole numbers.

Each binary decision is predicted by several contexts. A context holds a probability (16 bits) and
how often it was used; the predictions are combined in the logistic domain by weights that follow
the gradient of the coding cost (logistic mixing, Mahoney 2005). The mixed probability drives a
binary arithmetic coder with 32-bit bounds. Encoder and decoder are the same function: in one
direction the decision is given, in the other it is read, so both adapt alike. There is no floating
point in it; numba only makes it fast.
"""

from __future__ import annotations

import contextlib
import decimal
import functools
import hashlib
import types
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import config as numba_config

from fewbits.coding import FormatError

INPUTS = 10
"""Contexts of one decision."""
_STRETCH_ONE = 256
_STRETCH_LIMIT = 3071
_COUNT_LIMIT = 255
_LOW, _HIGH, _CODE, _AT, _DECODING, _OVERRUN = range(6)


def compiled(function: Any) -> Any:
    """`function`, compiled once for an installation where something can be written, else anew.

    numba reuses what it compiled as long as the file of the function is as it was, also when a
    function that it calls has changed. A constant that the function closes over is part of what
    it compares; here that is a digest of all files whose functions call one another.
    """
    if not is_compiled():
        return function
    code = function.__code__.replace(co_freevars=("sources",))
    cell = types.CellType(_sources())
    closed = types.FunctionType(code, function.__globals__, function.__name__, None, (cell,))
    closed.__module__, closed.__qualname__ = function.__module__, function.__qualname__
    with contextlib.suppress(RuntimeError):
        return numba.njit(cache=True)(closed)
    return numba.njit(closed)


@functools.cache
def _sources() -> bytes:
    digest = hashlib.blake2b()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def is_compiled() -> bool:
    """Whether functions are compiled; interpreted, they take about a hundred times as long."""
    return not numba_config.DISABLE_JIT  # pyright: ignore[reportAttributeAccessIssue]


class Coder(NamedTuple):
    """All state of a coder, as arrays that `code_bit` changes.

    Attributes:
      registers: Int[6], bounds of the interval, the code word, the place in the buffer.
      buffer: UInt8[n], the stream.
      chances: Int[contexts, 2], probability of a one in 1/65536 and number of uses.
      weights: Int[sets, INPUTS], mixing weights in 1/65536.
      inputs: Int[INPUTS], contexts of the next decision.
      stretched: Int[INPUTS], their log odds.
      tables: stretch, squash, reciprocals, confidences.
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
    registers = np.zeros(6, np.int64)
    registers[_HIGH] = 0xFFFFFFFF
    if data is None:
        buffer = np.zeros(capacity, np.uint8)
    else:
        buffer = np.frombuffer(data + bytes(4), np.uint8).copy()
        registers[_CODE] = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        registers[_AT], registers[_DECODING] = 4, 1
    chances = np.zeros((contexts, 2), np.int64)
    chances[:, 0] = 1 << 15
    weights = np.full((sets, INPUTS), 65536 * 7 // (10 * INPUTS), np.int64)
    inputs = np.zeros(INPUTS, np.int64)
    return Coder(registers, buffer, chances, weights, inputs, inputs.copy(), *_tables())


def is_full(coder: Coder) -> bool:
    """Whether the buffer was too short for what was written."""
    return int(coder.registers[_AT]) + 4 > coder.buffer.size


def finish(coder: Coder) -> bytes:
    """The bytes written.

    Raises:
      ValueError: they were too many for the buffer.
    """
    if is_full(coder):
        raise ValueError("the stream is longer than its buffer")
    at = int(coder.registers[_AT])
    # The shortest word within the interval; the reader continues it with zeros.
    low, high = int(coder.registers[_LOW]), int(coder.registers[_HIGH])
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
    if coder.registers[_OVERRUN] > 1 << 16:
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
    total = min(max(total, -_STRETCH_LIMIT), _STRETCH_LIMIT)
    chance = coder.squash[total + _STRETCH_LIMIT]
    low, high = registers[_LOW], registers[_HIGH]
    middle = low + ((high - low) >> 16) * chance + ((((high - low) & 0xFFFF) * chance) >> 16)
    if registers[_DECODING]:
        bit = 1 if registers[_CODE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        at = registers[_AT]
        if registers[_DECODING]:
            following = 0
            if at < coder.buffer.size:
                following = coder.buffer[at]
            else:
                registers[_OVERRUN] += 1
            registers[_CODE] = ((registers[_CODE] & 0xFFFFFF) << 8) | following
        elif at < coder.buffer.size:
            coder.buffer[at] = high >> 24
        registers[_AT] = at + 1
        low = (low & 0xFFFFFF) << 8
        high = ((high & 0xFFFFFF) << 8) | 255
    registers[_LOW], registers[_HIGH] = low, high
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
    """Correctly rounded by `decimal`, hence the same everywhere."""
    span = np.arange(-_STRETCH_LIMIT, _STRETCH_LIMIT + 1)
    with decimal.localcontext(decimal.Context(prec=24)):
        base = (decimal.Decimal(1) / _STRETCH_ONE).exp()
        powers = [base**-_STRETCH_LIMIT]
        for _ in span[1:]:
            powers.append(powers[-1] * base)
        squash = [int(65536 * power / (1 + power) + decimal.Decimal("0.5")) for power in powers]
    squash = np.clip(np.array(squash, np.int64), 24, 65536 - 24)
    places = (np.arange(4096) << 4) + 8
    stretch = np.searchsorted(squash, places) - _STRETCH_LIMIT
    uses = np.arange(_COUNT_LIMIT + 1)
    rates = (65536 * 2) // (2 * uses + 3)
    trust = (256 * uses * 4) // (4 * uses + 3)
    return stretch.astype(np.int64), squash, rates.astype(np.int64), trust.astype(np.int64)
