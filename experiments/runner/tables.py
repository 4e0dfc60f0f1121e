"""Tables: made from rows and their marks, printed as text, markdown and CSV."""

import csv
import io
from collections.abc import Iterable
from typing import Any, NamedTuple


class Table(NamedTuple):
    """A table of a report and of the experiment's CSV; entries are printed as they stand."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    note: str = ""


def aligned(rows: list[tuple[Any, ...]]) -> str:
    """Rows of entries as text with aligned columns, a rule under the first row."""
    entries = [[str(entry) for entry in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*entries, strict=True)]
    lines = [
        "  ".join(entry.ljust(w) for entry, w in zip(row, widths, strict=True)).rstrip()
        for row in entries
    ]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def markdown(table: Table) -> str:
    """A table as GitHub's markdown."""
    lines = [f"| {' | '.join(table.columns)} |", f"|{'---|' * len(table.columns)}"]
    lines += [f"| {' | '.join(str(entry) for entry in row)} |" for row in table.rows]
    return "\n".join(lines)


def as_csv(tables: Iterable[Table]) -> str:
    """All tables of an experiment, one after the other, each row led by its table's title."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for table in tables:
        writer.writerow(("table", *table.columns))
        writer.writerows((table.title, *row) for row in table.rows)
    return text.getvalue()


def number(value: float) -> str:
    """A number with the digits that mean something."""
    if value == int(value) and abs(value) >= 1:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"
