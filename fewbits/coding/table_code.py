"""Frequency tables in few bytes: a table is part of the message and is paid for.

Four ways to describe a table, each expanded by integer arithmetic alone:

    uniform    every symbol alike exact      every count as it is, for a table that came from
    elsewhere histogram  the logarithm of every count, in steps of 1, 1/2, ... 1/16 of an octave
    bell       count ~ exp(-a |k| - b k^2) with a count of its own for zero
    (`fewbits.coding.weights.sparse.bell_table`)

A coarse histogram is enough: counts that are off by a factor of at most 2^(1/2r) cost about
(ln 2 / r)^2 / (24 ln 2) bits a symbol, which is 0.002 at r = 4 and less than sending more digits.
`fit` tries them and keeps the one with the smallest sum of description and coded symbols.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fewbits.coding import tables, units
from fewbits.coding.tables import MAX_ALPHABET, MAX_PRECISION, MAX_SYMBOL, FrequencyTable
from fewbits.coding.varint import ByteReader, exp_golomb, read_exp_golomb, unzigzag, varint, zigzag
from fewbits.coding.weights.sparse import bell_table

UNIFORM, EXACT, HISTOGRAM, BELL = range(4)
_FINEST_STEP = 4
_MAX_ORDER = 7
_MAX_OCTAVES = 28
# floor(2^(8 + j/16)): the sixteen steps of an octave, so that expanding takes no logarithm.
_OCTAVE = np.array(
    [256, 267, 279, 291, 304, 317, 331, 346, 362, 378, 394, 412, 430, 449, 469, 490], np.int64
)


class FittedTable(NamedTuple):
    """A table and its description.

    Attributes:
      table: what the coder uses.
      code: bytes that `read` expands to `table`.
      symbols_bits: ideal length of the symbols that it was fitted to.
    """

    table: FrequencyTable
    code: bytes
    symbols_bits: float

    @property
    def total_bits(self) -> float:
        """Description and symbols together."""
        return 8 * len(self.code) + self.symbols_bits


def fit(symbols: np.ndarray) -> FittedTable:
    """The table that makes description plus coded symbols shortest; see `fit_histogram`."""
    return fit_histogram(*tables.histogram(symbols))


def fit_histogram(minimum: int, occurrences: np.ndarray) -> FittedTable:
    """The table that makes description plus coded symbols shortest.

    Args:
      minimum: the first symbol.
      occurrences: int[K], how often `minimum`, `minimum + 1`, ... occur; neither the first nor the
        last should be zero.
    """
    occurrences = np.asarray(occurrences, np.int64)
    best = _fitted(_head(UNIFORM, minimum, occurrences.size), occurrences)
    if occurrences.size == 1 or not occurrences.any():
        return best
    bell = bell_table.fit(minimum, occurrences)
    if bell is not None:
        fitted = _fitted(_head(BELL, minimum, occurrences.size) + bell, occurrences)
        best = min(best, fitted, key=lambda one: one.total_bits)
    histogram = _histogram_code(minimum, occurrences, best.total_bits)
    if histogram is not None:
        fitted = _fitted(histogram, occurrences)
        best = min(best, fitted, key=lambda one: one.total_bits)
    return best


def exact(table: FrequencyTable) -> bytes:
    """A description of any table whatever."""
    head = _head(EXACT, table.minimum, table.size) + bytes([table.precision])
    return head + b"".join(varint(count - 1) for count in table.counts.tolist())


def read(reader: ByteReader) -> FrequencyTable:
    """Expands the next description.

    Raises:
      FormatError: not a description of a table.
    """
    kind = reader.byte()
    minimum = unzigzag(reader.varint(2 * MAX_SYMBOL, "smallest symbol"))
    size = 1 + reader.varint(MAX_ALPHABET - 1, "number of symbols")
    if minimum + size > MAX_SYMBOL:
        raise reader.error(f"symbols {minimum} to {minimum + size - 1}")
    if kind == UNIFORM:
        return tables.uniform(minimum, size)
    if kind == EXACT:
        precision = reader.byte()
        if precision > MAX_PRECISION:
            raise reader.error(f"a table's precision is {precision}, at most {MAX_PRECISION}")
        counts = [1 + reader.varint(1 << precision, "count") for _ in range(size)]
        if sum(counts) != 1 << precision:
            raise reader.error(f"counts add up to {sum(counts)}, not to 2^{precision}")
        return FrequencyTable(minimum, np.array(counts, np.int64), precision)
    if kind == HISTOGRAM:
        weights = _read_histogram(reader, size)
    elif kind == BELL:
        weights = bell_table.read(reader, minimum, size)
    else:
        raise reader.error(f"unknown kind of table {kind}")
    return tables.expand(weights, minimum=minimum, precision=MAX_PRECISION)


def _fitted(code: bytes, occurrences: np.ndarray) -> FittedTable:
    # The table is expanded from its own bytes, so that the coder uses what a reader will get.
    table = read(ByteReader(code, "table"))
    return FittedTable(table, code, float(occurrences @ table.cost_bits))


def _head(kind: int, minimum: int, size: int) -> bytes:
    return bytes([kind]) + varint(zigzag(minimum)) + varint(size - 1)


def _histogram_code(minimum: int, occurrences: np.ndarray, limit_bits: float) -> bytes | None:
    """The best histogram in steps of 1, 1/2, ... 1/16 of an octave; None beyond the limit."""
    present = occurrences > 0
    counts = occurrences[present]
    logarithms = np.minimum(np.log2(counts), _MAX_OCTAVES)
    best = None
    for step in range(_FINEST_STEP + 1):
        levels = np.zeros(occurrences.size, np.int64)
        levels[present] = 1 + np.rint(logarithms * (1 << step)).astype(np.int64)
        differences = np.diff(levels, prepend=0)
        unsigned = np.where(differences >= 0, 2 * differences, -2 * differences - 1)
        weights = _level_weights(levels[present], step)
        symbols_bits = counts @ (units.log2(weights.sum()) - units.log2(weights))
        occurrences_of = np.bincount(unsigned)
        for order in range(_MAX_ORDER + 1):
            total_bits = occurrences_of @ _golomb_bits(occurrences_of.size, order) + symbols_bits
            if total_bits < limit_bits:
                limit_bits, best = total_bits, (step, order, unsigned)
    if best is None:
        return None
    step, order, unsigned = best
    body = exp_golomb(unsigned.tolist(), order)
    return _head(HISTOGRAM, minimum, occurrences.size) + bytes([step << 4 | order]) + body


def _golomb_bits(size: int, order: int) -> np.ndarray:
    """Length of each of the numbers 0 to `size` - 1 in exponential Golomb code."""
    width = np.frexp(np.arange(size) + float(1 << order))[1]
    return 2 * width - order - 1


def _level_weights(levels: np.ndarray, step: int) -> np.ndarray:
    """2^(8 + (level - 1) / 2^step), rounded down, by a table of the sixteen parts of an octave."""
    octave, part = np.divmod((levels - 1) << (_FINEST_STEP - step), 1 << _FINEST_STEP)
    return _OCTAVE[part] << octave


def _read_histogram(reader: ByteReader, size: int) -> np.ndarray:
    step, order = divmod(reader.byte(), 16)
    if step > _FINEST_STEP or order > _MAX_ORDER:
        raise reader.error(f"a histogram has step {step} and order {order}")
    unsigned = np.array(read_exp_golomb(reader, size, order), np.int64)
    differences = np.where(unsigned % 2 == 0, unsigned // 2, -(unsigned + 1) // 2)
    levels = np.cumsum(differences)
    if levels.min() < 0 or levels.max() > 1 + (_MAX_OCTAVES << step):
        raise reader.error(f"histogram levels {levels.min()} to {levels.max()}")
    weights = np.zeros(size, np.int64)
    weights[levels > 0] = _level_weights(levels[levels > 0], step)
    return weights
