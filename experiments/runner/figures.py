"""The figure that follows from the `Axis` and `Panel` marks of a row.

Statistics whose axes have the same label are drawn together, named by their columns' headings;
rows of several types whose axes have the same labels share a figure.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.runner import plots, rows
from experiments.runner.experiment import Experiment, Panel, Record


def default(experiment: Experiment, record: Record) -> dict[str, Figure]:
    """For every two labels of axes the figure of the row types that have them."""
    found, drawn = {}, {}
    for row_type in experiment.row_types:
        x, several = _axes(row_type)
        for first, *_ in several if record.of(row_type) else ():
            labels = (x.axis.label, first.axis and first.axis.label)
            before = drawn.get(labels)
            drawn[labels] = draw(experiment, record.of(row_type), y=first.name, on=before)
            if drawn[labels] is not before:
                found[f"{first.name}_against_{x.name}"], _ = drawn[labels]
    return found


def _axes(row_type: type) -> tuple[Any, list[list[rows.Field]]]:
    """The field on the x axis, and those on y axes by their label; none without an x axis."""
    axes = [field for field in rows.fields(row_type).values() if field.axis]
    keys = [field for field in axes if field.key]
    x = next((field for field in axes if field.axis and field.axis.x), *keys[:1] or [None])
    others = [field for field in axes if not field.key and field is not x] if x else []
    return x, list(rows.grouped(others, lambda field: field.axis and field.axis.label).values())


def draw(
    experiment: Experiment,
    measured: Sequence[Any],
    *,
    y: str | None = None,
    on: tuple[Figure, dict[Any, Axes]] | None = None,
) -> tuple[Figure, dict[Any, Axes]]:
    """The default figure, to which a bespoke one may add.

    Args:
      experiment: whose published rows are shown as stars.
      measured: rows of one type.
      y: the first field on the y axis; the first with an `Axis` that is no key if not given.
      on: what this returned for other rows, to draw on if it has the same panels.

    Returns:
      The figure, and its axes by the value of the panel field (None where the row has none).
    """
    row_type = type(measured[0])
    x, several = _axes(row_type)
    together = next(fields for fields in several if y in (None, fields[0].name))
    keys = [field for field in rows.fields(row_type).values() if field.key]
    along = next((field.name for field in keys if field.axis), None)
    panel = next((field.name for field in keys if field.mark(Panel) is not None), None)
    curves = [field.name for field in keys if field.name not in (along, panel)]
    # A key with one value tells no curve from another.
    curves = [name for name in curves if len({getattr(row, name) for row in measured}) > 1]
    panels = rows.grouped(measured, lambda row: getattr(row, panel) if panel else None)
    if on is None or not panels.keys() <= on[1].keys():
        figure, several = plots.subplots(len(panels))
        on = figure, dict(zip(panels, several, strict=True))
    for value, mine in panels.items():
        axis = on[1][value]
        by_curve = rows.grouped(mine, lambda row: tuple(getattr(row, name) for name in curves))
        drawn = product(by_curve.items(), together)
        for marker, ((names, curve), field) in zip(plots.MARKERS * 9, drawn, strict=False):
            names = (*names, field.heading) if len(together) > 1 else names
            label = ", ".join(map(str, names)) or None
            _curve(axis, curve, along, x, field, fmt=f"{marker}-", capsize=2, label=label)
        others = [r for r in experiment.published if isinstance(r, row_type)]
        others = [r for r in others if panel is None or getattr(r, panel) == value]
        if others:
            style = {"fmt": "*", "color": plots.PUBLISHED, "ms": 10, "label": "published"}
            _curve(axis, others, along, x, together[0], **style)
        for mark, which in ((x.axis, "x"), (together[0].axis, "y")):
            assert mark is not None
            axis.set(**{f"{which}label": mark.label})
            plots.scale(axis, which, mark.scale)
        if panel:
            axis.set_title(f"{panel.replace('_', ' ')}: {value}", loc="left")
        if axis.get_legend_handles_labels()[0]:
            title = ", ".join(curves).replace("_", " ")
            axis.legend(fontsize=7, title=title, title_fontsize=7)
    return on


def _curve(
    axis: Axes, curve: list[Any], along: str | None, x: rows.Field, y: rows.Field, **style: Any
) -> None:
    """A point for each value of the key `along`; without one, a point for each group."""
    key = rows.key_of if along is None else lambda row: getattr(row, along)
    points = []
    for value, group in rows.grouped(curve, key).items():
        found = rows.of_rows(y, group)
        points.append((value if x.key else rows.of_rows(x, group).mean, found.mean, found.std or 0))
    points.sort(key=lambda point: point[0])
    across, up, errors = zip(*points, strict=True)
    axis.errorbar(across, up, errors if any(errors) else None, **style)
