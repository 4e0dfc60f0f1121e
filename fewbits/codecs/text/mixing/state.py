"""What a mixed text file's model remembers, as arrays that the compiled loops change in place."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from fewbits.codecs.text.mixing import tables

FULL, FAST = 22, 8
"""Contexts of the two models; a fast one has the first of a full one's."""
PAIRS = ((0, 1), (1, 2), (2, 3), (3, 4), (5, 6), (6, 2))
"""Contexts whose histories are looked up together."""
SETS = (64, 256, 256, 64, 256, 512, 257)
"""Weight vectors of each first mixer."""
MATCHES = (6, 12)
"""Bytes that have to agree before a match model follows an earlier place."""
MATCH_STATES = 64
MAPS = 3
"""Final adaptive maps, each of 2^16 contexts and 33 knots."""
KNOTS = 33
FEWEST_BUCKETS_LOG2, MOST_BUCKETS_LOG2 = 10, 21
(
    POSITION, WORD, WORD1, WORD2, CODED, LETTERS, LINE, LINE_BEFORE, LINE_FIRST, CLASSES,
    POINTER, LENGTH, LOW, HIGH, CODE, PLACE,
) = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 17)  # fmt: skip
REGISTERS = 18


class Start(NamedTuple):
    """Numbers that a model starts from.

    Attributes:
      history: Int64[22, 256], 16-bit probability of a bit 1 after a history.
      history_count: how many bits that counts for.
      match: Int64[2, 64], 16-bit probability that a match's next bit is right, by its length class.
      weights: Int64[7, inputs], of the first mixers, 65536 for 1.
      final_weights: Int64[7], of the last mixer.
    """

    history: np.ndarray
    history_count: int
    match: np.ndarray
    weights: np.ndarray
    final_weights: np.ndarray


class Constants(NamedTuple):
    """Tables that no model changes; see `fewbits.codecs.text.mixing.tables`."""

    following: np.ndarray
    total: np.ndarray
    squash: np.ndarray
    stretch: np.ndarray
    rates: np.ndarray


class State(NamedTuple):
    """A model between two bytes.

    Attributes:
      text: UInt8[size], the prior's text and then what is known of the text.
      buckets: UInt8[contexts, 2^b, 16], a check byte and 15 histories each.
      recent1: Int64[256], bytes that followed each byte, the last in the low end.
      recent2: Int64[65536], the same after two bytes.
      places: Int32[2, 2^b], where a match model saw a hash last.
      order0: Int64[256], order1: Int64[65536], plain 16-bit probabilities.
      history: Int64[22, 256], pair: Int64[6, 65536], match: Int64[2, 128], adaptive maps: 22-bit
        probability, then 10 bits of count.
      weights: Int32[1665, inputs], first mixers, one after the other.
      final_weights: Int32[256, 8], the last mixer.
      maps: Int32[3, 65536 * 33], final maps.
      registers: Int64[18], see the names above.
    """

    text: np.ndarray
    buckets: np.ndarray
    recent1: np.ndarray
    recent2: np.ndarray
    places: np.ndarray
    order0: np.ndarray
    order1: np.ndarray
    history: np.ndarray
    pair: np.ndarray
    match: np.ndarray
    weights: np.ndarray
    final_weights: np.ndarray
    maps: np.ndarray
    registers: np.ndarray


@lru_cache(maxsize=1)
def constants() -> Constants:
    """Made once in a process."""
    found = tables.histories()
    return Constants(
        found.following, found.total, tables.squash(), tables.stretch(), tables.rates()
    )


def inputs(contexts: int) -> int:
    """Length of the mixers' input, padded with zeros to a multiple of 8."""
    return -(-(2 * contexts + len(PAIRS) + 2 + 2 * len(MATCHES) + 1) // 8) * 8


def buckets_log2(size: int) -> int:
    """Buckets of each context for a text, with its prior, of so many bytes."""
    needed = max(1, size - 1).bit_length()
    return min(MOST_BUCKETS_LOG2, max(FEWEST_BUCKETS_LOG2, needed))


def plain_start(contexts: int) -> Start:
    """A start that knows no text."""
    known = tables.histories().probability
    lengths = np.arange(MATCH_STATES)
    weights = np.zeros((len(SETS), inputs(contexts)), np.int64)
    weights[:, : 2 * contexts : 2] = 20000 * FULL // contexts
    return Start(
        np.tile(known, (FULL, 1)),
        0,
        np.tile(65536 - 32768 // (lengths + 2), (len(MATCHES), 1)),
        weights,
        np.full(len(SETS), 65536 // len(SETS), np.int64),
    )


def empty(contexts: int, log2: int, size: int, start: Start) -> State:
    """A model that has seen nothing.

    Args:
      contexts: `FULL` or `FAST`.
      log2: of the number of buckets, 10 to 21.
      size: bytes of the prior's text and of the text.
      start: numbers to start from.
    """
    known = tables.histories().probability
    # A pair starts as the history of its longer context, or of the shorter if that is empty.
    pair = np.tile(known, (256, 1))
    pair[:, 0] = known
    right, wrong = start.match, 65536 - start.match
    match = np.stack([wrong, right], axis=-1).reshape(len(MATCHES), 2 * MATCH_STATES)
    knots = np.clip(128 * np.arange(KNOTS), 1, 4095)
    weights = np.repeat(start.weights, SETS, axis=0)
    final = np.zeros((256, 8), np.int32)
    final[:, : len(SETS)] = start.final_weights
    registers = np.zeros(REGISTERS, np.int64)
    registers[HIGH] = (1 << 32) - 1
    return State(
        np.zeros(size, np.uint8),
        _lines((contexts, 1 << log2, 16)),
        np.zeros(256, np.int64),
        np.zeros(1 << 16, np.int64),
        np.zeros((len(MATCHES), 1 << log2), np.int32),
        np.full(256, 1 << 15, np.int64),
        np.full(1 << 16, 1 << 15, np.int64),
        start.history * 64 << 10 | start.history_count,
        np.tile(pair.reshape(-1) * 64 << 10 | 6, (len(PAIRS), 1)),
        np.minimum(match * 64, (1 << 22) - 1) << 10,
        weights.astype(np.int32),
        final,
        np.tile(constants().squash[knots].astype(np.int32), (MAPS, 1 << 16)),
        registers,
    )


def _lines(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that start with a cache line, so that neighbouring buckets share one."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 64, np.uint8)
    skipped = -raw.ctypes.data % 64
    return raw[skipped : skipped + size].reshape(shape)
