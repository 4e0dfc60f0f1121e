"""What has followed a context before: counts of candidate bytes in tables that both sides keep.

A context is a hash of the last n bytes, or of the word so far, of each stream. Its slot holds up to
four bytes that followed it and how often, the likeliest first; a mismatch of an 8-bit check empties
it. Counts age as in PAQ (Mahoney 2005): what follows halves the excess of the others. All of it is
integer arithmetic on the host, so encoder and decoder agree; the network sees, for each candidate,
one of 56 states made of its count and the others'.
"""

from __future__ import annotations

import numpy as np

from fewbits.training.models.context_features import Contexts, Features

ORDERS = (1, 2, 3, 4, 5, 6, 8, 12, 18)
"""Contexts of the last n bytes, after two of the word so far: alone and after the word before."""
CANDIDATES = 4
_WORTH_BY_CONTEXT = (1.3, 0.5, 0.5, 0.9, 1.2, 0.9, 0.6, 0.5, 0.5, 0.8, 1.2)
_WORTH_BY_LEVEL = (0.65, 0.75, 0.95, 1.05, 1.3, 1.5, 1.7)
_LEVELS = np.array([0, 1, 2, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6] + [7] * 240, np.uint8)
"""A count's level: exact where it is small."""
_MOST = 60
STATES = 1 + 7 * 8
SHAPE = Contexts(len(ORDERS) + 2, CANDIDATES, STATES)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_OTHER_PRIME = np.uint64(0xD6E8FEB86659FD93)
_LONGEST = 24


class ContextTables:
    """The tables and the last bytes of every stream."""

    def __init__(self, n_streams: int, slots_log2: int):
        """Nothing seen yet.

        Args:
          n_streams: texts that are read side by side and share the tables.
          slots_log2: each context's table has 2 to that power slots of 9 bytes.
        """
        count = SHAPE.count
        self._shift = np.uint64(64 - slots_log2)
        self._candidates = np.zeros((count << slots_log2, CANDIDATES), np.uint8)
        self._counts = np.zeros_like(self._candidates)
        self._checks = np.zeros(count << slots_log2, np.uint8)
        self._first = (np.arange(count) << slots_log2)[None]
        self._salts = _PRIME * (2 * np.arange(count, dtype=np.uint64)[None] + np.uint64(1))
        self._last = np.zeros((n_streams, _LONGEST), np.uint8)
        self._words = np.zeros((n_streams, 2), np.uint64)
        self._find()

    def features(self) -> Features:
        """What the contexts say of the next bytes, arrays [streams, contexts, candidates]."""
        shape = (-1, SHAPE.count, CANDIDATES)
        levels = _LEVELS[self._count]
        others = _LEVELS[self._count.sum(axis=1, keepdims=True, dtype=np.int64) - self._count]
        states = np.where(levels, 8 * levels + others - 7, 0).astype(np.uint8)
        return Features(self._candidate.reshape(shape), states.reshape(shape))

    def update(self, byte: np.ndarray) -> None:
        """Counts one more byte of every stream, UInt8[streams]; in a shared slot the last wins."""
        # What `features` gave out stays as it was: a device may still be reading it.
        count, candidate = self._count, self._candidate.copy()
        followed = np.repeat(byte, SHAPE.count)[:, None]
        hit = (candidate == followed) & (count > 0)
        known = hit.any(axis=1)
        place = np.where(known, hit.argmax(axis=1), CANDIDATES - 1)
        row = np.arange(place.size)
        aged = np.where(count > 2, (count >> 1) + 1, count)
        mine = np.where(known, np.minimum(count[row, place] + 1, _MOST), 1)
        aged[row, place] = mine
        candidate[row, place] = followed[:, 0]
        # It goes before all that are counted no more often.
        order = np.argsort(
            -(2 * aged.astype(np.int16) + (np.arange(4) == place[:, None])),
            axis=1,
            kind="stable",
        )
        self._candidates[self._rows] = np.take_along_axis(candidate, order, axis=1)
        self._counts[self._rows] = np.take_along_axis(aged, order, axis=1)
        self._checks[self._rows] = self._check
        self._last[:, 1:] = self._last[:, :-1]
        self._last[:, 0] = byte
        folded = byte | 32
        letter = ((folded >= 97) & (folded <= 122)) | (byte >= 128)
        word, before = self._words[:, 0], self._words[:, 1]
        longer = (word + folded + np.uint64(1)) * _OTHER_PRIME
        ended = ~letter & (word != 0)
        self._words[:, 1] = np.where(ended, word, before)
        self._words[:, 0] = np.where(letter, longer, np.uint64(0))
        self._find()

    def state(self) -> dict[str, np.ndarray]:
        """All that later features depend on."""
        return {
            "candidates": self._candidates,
            "counts": self._counts,
            "checks": self._checks,
            "last": self._last,
            "words": self._words,
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from a state of tables of the same size."""
        self._candidates = state["candidates"].copy()
        self._counts = state["counts"].copy()
        self._checks = state["checks"].copy()
        self._last, self._words = state["last"].copy(), state["words"].copy()
        self._find()

    def _find(self) -> None:
        """The slots of all streams' contexts, and what they hold."""
        words = self._last.view(np.uint64)  # the last 8 bytes, the 8 before, the 8 before those
        word, before = self._words[:, 0], self._words[:, 1]
        spot = self._last[:, 0].astype(np.uint64)
        parts = [word ^ spot, (word ^ spot) + before * _PRIME]
        for order in ORDERS:
            whole, rest = divmod(order, 8)
            value = np.zeros(len(words), np.uint64)
            for number in range(whole):
                value = (value ^ words[:, number]) * _OTHER_PRIME
                value ^= value >> np.uint64(29)
            if rest:
                part = words[:, whole] & np.uint64((1 << 8 * rest) - 1)
                value = value ^ part * _PRIME
            parts.append(value)
        hashed = (np.stack(parts, axis=1) ^ self._salts) * _OTHER_PRIME
        hashed ^= hashed >> np.uint64(31)
        hashed *= _PRIME
        self._rows = ((hashed >> self._shift).astype(np.int64) + self._first).ravel()
        self._check = ((hashed >> np.uint64(16)) & np.uint64(255)).astype(np.uint8).ravel()
        self._candidate = self._candidates[self._rows]
        self._count = self._counts[self._rows]
        self._count[self._checks[self._rows] != self._check] = 0


def initial_logits() -> np.ndarray:
    """Initial logits of the network's states, Float32[contexts * states, 1].

    Round numbers after a fit to English: a candidate's count matters, the others' hardly. A network
    that starts here predicts as a mixture of contexts does, and learns to do better.
    """
    by_count = np.repeat(np.array(_WORTH_BY_LEVEL), 8)
    worth = np.concatenate([np.zeros(1), by_count])
    return np.outer(_WORTH_BY_CONTEXT, worth).reshape(-1, 1).astype(np.float32)
