"""The reference coder: the entropy-coded stream in plain Python integers, slow and obvious.

One asymmetric-numeral-systems coder (Duda, arXiv:1311.2540) with 32-bit words, a 64-bit state and
probabilities in units of 2^-24. A symbol with count f and cumulative count c (both scaled to a
total of 2^24) takes the state x to

    x' = floor(x / f) 2^24 + (x mod f) + c,      after moving 32 bits of x out if x >= f 2^40,

and the decoder undoes it: the low 24 bits of x' say which symbol it was. The encoder walks
backwards, so that the decoder walks forwards. The state starts from a fixed 16-bit guard, which
must be all that is left when the decoder has read its last symbol.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fewbits.coding.tables import MAX_PRECISION, FrequencyTable
from fewbits.io.errors import FormatError

GUARD = 0xFB17
"""The state before the first symbol is pushed and after the last one is popped."""
_WORD_MASK = (1 << 32) - 1
_QUANTILE_MASK = (1 << MAX_PRECISION) - 1


class SymbolStream(NamedTuple):
    """Symbols to encode.

    Attributes:
      symbols: int[n]; an array of any shape is coded in C order.
      table: one table for all, or a list of tables of which `choice` picks one for each symbol.
      choice: int[n], index into the list of tables; None with a single table.
    """

    symbols: Int[np.ndarray, ...]
    table: FrequencyTable | Sequence[FrequencyTable]
    choice: Int[np.ndarray, ...] | None = None


class StreamPlan(NamedTuple):
    """What a decoder must know to read one `SymbolStream` back.

    Attributes:
      count: number of symbols.
      table: as in `SymbolStream`.
      choice: as in `SymbolStream`.
    """

    count: int
    table: FrequencyTable | Sequence[FrequencyTable]
    choice: Int[np.ndarray, ...] | None = None


def encode(streams: Sequence[SymbolStream]) -> bytes:
    """The bytes of all streams together; see `fewbits.coding.entropy_coder.encode`."""
    steps = []
    for symbols, table, choice in streams:
        values = np.asarray(symbols).ravel()
        for place, one in _order(StreamPlan(values.size, table, choice)):
            steps.append((int(values[place]), one))
    state, words = GUARD, []
    for symbol, one in reversed(steps):
        index = symbol - one.minimum
        if not 0 <= index < one.size:
            raise ValueError(f"symbol {symbol} is not in {one.minimum} to {one.maximum}")
        if one.size == 1:
            continue
        shift = MAX_PRECISION - one.precision
        count = int(one.counts[index]) << shift
        below = _cumulative(one)[index] << shift
        if state >= count << 40:
            words.append(state & _WORD_MASK)
            state >>= 32
        state = (state // count << MAX_PRECISION) + state % count + below
    while state:
        words.append(state & _WORD_MASK)
        state >>= 32
    return b"".join(word.to_bytes(4, "little") for word in words).rstrip(b"\0")


def decode(data: bytes, plan: Sequence[StreamPlan], section: str = "symbols") -> list[np.ndarray]:
    """The symbols of all streams; see `fewbits.coding.entropy_coder.decode`."""
    state, words = load(data, section)
    arrays = []
    for item in plan:
        state, values = pop(state, words, item)
        arrays.append(values)
    finish(state, words, section)
    return arrays


def load(data: bytes, section: str = "symbols") -> tuple[int, list[int]]:
    """The coder's state and its stack of words, from the bytes of a stream."""
    if not data or data[-1] == 0:
        raise FormatError("a stream ends with a byte that is not zero", section)
    padded = data + bytes(-len(data) % 4)
    words = [int.from_bytes(padded[i : i + 4], "little") for i in range(0, len(padded), 4)]
    state = words.pop()
    if words:
        state = state << 32 | words.pop()
    return state, words


def pop(state: int, words: list[int], plan: StreamPlan) -> tuple[int, np.ndarray]:
    """Decodes one plan: the new state and int32[count]; `words` shrinks in place."""
    values = np.empty(plan.count, np.int32)
    for place, one in _order(plan):
        if one.size == 1:
            values[place] = one.minimum
            continue
        shift = MAX_PRECISION - one.precision
        cumulative = _cumulative(one)
        quantile = state & _QUANTILE_MASK
        index = bisect_right(cumulative, quantile >> shift) - 1
        count = (cumulative[index + 1] - cumulative[index]) << shift
        state = count * (state >> MAX_PRECISION) + quantile - (cumulative[index] << shift)
        if state <= _WORD_MASK and words:
            state = state << 32 | words.pop()
        values[place] = one.minimum + index
    return state, values


def finish(state: int, words: list[int], section: str = "symbols") -> None:
    """Asserts that a stream ends here: no word is left, and the state is the guard."""
    if words or state != GUARD:
        raise FormatError("the stream does not end where its symbols end", section)


def _order(plan: StreamPlan) -> Iterator[tuple[int, FrequencyTable]]:
    """Place and table of each symbol in coding order: all of the first table, then the second..."""
    if plan.choice is None:
        assert isinstance(plan.table, FrequencyTable)
        for place in range(plan.count):
            yield place, plan.table
    else:
        assert not isinstance(plan.table, FrequencyTable)
        for number, one in enumerate(plan.table):
            for place in range(plan.count):
                if plan.choice[place] == number:
                    yield place, one


def _cumulative(table: FrequencyTable) -> list[int]:
    return [0, *accumulate(table.counts.tolist())]
