"""Pictures of coloured digits: accuracies by group, reconstructions, accuracy against strength."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.runner import plots
from experiments.runner.experiment import Record
from experiments.runner.rows import grouped, mean_over_seeds
from lgc.groups.spuco_mnist import Grouped

SHOWN = 20
"""Images in each row of reconstructions."""


def pack(images: np.ndarray) -> str:
    """Images as text: compressed, in base 64."""
    file = io.BytesIO()
    np.savez_compressed(file, images)
    return base64.b64encode(file.getvalue()).decode()


def unpack(text: str) -> np.ndarray:
    """The images that `pack` was given."""
    with np.load(io.BytesIO(base64.b64decode(text))) as arrays:
        return arrays["arr_0"]


def shown_of(images: Grouped) -> Grouped:
    """A few images, as many groups as can be."""
    firsts = np.unique(images.groups, return_index=True)[1]
    # Diagonal by diagonal, so that twenty images show each class and each background.
    n = images.n_classes
    groups = images.groups[firsts]
    return images.take(firsts[np.argsort((groups % n - groups // n) % n, kind="stable")][:SHOWN])


def draw(records: dict[str, Record]) -> dict[str, Figure]:
    paper = records["paper"]
    found = {"groups": _groups(paper.rows)}
    pictures = paper.extras["pictures"].items()
    if pictures:
        found["reconstructions"] = plots.image_grid(
            [(title.replace("_", " "), unpack(text)) for title, text in pictures]
        )
    if "strengths" in records:
        found["against_strength"] = _against_strength([*records["strengths"].rows, *paper.rows])
    return found


def _against_strength(rows: Sequence[Any]) -> Figure:
    """Worst group's accuracy against the strength of the correlation."""
    figure, (axis,) = plots.subplots(width=5.4)
    for name, mine in grouped(rows, lambda row: row.training_set).items():
        strengths = sorted({row.strength for row in mine})
        curve = [mean_over_seeds(mine, "worst_percent", strength=each).mean for each in strengths]
        axis.plot(1 - np.array(strengths), curve, "o-", label=name.replace("_", " "))
    axis.set(
        xscale="log",
        xlabel="share of training images on another background",
        ylabel="worst group's accuracy, %",
    )
    axis.legend(fontsize=7)
    return figure


def _groups(rows: Sequence[Any]) -> Figure:
    """Mean accuracy of every (class, background), a map for each training set."""
    by_set = grouped(rows, lambda row: row.training_set)
    columns = min(4, len(by_set))
    figure, axes = plots.subplots(columns, rows=-(-len(by_set) // columns), width=2.1, height=2.4)
    for spare in axes[len(by_set) :]:
        spare.set_visible(False)
    for axis, (name, mine) in zip(axes, by_set.items(), strict=False):
        n_classes = mine[0].classes
        each = np.mean([row.groups_percent for row in mine], axis=0)
        each = each.reshape(n_classes, n_classes)
        plots.heat_map(axis, each, ".0f", 6, cmap="viridis", vmin=0, vmax=100)
        axis.set(xlabel="background", ylabel="class")
        axis.set_title(name.replace("_", " "), loc="left", fontsize=7)
    return figure
