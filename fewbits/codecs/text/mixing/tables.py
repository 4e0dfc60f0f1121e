"""The integer tables that a mixed text file is defined by, made by integer arithmetic alone.

Probabilities are of a bit 1, in units of 2^-16. A *logit* is ln(p / (1 - p)) in units of 1/256,
within +-2047.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LOGIT_LIMIT = 2047
_UNIT = 1 << 40
_MOST = (40, 30, 14, 9, 7, 6)
"""The larger of a state's two counts, by the smaller."""
_LAST_BIT_UP_TO = 12
"""Sum of the counts up to which a state knows the last bit."""
_RATES = 1024


class History(NamedTuple):
    """Bits seen in a context, bounded.

    Attributes:
      zeros: count of bits 0.
      ones: count of bits 1.
      last: the last bit, where that is kept; else the more frequent one.
    """

    zeros: int
    ones: int
    last: int


class HistoryTables(NamedTuple):
    """The state machine of `History`.

    Attributes:
      following: UInt8[256, 2], the state after a bit.
      total: UInt8[256], bits counted; the priority of a bucket that starts in this state.
      probability: Int64[256], a start for the adaptive maps, 16 bits.
    """

    following: np.ndarray
    total: np.ndarray
    probability: np.ndarray


def histories() -> HistoryTables:
    """All histories, numbered by total, then by (zeros, ones, last); 0 is the empty one."""
    found = [History(0, 0, 0)]
    for history in found:
        for bit in (0, 1):
            after = _after(history, bit)
            if after not in found:
                found.append(after)
    found.sort(key=lambda h: (h.zeros + h.ones, h))
    number = {history: n for n, history in enumerate(found)}
    following = np.zeros((256, 2), np.uint8)
    total = np.zeros(256, np.uint8)
    probability = np.full(256, 1 << 15, np.int64)
    for n, history in enumerate(found):
        following[n] = [number[_after(history, bit)] for bit in (0, 1)]
        total[n] = history.zeros + history.ones
        probability[n] = 65536 * (5 * history.ones + 2) // (5 * int(total[n]) + 4)
    return HistoryTables(following, total, probability)


def squash() -> np.ndarray:
    """Int64[4096]: 16-bit probability of the logit n - 2048, within 1 to 65535."""
    upper = [_logistic(n) for n in range(2048)]
    lower = [65536 - _logistic(n) for n in range(2048, 0, -1)]
    return np.clip(np.array(lower + upper, np.int64), 1, 65535)


def stretch() -> np.ndarray:
    """Int32[4096]: logit of the 16-bit probability 16 n + 8: the first whose squash reaches it."""
    found = np.searchsorted(squash(), 16 * np.arange(4096) + 8) - 2048
    return np.clip(found, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.int32)


def rates() -> np.ndarray:
    """Int64[1024]: share by which an adaptive map moves after n bits, 1 / (n + 1.6), 16 bits."""
    return np.array([655360 // (10 * n + 16) for n in range(_RATES)], np.int64)


def kinds() -> np.ndarray:
    """Int64[256]: 6 capital, 1 other letter or from 128, 2 digit, 3 space, 4 line feed, 5 else."""
    found = np.full(256, 5, np.int64)
    found[128:] = found[97:123] = 1
    found[65:91], found[48:58], found[32], found[10] = 6, 2, 3, 4
    return found


def length_classes(most: int) -> tuple[np.ndarray, np.ndarray]:
    """Int64[most + 1] each: the length of a match as one of 31 and as one of 8."""
    length = np.arange(most + 1)
    fine = np.select(
        [length < 16, length < 32, length < 64, length < 400],
        [length, 16 + (length - 16) // 4, 20 + (length - 32) // 8, 24 + (length - 64) // 64],
        30,
    )
    coarse = sum((length >= limit).astype(np.int64) for limit in (1, 8, 12, 16, 24, 32, 64))
    return fine.astype(np.int64), np.asarray(coarse, np.int64)


def _after(history: History, bit: int) -> History:
    mine, other = (history.zeros, history.ones) if bit == 0 else (history.ones, history.zeros)
    # A surprise makes much of the past doubtful.
    other = other if other <= 2 else 2 + sum(other > limit for limit in (3, 6, 12, 25))
    if _allowed(mine + 1, other):
        mine += 1
    else:
        while not _allowed(mine, other):
            mine -= 1
    zeros, ones = (mine, other) if bit == 0 else (other, mine)
    if zeros == 0 or ones == 0 or zeros + ones > _LAST_BIT_UP_TO:
        bit = int(ones > zeros)
    return History(zeros, ones, bit)


def _allowed(one: int, other: int) -> bool:
    fewer, more = sorted((one, other))
    return fewer < len(_MOST) and more <= _MOST[fewer]


def _logistic(logit: int) -> int:
    """65536 / (1 + exp(-logit / 256)), rounded to the nearest, for logits of at least 0."""
    term = total = _UNIT
    count = 1
    while term:
        term = term * logit // (256 * 16 * count)
        total += term
        count += 1
    power = _UNIT
    for _ in range(16):
        power = power * total // _UNIT
    return (65536 * power + (_UNIT + power) // 2) // (_UNIT + power)
