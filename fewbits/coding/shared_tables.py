"""Frequency tables for several arrays of symbols: shared wherever that makes the file shorter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewbits.coding import table_code, tables
from fewbits.coding.table_code import FittedTable
from fewbits.coding.tables import MAX_PRECISION, FrequencyTable
from fewbits.coding.varint import ByteReader

MAX_ENTRIES = 1 << 21
"""Symbols of all tables of a file together."""
_Histogram = tuple[int, np.ndarray]


def fit(arrays: Sequence[np.ndarray]) -> tuple[list[int], list[FittedTable]]:
    """Tables that make descriptions plus coded symbols short.

    From the largest array down, each joins the table that suits it best or gets its own, whichever
    makes the file shorter. One table for all is tried as well.

    Args:
      arrays: int[...] each.

    Returns:
      The number of each array's table, and the tables.
    """
    histograms = [tables.histogram(symbols) for symbols in arrays]
    by_size = sorted(range(len(arrays)), key=lambda i: -arrays[i].size)
    groups: list[list[int]] = []
    fitted: list[FittedTable] = []
    for i in by_size:
        alone = table_code.fit_histogram(*histograms[i])
        if groups:
            costs = [_cost_bits(one.table, *histograms[i]) for one in fitted]
            group = int(np.argmin(costs))
            merged = _fit_together([histograms[j] for j in (*groups[group], i)])
            if merged.total_bits <= fitted[group].total_bits + alone.total_bits:
                groups[group].append(i)
                fitted[group] = merged
                continue
        groups.append([i])
        fitted.append(alone)
    if len(groups) > 1:
        together = _fit_together(histograms)
        too_many = sum(one.table.size for one in fitted) > MAX_ENTRIES
        if too_many or together.total_bits <= sum(one.total_bits for one in fitted):
            groups, fitted = [by_size], [together]
    number_of = {i: number for number, members in enumerate(groups) for i in members}
    return [number_of[i] for i in range(len(arrays))], fitted


def read(reader: ByteReader) -> list[FrequencyTable]:
    """All tables that a byte string describes.

    Raises:
      FormatError: not descriptions of tables, or of tables with too many symbols together.
    """
    known: list[FrequencyTable] = []
    entries = 0
    while reader.remaining:
        known.append(table_code.read(reader))
        entries += known[-1].size
        if entries > MAX_ENTRIES:
            raise reader.error(f"tables of more than {MAX_ENTRIES} symbols")
    return known


def _cost_bits(table: FrequencyTable, minimum: int, counts: np.ndarray) -> float:
    """What symbols cost with a table, those outside it as much as the rarest possible symbol."""
    places = np.arange(minimum, minimum + counts.size) - table.minimum
    inside = (places >= 0) & (places < table.size)
    cost = np.full(counts.size, float(MAX_PRECISION))
    cost[inside] = table.cost_bits[places[inside]]
    return float(counts @ cost)


def _fit_together(histograms: Sequence[_Histogram]) -> FittedTable:
    minimum = min(low for low, _ in histograms)
    maximum = max(low + counts.size for low, counts in histograms)
    total = np.zeros(maximum - minimum, np.int64)
    for low, counts in histograms:
        total[low - minimum : low - minimum + counts.size] += counts
    return table_code.fit_histogram(minimum, total)
