"""A stack of bits that coding pushes to and decoding pops from, many streams at once.

Asymmetric numeral systems (Duda, arXiv:1311.2540) with a 64-bit state for each stream and one
shared stack of 32-bit words. Pushing an interval of a cumulative count and popping it are exact
inverses, in either order: popping what was never pushed is sampling, and pushing it again gives
back the very bits that chose it. That is all that bits-back coding needs.

The words of all streams lie in one stack, so streams must be pushed in the reverse of the order in
which they are popped; each call handles its streams at once and keeps that order by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fewbits.io.errors import FormatError

PRECISION = 28
"""Intervals are parts of 2^28."""
_LOW = np.uint64(1 << 32)
_WORD_BITS = np.uint64(32)
_WORD_MASK = np.uint64((1 << 32) - 1)
_SHIFT = np.uint64(PRECISION)
_QUANTILE_MASK = np.uint64((1 << PRECISION) - 1)
_MAX_STREAMS = 1 << 16


class StreamStack:
    """The state of all streams and their words.

    Attributes:
      n_streams: number of streams. Every call handles the first m streams, m being the size of its
        arrays.
    """

    def __init__(self, n_streams: int, payload: bytes = b""):
        """An empty coder on top of a payload, which later pops may borrow from.

        Args:
          n_streams: at least 1.
          payload: bits as random as they can be; a multiple of four bytes, and if there is any, at
            least four bytes for each stream, which become the streams' first states.

        Raises:
          ValueError: no stream, or a payload that is too short or of broken words.
        """
        if not 1 <= n_streams <= _MAX_STREAMS:
            raise ValueError(f"a stack has 1 to {_MAX_STREAMS} streams, not {n_streams}")
        if len(payload) % 4 or 0 < len(payload) < 4 * n_streams:
            raise ValueError(
                f"a payload for {n_streams} streams is a multiple of 4 and at least "
                f"{4 * n_streams} bytes, not {len(payload)}"
            )
        self._words = np.frombuffer(payload, "<u4").astype(np.uint32)
        self._used = self._words.size
        self._heads = np.full(n_streams, _LOW)
        if payload:
            self._heads |= self._take(n_streams)

    @property
    def n_streams(self) -> int:
        """Number of streams."""
        return self._heads.size

    @property
    def size_bits(self) -> float:
        """Information in the stack: its words, and the logarithms of its states."""
        return 32.0 * self._used + float(np.log2(self._heads.astype(np.float64)).sum())

    def push(self, start: np.ndarray, count: np.ndarray) -> None:
        """Codes the interval [start, start + count) of [0, 2^28) in each of the first m streams."""
        start, count = np.asarray(start, np.uint64), np.asarray(count, np.uint64)
        heads = self._heads[: start.size]
        full = heads >> np.uint64(64 - PRECISION) >= count
        self._append((heads[full] & _WORD_MASK).astype(np.uint32))
        heads = np.where(full, heads >> _WORD_BITS, heads)
        quotient, remainder = np.divmod(heads, count)
        self._heads[: start.size] = (quotient << _SHIFT) + remainder + start

    def peek(self, n_streams: int) -> np.ndarray:
        """int64[n_streams], 0 to 2^28 - 1: the place in whose interval the next pop lies."""
        return (self._heads[:n_streams] & _QUANTILE_MASK).astype(np.int64)

    def pop(self, start: np.ndarray, count: np.ndarray) -> None:
        """Takes back the interval that `peek` lies in: the inverse of `push`.

        Raises:
          FormatError: no words are left.
        """
        start, count = np.asarray(start, np.uint64), np.asarray(count, np.uint64)
        heads = self._heads[: start.size]
        heads = count * (heads >> _SHIFT) + (heads & _QUANTILE_MASK) - start
        short = heads < _LOW
        words = self._take(int(np.count_nonzero(short)))
        heads[short] = heads[short] << _WORD_BITS | words
        self._heads[: start.size] = heads

    def push_indices(self, cumulative: Callable[[np.ndarray], np.ndarray], index: np.ndarray):
        """Codes bin `index[stream]` of a distribution over bins; see `pop_indices`."""
        start = cumulative(index)
        self.push(start, cumulative(index + 1) - start)

    def pop_indices(
        self, cumulative: Callable[[np.ndarray], np.ndarray], n_bins: int, n_streams: int
    ) -> np.ndarray:
        """The bin of each stream, int64[n_streams].

        Args:
          cumulative: int64[n_streams] -> int64[n_streams], for each stream strictly increasing
            from 0 at 0 to 2^28 at `n_bins`.
          n_bins: number of bins.
          n_streams: streams to pop from.
        """
        quantile = self.peek(n_streams)
        low, high = np.zeros(n_streams, np.int64), np.full(n_streams, n_bins, np.int64)
        for _ in range(int(n_bins - 1).bit_length()):
            middle = (low + high) >> 1
            above = cumulative(middle) > quantile
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        start = cumulative(low)
        self.pop(start, cumulative(low + 1) - start)
        return low

    def to_bytes(self) -> bytes:
        """All words, then the states of all streams."""
        return self._words[: self._used].astype("<u4").tobytes() + (
            self._heads.astype("<u8").tobytes()
        )

    @classmethod
    def from_bytes(cls, data: bytes, n_streams: int, section: str = "stack") -> StreamStack:
        """The inverse of `to_bytes`.

        Raises:
          FormatError: not a stack of so many streams.
        """
        states = 8 * n_streams
        if not 1 <= n_streams <= _MAX_STREAMS or len(data) < states or (len(data) - states) % 4:
            raise FormatError(f"{len(data)} bytes for {n_streams} streams", section)
        stack = cls(n_streams)
        stack._words = np.frombuffer(data[: len(data) - states], "<u4").astype(np.uint32)
        stack._used = stack._words.size
        stack._heads = np.frombuffer(data[len(data) - states :], "<u8").astype(np.uint64)
        if (stack._heads < _LOW).any():
            raise FormatError("a state below 2^32", section)
        return stack

    def payload(self, section: str = "stack") -> bytes:
        """The payload that the stack was made with, when every push has been popped.

        Raises:
          FormatError: a state is not what it can be at the start.
        """
        if (self._heads >> _WORD_BITS != 1).any():
            raise FormatError("the stack does not end where its symbols end", section)
        states = (self._heads & _WORD_MASK).astype("<u4").tobytes()
        return self._words[: self._used].astype("<u4").tobytes() + states

    def _append(self, words: np.ndarray) -> None:
        if self._used + words.size > self._words.size:
            grown = np.zeros(2 * (self._used + words.size), np.uint32)
            grown[: self._used] = self._words[: self._used]
            self._words = grown
        self._words[self._used : self._used + words.size] = words
        self._used += words.size

    def _take(self, count: int) -> np.ndarray:
        if count > self._used:
            raise FormatError("the stack is exhausted: the payload is too short", "stack")
        self._used -= count
        return self._words[self._used : self._used + count]
