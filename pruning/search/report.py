"""The Pareto set of a search: a table for people, one for programs, and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from pruning.search.selection import Point

FIELDS = (
    "size_bytes", "nonzeros", "error_percent", "mean_error_percent", "bits", "strength",
)  # fmt: skip


def values(point: Point | None) -> dict[str, Any] | None:
    """A point without its file."""
    return None if point is None else {name: getattr(point, name) for name in FIELDS}


def table(points: Sequence[Point], selected: Point | None) -> list[str]:
    """Lines of text, the selected point marked."""
    heads = f"{'error':>9} {'expected':>9} {'bits':>5} {'penalty weight':>15}"
    lines = [f"{'bytes':>9} {'nonzeros':>9} {heads}"]
    for point in points:
        mark = "  <" if selected is not None and point.file == selected.file else ""
        lines.append(
            f"{point.size_bytes:>9,} {point.nonzeros:>9,} {point.error_percent:>7.2f} % "
            f"{point.expected_error_percent:>7.2f} % {point.bits:>5} {point.strength:>15.3g}{mark}"
        )
    return lines


def as_csv(points: Sequence[Point]) -> bytes:
    """One line for each point."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows([getattr(point, name) for name in FIELDS] for point in points)
    return text.getvalue().encode()


def picture(
    points: Sequence[Point],
    selected: Point | None,
    given_error_percent: float,
    baseline: Point | None = None,
) -> bytes:
    """A PNG: expected error against bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(
        [point.size_bytes for point in points],
        [point.expected_error_percent for point in points],
        "o-", drawstyle="steps-post", label="pruned",
    )  # fmt: skip
    if selected is not None:
        axes.plot(
            selected.size_bytes,
            selected.expected_error_percent,
            "o",
            ms=12,
            mfc="none",
            label="selected",
        )
    if baseline is not None:
        axes.plot(baseline.size_bytes, baseline.error_percent, "s", label="dense, as many bytes")
    axes.axhline(given_error_percent, color="grey", lw=1, ls="--", label="as given")
    axes.set(xlabel="file, bytes", ylabel="expected error, %", xscale="log")
    axes.legend()
    stored = io.BytesIO()
    figure.savefig(stored, format="png", dpi=130)
    return stored.getvalue()
