"""What a record of `lgc_variants` has besides numbers, and its figures."""

import base64
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.runner import plots
from experiments.runner.experiment import Record
from experiments.runner.rows import grouped, mean_over_seeds
from lgc.gmm.selection import Candidates

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
    """What figures need of one trained variant.

    Args:
      latents: Float[n, d], of some training images.
      classes: Int[n].
      candidates: mixtures of every class and number of components.
      images: UInt8[m, height, width, channels], decoded.
      labels: Int[m].
      predictions: Int[test images], of the classifier.
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


def draw(record: Record, published: Sequence[Any]) -> dict[str, Figure]:
    """All figures: accuracy against bytes, BIC curves, latents, confusions, samples."""
    shown = record.extras["pictures"]
    strips = []
    for name, picture in shown.items():
        raw = zlib.decompress(base64.b64decode(picture["samples"]))
        images = np.frombuffer(raw, np.uint8).reshape(picture["samples_shape"])
        strips.append((name.replace("_", " "), images))
    return {
        "accuracy_against_bytes": _accuracy_against_bytes(record, published),
        "bic": _panels(shown, _bic),
        "latents": _panels(shown, _latents),
        "confusion": _panels(shown, _confusion),
        "samples": plots.image_grid(strips),
    }


def pareto(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (bytes, accuracy) that no other beats in both, by bytes."""
    front, best = [], -np.inf
    for size, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if accuracy > best:
            front.append((size, accuracy))
            best = accuracy
    return front


def _accuracy_against_bytes(record: Record, published: Sequence[Any]) -> Figure:
    """A shape for each variant, so that no names lie on one another: files of ours are close."""
    figure, (axis,) = plots.subplots(width=6.4)
    points = []
    by_variant = grouped(record.rows, lambda row: row.variant)
    for marker, (name, mine) in zip(plots.MARKERS, by_variant.items(), strict=False):
        accuracy = mean_over_seeds(mine, "accuracy_percent")
        own = (float(np.mean([row.bytes for row in mine])), accuracy.mean)
        points.append(own)
        axis.errorbar(*own, accuracy.std or 0.0, fmt=marker, color=plots.OURS, capsize=2, ms=5)
        for row in published:
            if row.variant == name:
                point = (row.float64_bytes, row.accuracy_percent)
                axis.plot(*point, marker, color=plots.PUBLISHED, ms=5)
        axis.plot([], [], marker, color="0.3", ms=5, label=name.replace("_", " "))
    front = pareto(points)
    axis.plot(*zip(*front, strict=True), "--", color=plots.OURS, lw=0.8, label="our Pareto front")
    axis.plot([], [], color=plots.OURS, lw=4, label="files")
    axis.plot([], [], color=plots.PUBLISHED, lw=4, label="published")
    axis.set(xscale="log", xlabel="bytes", ylabel="test accuracy, %")
    figure.legend(loc="outside right upper")
    return figure


def _panels(shown: dict[str, Any], paint: Callable[[Axes, dict[str, Any]], None]) -> Figure:
    """A panel for each variant."""
    figure, axes = plots.subplots(len(shown), width=2.8)
    for axis, (name, picture) in zip(axes, shown.items(), strict=True):
        paint(axis, picture)
        axis.set_title(name.replace("_", " "), loc="left")
    return figure


def _bic(axis: Axes, picture: dict[str, Any]) -> None:
    for label, curve in enumerate(picture["bic"]):
        values = np.array(curve, float)
        axis.plot(range(1, len(values) + 1), values - values[0], "o-", ms=3, label=str(label))
    axis.set(xlabel="components", ylabel="BIC over that of one, nats")
    axis.legend(fontsize=5, ncol=2)


def _latents(axis: Axes, picture: dict[str, Any]) -> None:
    axis.scatter(*np.array(picture["tsne"]).T, c=picture["classes"], cmap="tab10", s=4)
    axis.set(xticks=[], yticks=[])


def _confusion(axis: Axes, picture: dict[str, Any]) -> None:
    axis.imshow(np.log1p(np.array(picture["confusion"], float)), cmap="Blues")
    axis.set(xlabel="predicted", ylabel="true")
    axis.grid(visible=False)
