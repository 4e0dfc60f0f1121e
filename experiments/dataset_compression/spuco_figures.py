"""Tables and pictures of coloured digits: accuracies by group, reconstructions."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.runner import plots
from experiments.runner.registry import Table
from experiments.runner.statistics import over_seeds
from lgc.groups.spuco_mnist import Grouped

SHOWN = 20
"""Images in each row of reconstructions."""

TITLES = {
    "paper": "Spurious backgrounds: five classes on five colours",
    "strengths": "Spurious backgrounds at several strengths",
    "ten": "Spurious backgrounds: ten classes on ten colours",
}
"""Of the table of each preset that has one."""

COLUMNS = (
    "training set",
    "strength",
    "bytes",
    "worst group, %",
    "average, %",
    "groups' mean, %",
    "seeds",
)


def table(preset: str, rows: list[dict[str, Any]]) -> Table:
    """Worst-group and average accuracy of every arm."""
    return Table(
        TITLES[preset],
        COLUMNS,
        summaries(rows),
        "Mean ± standard deviation over seeds; official test digits, every background equally "
        "frequent in each class. Average: groups weighted as in training. `convolutional` and "
        "`dense`: archives with that decoder, drawn with the training set's group sizes "
        "(natural) or with equal ones; the subset has the convolutional archive's bytes.",
    )


def summaries(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One line for each arm and strength."""
    found = []
    for arm, strength in dict.fromkeys((row["arm"], row["strength"]) for row in rows):
        mine = [row for row in rows if row["arm"] == arm and row["strength"] == strength]
        sizes = [row["bytes"] for row in mine if row["bytes"] is not None]
        found.append(
            (
                arm.replace("_", ", "),
                f"{strength:g}",
                f"{np.mean(sizes):,.0f}" if sizes else "all images",
                *(
                    over_seeds(row[f"{name}_percent"] for row in mine).text()
                    for name in ("worst", "average", "even")
                ),
                str(len(mine)),
            )
        )
    return found


def pack(images: np.ndarray) -> dict[str, Any]:
    """uint8[n, height, width, 3] as text: compressed, in base 64."""
    text = base64.b64encode(zlib.compress(images.tobytes(), 9)).decode()
    return {"pixels": text, "shape": list(images.shape)}


def unpack(kept: dict[str, Any]) -> np.ndarray:
    """The images that `pack` was given."""
    raw = zlib.decompress(base64.b64decode(kept["pixels"]))
    return np.frombuffer(raw, np.uint8).reshape(kept["shape"])


def shown_of(images: Grouped) -> Grouped:
    """A few images, as many groups as can be."""
    firsts = np.unique(images.groups, return_index=True)[1]
    # Diagonal by diagonal, so that twenty images show each class and each background.
    n = images.n_classes
    groups = images.groups[firsts]
    return images.take(firsts[np.argsort((groups % n - groups // n) % n, kind="stable")][:SHOWN])


def draw(rows: list[dict[str, Any]], pictures: dict[str, Any], n_classes: int) -> dict[str, Figure]:
    """All figures, from a record."""
    found = {"groups": _groups(rows, n_classes)}
    if pictures:
        found["reconstructions"] = plots.image_grid(
            [(title.replace("_", " "), unpack(kept)) for title, kept in pictures.items()]
        )
    return found


def against_strength(rows: list[dict[str, Any]]) -> Figure:
    """Worst group's accuracy against the strength of the correlation."""
    figure, (axis,) = plots.subplots(width=5.4)
    strengths = sorted({row["strength"] for row in rows})
    for arm in dict.fromkeys(row["arm"] for row in rows):
        curve = []
        for strength in strengths:
            mine = [r for r in rows if r["arm"] == arm and r["strength"] == strength]
            curve.append(np.mean([row["worst_percent"] for row in mine]) if mine else np.nan)
        axis.plot(1 - np.array(strengths), curve, "o-", label=arm.replace("_", " "))
    axis.set(
        xscale="log",
        xlabel="share of training images on another background",
        ylabel="worst group's accuracy, %",
    )
    axis.legend(fontsize=7)
    return figure


def _groups(rows: list[dict[str, Any]], n_classes: int) -> Figure:
    """Mean accuracy of every (class, background), a map for each arm."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    columns = min(4, len(arms))
    figure, axes = plots.subplots(columns, rows=-(-len(arms) // columns), width=2.1, height=2.4)
    for spare in axes[len(arms) :]:
        spare.set_visible(False)
    for axis, arm in zip(axes, arms, strict=False):
        each = np.mean([row["groups_percent"] for row in rows if row["arm"] == arm], axis=0)
        axis.imshow(each.reshape(n_classes, n_classes), cmap="viridis", vmin=0, vmax=100)
        axis.grid(visible=False)
        if n_classes <= 5:
            for place, value in enumerate(each):
                shade = "white" if value < 60 else "black"
                axis.text(
                    place % n_classes, place // n_classes, f"{value:.0f}",
                    ha="center", va="center", fontsize=6, color=shade,
                )  # fmt: skip
        axis.set(xlabel="background", ylabel="class")
        axis.set_title(arm.replace("_", " "), loc="left", fontsize=7)
    return figure
