"""The figure that follows from the `Axis` and `Panel` marks of a row.

Statistics whose axes have the same label are drawn together, named by their columns' headings.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.runner import plots, rows
from experiments.runner.experiment import Experiment, Panel, Record


def default(experiment: Experiment, record: Record) -> dict[str, Figure]:
    """Of every row type with an axis for x (a key), a figure for every label of a y axis."""
    found = {}
    for row_type in experiment.row_types:
        axes = [field for field in rows.fields(row_type).values() if field.axis]
        across = [field for field in axes if field.key]
        if across and record.of(row_type):
            of_label = rows.grouped(
                (field for field in axes if not field.key),
                lambda field: field.axis.label,  # type: ignore
            )
            for first, *_ in of_label.values():
                figure, _ = draw(experiment, record.of(row_type), y=first.name)
                found[f"{first.name}_against_{across[0].name}"] = figure
    return found


def draw(
    experiment: Experiment, measured: Sequence[Any], *, y: str | None = None
) -> tuple[Figure, dict[Any, Axes]]:
    """The default figure, to which a bespoke one may add.

    Args:
      experiment: whose published rows are shown as stars.
      measured: rows of one type.
      y: the field on the y axis; the first with an `Axis` that is no key if not given.

    Returns:
      The figure, and its axes by the value of the panel field (None where the row has none).
    """
    row_type = type(measured[0])
    fields = list(rows.fields(row_type).values())
    x_field = next(f for f in fields if f.axis and f.key)
    y_field = next(f for f in fields if f.axis and not f.key and y in (None, f.name))
    label = y_field.axis.label  # type: ignore
    together = [f for f in fields if f.axis and not f.key and f.axis.label == label]
    panel = next((f.name for f in fields if f.mark(Panel) is not None), None)
    curves = [f.name for f in fields if f.key and f.name not in (x_field.name, panel)]
    panels = rows.grouped(measured, lambda row: getattr(row, panel) if panel else None)
    figure, axes = plots.subplots(len(panels))
    for axis, (value, mine) in zip(axes, panels.items(), strict=True):
        by_curve = rows.grouped(mine, lambda row: tuple(getattr(row, name) for name in curves))
        drawn = product(by_curve.items(), together)
        for marker, ((names, curve), field) in zip(plots.MARKERS * 9, drawn, strict=False):
            names = (*names, field.heading) if len(together) > 1 else names
            label = ", ".join(map(str, names)) or None
            _curve(axis, curve, x_field, field, fmt=f"{marker}-", capsize=2, label=label)
        others = [r for r in experiment.published if isinstance(r, row_type)]
        others = [r for r in others if panel is None or getattr(r, panel) == value]
        if others:
            style = {"fmt": "*", "color": plots.PUBLISHED, "ms": 10, "label": "published"}
            _curve(axis, others, x_field, y_field, **style)
        axis.set(xlabel=x_field.axis.label, ylabel=y_field.axis.label)  # type: ignore
        _scale(axis, x_field.axis.scale, "x")  # type: ignore
        _scale(axis, y_field.axis.scale, "y")  # type: ignore
        if panel:
            axis.set_title(f"{panel.replace('_', ' ')}: {value}", loc="left")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=7)
    return figure, dict(zip(panels, axes, strict=True))


def _curve(
    axis: Axes, curve: list[Any], x_field: rows.Field, y_field: rows.Field, **style: Any
) -> None:
    points = sorted(rows.grouped(curve, lambda row: getattr(row, x_field.name)).items())
    found = [rows.of_rows(y_field, group) for _, group in points]
    errors = [each.std or 0.0 for each in found]
    axis.errorbar(
        [x for x, _ in points],
        [each.mean for each in found],
        errors if any(errors) else None,
        **style,
    )


def _scale(axis: Axes, scale: str, which: str) -> None:
    if scale == "log2" and which == "x":
        plots.doubling_axis(axis)
    elif scale != "linear":
        (axis.set_xscale if which == "x" else axis.set_yscale)(scale)
