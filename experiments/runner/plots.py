"""Pictures: one look for all figures, saved with the digest of the records they show."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

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
