"""Symbols to bytes and back, fast: the stream of `reference_coder`, coded by constriction.

constriction decodes a truncated stream to garbage without a word and has no notion of a declared
length, so those checks are made here: symbols inside their table, a last byte that is not zero,
every word used, the guard left over, and no more symbols than such a stream can honestly hold.

How constriction is made to code our integers exactly: `Categorical(p, perfect=False)` gives symbol
i the cumulative count floor(s sum_{j<i} p_j) + i with s = (2^24 - K) / sum p. For p_j = count_j - 1
every sum is an exact float64 and s is exactly 1, so the cumulative counts are ours. Once in a
process that is tried against the reference coder, and should an update of constriction ever do
otherwise, the reference coder takes its place: slower, and the same bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from constriction import stream as constriction  # type: ignore[attr-defined]
from jaxtyping import Int32

from fewbits.coding import reference_coder
from fewbits.coding.reference_coder import GUARD, StreamPlan, SymbolStream
from fewbits.coding.tables import MAX_PRECISION, FrequencyTable, uniform
from fewbits.io.errors import FormatError

__all__ = ["StreamPlan", "SymbolReader", "SymbolStream", "decode", "encode", "symbol_limit"]

_FREE_SYMBOLS = 1 << 20
_SYMBOLS_PER_BYTE = 1024


def symbol_limit(stream_bytes: int) -> int:
    """The most symbols that a stream of so many bytes may declare: 2^20 and 1024 a byte.

    A certain symbol costs nothing, so without a limit sixty bytes could ask for any memory.
    """
    return _FREE_SYMBOLS + _SYMBOLS_PER_BYTE * stream_bytes


def encode(streams: Sequence[tuple[Any, ...]]) -> bytes:
    """Codes several arrays of symbols into one stream.

    Small arrays share a stream because each stream pays for its own ends (about three bytes).

    Args:
      streams: tuples `(symbols, table)`, symbols Int[...] coded in C order, or `(symbols, tables,
        choice)`, where choice Int[...] is the number of each symbol's table; see `SymbolStream`.

    Returns:
      The stream, about as long as the sum of its symbols' ideal lengths `table.cost_bits`;
      `decode` needs the same tables and the number of symbols to read it.

    Raises:
      ValueError: a symbol outside its table, symbols that are not integers, a choice of a table
        that is not there, or more symbols than `symbol_limit` allows.

    Example:
      >>> import numpy as np
      >>> from fewbits.coding import FrequencyTable, decode, encode
      >>> coin = FrequencyTable(0, np.array([15, 1]), precision=4)
      >>> tosses = np.arange(800) % 16 == 0
      >>> data = encode([(tosses.astype(np.int32), coin)])
      >>> len(data)
      36
      >>> [symbols] = decode(data, [(800, coin)])
      >>> np.array_equal(symbols, tosses)
      True
    """
    named = [SymbolStream(*stream) for stream in streams]
    for number, stream in enumerate(named):
        if np.asarray(stream.symbols).dtype.kind not in "iu" and np.size(stream.symbols):
            raise ValueError(f"stream {number}: symbols are integers")
    # Last to first, as constriction's stack wants it, and one at a time for the sake of memory.
    data = _push(
        group for number in reversed(range(len(named))) for group in _last_first(named, number)
    )
    if not _constriction_is_exact():
        data = reference_coder.encode(named)
    count = sum(np.size(stream.symbols) for stream in named)
    if count > symbol_limit(len(data)):
        raise ValueError(f"{count} symbols are too many for a stream of {len(data)} bytes")
    return data


def decode(
    data: bytes, plan: Sequence[tuple[Any, ...]], section: str = "symbols"
) -> list[Int32[np.ndarray, " count"]]:
    """Reads back what `encode` wrote; `encode` has an example.

    Args:
      data: the stream.
      plan: for each encoded stream, in the same order, a tuple `(count, table)` or `(count,
        tables, choice)`; see `StreamPlan`.
      section: name for error messages.

    Returns:
      int32[count] per stream.

    Raises:
      FormatError: not such a stream. Damage that happens to give another valid stream of the same
        length is for the container's checksums to find.
    """
    reader = SymbolReader(data, section)
    arrays = [reader.take(*StreamPlan(*item)) for item in plan]
    reader.finish()
    return arrays


class SymbolReader:
    """Reads a stream piece by piece, for tables that depend on what was decoded before."""

    def __init__(self, data: bytes, section: str = "symbols"):
        if not data or data[-1] == 0:
            raise FormatError("a stream ends with a byte that is not zero", section)
        self._section = section
        self._allowance = symbol_limit(len(data))
        self._slow = None if _constriction_is_exact() else reference_coder.load(data, section)
        words = np.frombuffer(data + bytes(-len(data) % 4), "<u4").astype(np.uint32)
        self._coder = constriction.stack.AnsCoder(words)

    def take(
        self,
        count: int,
        table: FrequencyTable | Sequence[FrequencyTable],
        choice: np.ndarray | None = None,
    ) -> np.ndarray:
        """The next `count` symbols, int32[count]."""
        if not 0 <= count <= self._allowance:
            raise FormatError(f"{count} symbols do not fit in the stream", self._section)
        self._allowance -= count
        groups = _groups(StreamPlan(count, table, choice))
        if choice is None:
            return self._pop(count, next(groups)[0])
        values = np.empty(count, np.int32)
        for one, places in groups:
            values[places] = self._pop(places.size, one)  # type: ignore[union-attr]
        return values

    def finish(self) -> None:
        """Asserts that the stream ends here.

        Raises:
          FormatError: words are left over, or the final state is not the guard.
        """
        if self._slow is not None:
            reference_coder.finish(*self._slow, self._section)
        elif self._coder.get_compressed().tolist() != [GUARD]:
            raise FormatError("the stream does not end where its symbols end", self._section)

    def _pop(self, count: int, table: FrequencyTable) -> np.ndarray:
        if self._slow is not None:
            state, values = reference_coder.pop(*self._slow, StreamPlan(count, table))
            self._slow = state, self._slow[1]
            return values
        if table.size == 1 or count == 0:
            return np.full(count, table.minimum, np.int32)
        values = self._coder.decode(_model(table), count)
        values += np.int32(table.minimum)
        return values


def _last_first(
    named: list[SymbolStream], number: int
) -> Iterator[tuple[np.ndarray, FrequencyTable]]:
    """Places in its table of the symbols of each table of a stream, the last table first."""
    symbols, table, choice = named[number]
    plan = StreamPlan(np.size(symbols), table, choice)
    groups = list(_groups(plan))
    places = _offsets(np.ravel(symbols), plan, number)
    for one, where in reversed(groups):
        yield places[where], one


def _push(groups: Iterable[tuple[np.ndarray, FrequencyTable]]) -> bytes:
    """Codes groups of places in tables, the last one first."""
    coder = constriction.stack.AnsCoder(np.array([GUARD], np.uint32))
    for indices, table in groups:
        if table.size > 1 and indices.size:
            coder.encode_reverse(indices, _model(table))
    return coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


def _model(table: FrequencyTable) -> Any:
    counts = table.counts << (MAX_PRECISION - table.precision)
    return constriction.model.Categorical((counts - 1).astype(np.float64), perfect=False)


def _groups(plan: StreamPlan) -> Iterator[tuple[FrequencyTable, np.ndarray | slice]]:
    """Each table with the places of its symbols, in coding order."""
    if isinstance(plan.table, FrequencyTable):
        if plan.choice is not None:
            raise ValueError("choice needs a list of tables")
        yield plan.table, slice(None)
        return
    if plan.choice is None:
        raise ValueError("a list of tables needs choice")
    choice = np.ravel(plan.choice)
    if choice.size != plan.count:
        raise ValueError(f"choice has {choice.size} entries for {plan.count} symbols")
    if choice.size == 0:
        return
    if choice.dtype.kind not in "iu" or choice.min() < 0 or choice.max() >= len(plan.table):
        raise ValueError(f"choice names tables 0 to {len(plan.table) - 1}")
    order = np.argsort(choice, kind="stable")
    counts = np.bincount(choice)
    used = np.flatnonzero(counts)
    ends = np.cumsum(counts[used])[:-1]
    for number, places in zip(used.tolist(), np.split(order, ends), strict=True):
        yield plan.table[number], places


def _offsets(symbols: np.ndarray, plan: StreamPlan, number: int) -> np.ndarray:
    """int32[n]: each symbol's place in its table; ValueError if it has none."""
    if isinstance(plan.table, FrequencyTable):
        table = plan.table
        if symbols.size:
            least, most = int(symbols.min()), int(symbols.max())
            if least < table.minimum or most > table.maximum:
                wrong = least if least < table.minimum else most
                raise ValueError(
                    f"stream {number}: symbol {wrong} is not in {table.minimum} to {table.maximum}"
                )
        if table.minimum == 0:
            return symbols.astype(np.int32, copy=False)
        # Sums of 32 bits wrap around to the right place.
        return symbols.astype(np.int32) - np.int32(table.minimum)
    tables = plan.table
    which = np.zeros(symbols.size, np.int64)
    if plan.choice is not None:
        which = np.ravel(plan.choice).astype(np.int64)
    minima = np.array([each.minimum for each in tables])[which]
    maxima = np.array([each.maximum for each in tables])[which]
    outside = (symbols < minima) | (symbols > maxima)
    if outside.any():
        table = tables[which[outside][0]]
        raise ValueError(
            f"stream {number}: symbol {symbols[outside][0]} is not in "
            f"{table.minimum} to {table.maximum}"
        )
    return (symbols.astype(np.int64) - minima).astype(np.int32)


@functools.cache
def _constriction_is_exact() -> bool:
    """Whether constriction codes our integer counts as the reference coder does."""
    lopsided = FrequencyTable(-1, np.array([1, (1 << MAX_PRECISION) - 2, 1]))
    coarse = FrequencyTable(5, np.array([3, 9, 4]), precision=4)
    streams = [
        (np.array([0, -1, 0, 1, 0]), lopsided),
        (np.array([5, 6, 7, 6, 7, 7]), coarse),
        (np.arange(300), uniform(0, 300)),
    ]
    groups = [((symbols - one.minimum).astype(np.int32), one) for symbols, one in streams]
    return _push(reversed(groups)) == reference_coder.encode(
        [SymbolStream(*one) for one in streams]
    )
