"""Pictures of the report's variants: what a record keeps of them, and how they are drawn."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.runner import plots
from experiments.runner.statistics import over_seeds
from lgc.gmm.selection import Candidates

PUBLISHED = {
    "ae": (3_080_064, 95.98),
    "contrastive_ae": (2_485_560, 89.14),
    "vae": (1_230_480, 82.63),
    "conditional_vae": (1_457_200, 91.34),
    "contrastive_vae": (1_230_480, 91.84),
}
"""Bytes and accuracy in percent that the report gives; it has none for the convolutional one."""

SAMPLES = 2
"""Of each class, in the grid of samples."""


def pictures(
    latents: np.ndarray,
    classes: np.ndarray,
    candidates: list[Candidates],
    images: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
    truth: np.ndarray,
) -> dict[str, Any]:
    """What is kept of one trained variant.

    Args:
      latents: Float[n, d], of some training images.
      classes: Int[n].
      candidates: mixtures of every class and number of components.
      images: UInt8[m, height, width, channels], decoded.
      labels: Int[m].
      predictions: Int[test images], of the student.
      truth: Int[test images].

    Returns:
      `tsne` [n][2], `classes` [n], `bic` [classes][K] in nats, `confusion` [true][predicted], and
      `samples`, compressed bytes in base 64 with their `samples_shape`.
    """
    from sklearn.manifold import TSNE

    plane = TSNE(perplexity=30, random_state=0, init="pca").fit_transform(latents)
    n_classes = len(candidates)
    confusion = np.zeros((n_classes, n_classes), int)
    np.add.at(confusion, (truth, predictions), 1)
    shown = np.concatenate([images[labels == c][:SAMPLES] for c in np.unique(labels)])
    return {
        "tsne": np.round(plane, 2).tolist(),
        "classes": classes.tolist(),
        "bic": [np.round(each.bic, 1).tolist() for each in candidates],
        "confusion": confusion.tolist(),
        "samples": base64.b64encode(zlib.compress(shown.tobytes(), 9)).decode(),
        "samples_shape": list(shown.shape),
    }


def draw(rows: list[dict[str, Any]]) -> dict[str, Figure]:
    """All figures, from a record's rows."""
    shown = {row["variant"]: row["pictures"] for row in rows if "pictures" in row}
    return {
        "accuracy_against_bytes": _accuracy_against_bytes(rows),
        "bic": _bic(shown),
        "latents": _latents(shown),
        "confusion": _confusion(shown),
        "samples": _samples(shown),
    }


def pareto(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (bytes, accuracy) that no other beats in both, by bytes."""
    front, best = [], -np.inf
    for size, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if accuracy > best:
            front.append((size, accuracy))
            best = accuracy
    return front


def _accuracy_against_bytes(rows: list[dict[str, Any]]) -> Figure:
    """A shape for each variant, so that no names lie on one another: files of ours are close."""
    figure, (axis,) = plots.subplots(width=6.4)
    points = []
    names = dict.fromkeys(row["variant"] for row in rows)
    for name, marker in zip(names, plots.MARKERS, strict=False):
        mine = [row for row in rows if row["variant"] == name]
        accuracy = over_seeds(row["accuracy_percent"] for row in mine)
        own = (float(np.mean([row["bytes"] for row in mine])), accuracy.mean)
        points.append(own)
        axis.errorbar(*own, accuracy.std or 0.0, fmt=marker, color=plots.OURS, capsize=2, ms=5)
        if name in PUBLISHED:
            axis.plot(*PUBLISHED[name], marker, color=plots.PUBLISHED, ms=5)
        axis.plot([], [], marker, color="0.3", ms=5, label=name.replace("_", " "))
    front = pareto(points)
    axis.plot(*zip(*front, strict=True), "--", color=plots.OURS, lw=0.8, label="our Pareto front")
    axis.plot([], [], color=plots.OURS, lw=4, label="files")
    axis.plot([], [], color=plots.PUBLISHED, lw=4, label="the report's claims")
    axis.set(xscale="log", xlabel="bytes", ylabel="test accuracy, %")
    figure.legend(loc="outside right upper")
    return figure


def _bic(shown: dict[str, Any]) -> Figure:
    figure, axes = plots.subplots(len(shown), width=2.8)
    for axis, (name, kept) in zip(axes, shown.items(), strict=True):
        for label, curve in enumerate(kept["bic"]):
            values = np.array(curve, float)
            axis.plot(range(1, len(values) + 1), values - values[0], "o-", ms=3, label=str(label))
        axis.set(xlabel="components", ylabel="BIC over that of one, nats")
        axis.set_title(name.replace("_", " "), loc="left")
    axes[0].legend(fontsize=6, ncol=2)
    return figure


def _latents(shown: dict[str, Any]) -> Figure:
    figure, axes = plots.subplots(len(shown), width=2.8)
    for axis, (name, kept) in zip(axes, shown.items(), strict=True):
        axis.scatter(*np.array(kept["tsne"]).T, c=kept["classes"], cmap="tab10", s=4)
        axis.set_title(name.replace("_", " "), loc="left")
        axis.set(xticks=[], yticks=[])
    return figure


def _confusion(shown: dict[str, Any]) -> Figure:
    figure, axes = plots.subplots(len(shown), width=2.8)
    for axis, (name, kept) in zip(axes, shown.items(), strict=True):
        counts = np.array(kept["confusion"], float)
        axis.imshow(np.log1p(counts), cmap="Blues")
        axis.set(xlabel="predicted", ylabel="true")
        axis.set_title(name.replace("_", " "), loc="left")
        axis.grid(visible=False)
    return figure


def _samples(shown: dict[str, Any]) -> Figure:
    strips = []
    for name, kept in shown.items():
        raw = zlib.decompress(base64.b64decode(kept["samples"]))
        images = np.frombuffer(raw, np.uint8).reshape(kept["samples_shape"])
        strips.append((name.replace("_", " "), images))
    return plots.image_grid(strips)
