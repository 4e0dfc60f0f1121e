"""Figures: that which follows from the marks of a row, one look, saved with their records' digest.

Statistics whose axes have the same label are drawn together, named by their columns' headings;
rows of several types whose axes have the same labels share a figure.
"""

import base64
import io
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from experiments.runner import rows
from experiments.runner.experiment import Experiment, Panel, Record

_DIGEST_KEY = "fewbits-records"

STYLE: dict[Any, Any] = {
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "font.size": 9,
    "legend.frameon": False,
    "lines.markersize": 4,
}

OURS, BASELINE, PUBLISHED = "#1b6ca8", "#8a8a8a", "#c0392b"
"""Colours with one meaning throughout: our results, baselines, published anchors."""
MARKERS = "osD^vP*XhH"
"""Shapes that are told apart when small; in this order."""


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
        figure, several = subplots(len(panels))
        on = figure, dict(zip(panels, several, strict=True))
    for value, mine in panels.items():
        axis = on[1][value]
        by_curve = rows.grouped(mine, lambda row: tuple(getattr(row, name) for name in curves))
        drawn = product(by_curve.items(), together)
        for marker, ((names, curve), field) in zip(MARKERS * 9, drawn, strict=False):
            names = (*names, field.heading) if len(together) > 1 else names
            label = ", ".join(map(str, names)) or None
            _curve(axis, curve, along, x, field, fmt=f"{marker}-", capsize=2, label=label)
        others = [r for r in experiment.published if isinstance(r, row_type)]
        others = [r for r in others if panel is None or getattr(r, panel) == value]
        if others:
            style = {"fmt": "*", "color": PUBLISHED, "ms": 10, "label": "published"}
            _curve(axis, others, along, x, together[0], **style)
        for mark, which in ((x.axis, "x"), (together[0].axis, "y")):
            assert mark is not None
            axis.set(**{f"{which}label": mark.label})
            scale(axis, which, mark.scale)
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


def subplots(
    columns: int = 1, *, rows: int = 1, width: float = 4.6, height: float = 3.2
) -> tuple[Figure, list]:
    """A figure of axes in the common style, row by row; width and height are those of one."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height * rows))
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def scale(axis: Axes, which: str, name: str) -> None:
    """Sets the scale of `x` or `y`; a logarithmic one has plain numbers, also within decades."""
    base = 2 if name == "log2" else 10
    if name in ("log", "log2"):
        along = axis.xaxis if which == "x" else axis.yaxis
        axis.set(**{f"{which}scale": "log"})
        along.set_major_locator(LogLocator(base, subs=(1, 2, 5) if base == 10 else (1,)))
        along.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        along.set_minor_formatter(NullFormatter())
    else:
        axis.set(**{f"{which}scale": name})


def image_grid(
    rows: Sequence[tuple[str, np.ndarray]], *, columns: int = 20, scale: float = 0.45
) -> Figure:
    """Rows of small images, each with its title: uint8 (N, H, W, C), N up to `columns`."""
    figure, axes = subplots(rows=len(rows), width=scale * columns, height=scale + 0.32)
    for axis, (title, images) in zip(axes, rows, strict=True):
        shown = np.asarray(images[:columns])
        shown = np.pad(shown, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
        strip = np.concatenate(list(shown), axis=1)
        strip = strip[..., 0] if strip.shape[-1] == 1 else strip
        axis.imshow(strip, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title, loc="left", fontsize=8, pad=2)
        axis.axis("off")
    return figure


def heat_map(axis: Axes, values: np.ndarray, form: str, size: int = 7, **options: Any) -> None:
    """A matrix as colours, each entry with its number on top; zeros of counts are left empty."""
    image = axis.imshow(values, **options)
    axis.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        shade = "black" if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else "white"
        text = format(value, form) if value or values.dtype.kind == "f" else ""
        axis.text(column, row, text, ha="center", va="center", fontsize=size, color=shade)


def save(figure: Figure, path: Path, digest: str) -> None:
    """Write a PNG that remembers which records it was drawn from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={_DIGEST_KEY: digest, "Software": ""})


def read_digest(path: Path) -> str | None:
    """The digest that `save` put into a PNG; None where there is no such file or mark."""
    try:
        with Image.open(path) as image:
            return getattr(image, "text", {}).get(_DIGEST_KEY)
    except OSError:
        return None


def data_uri(figure: Figure) -> str:
    """The figure as a PNG inside a `data:` address, for a report in one file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
