"""What a record of `lgc_variants` has besides numbers, and the figures of it."""

import base64
import zlib
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.runner import plots
from lgc.compression import Fitted

_LATENTS, _SAMPLES = 400, 2
"""Of each variant: training images in the picture of its latent space, drawn ones of a class."""


def pictures(
    fitted: Fitted, classes: np.ndarray, images: np.ndarray, labels: np.ndarray,
    predictions: np.ndarray, truth: np.ndarray,
) -> dict[str, Any]:  # fmt: skip
    """Of one trained variant.

    Args:
      fitted: with the latents of training images of these `classes`.
      classes: Int[n].
      images: UInt8[m, height, width, channels], decoded, with `labels`.
      labels: Int[m].
      predictions: Int[test images], of the classifier, beside the `truth`.
      truth: Int[test images].

    Returns:
      `tsne` [n][2], `classes` [n], `bic` [classes][K] in nats, `confusion` [true][predicted], and
      `samples`, compressed bytes in base 64 with their `samples_shape`.
    """
    from sklearn.manifold import TSNE

    nearby = TSNE(perplexity=30, random_state=0, init="pca")
    n_classes = len(fitted.candidates)
    confusion = np.zeros((n_classes, n_classes), int)
    np.add.at(confusion, (truth, predictions), 1)
    shown = np.concatenate([images[labels == c][:_SAMPLES] for c in np.unique(labels)])
    return {
        "tsne": nearby.fit_transform(fitted.latents.values[:_LATENTS]).round(2).tolist(),
        "classes": classes[:_LATENTS].tolist(),
        "bic": [np.round(each.bic, 1).tolist() for each in fitted.candidates],
        "confusion": confusion.tolist(),
        "samples": base64.b64encode(zlib.compress(shown.tobytes(), 9)).decode(),
        "samples_shape": list(shown.shape),
    }


def draw(shown: dict[str, Any]) -> dict[str, Figure]:
    """BIC curves, latents and confusions, a panel for each variant; samples."""
    found, strips = {}, []
    for kind, paint in (("bic", _bic), ("latents", _latents), ("confusion", _confusion)):
        found[kind], axes = plots.subplots(len(shown), width=2.8)
        for axis, (name, picture) in zip(axes, shown.items(), strict=True):
            paint(axis, picture)
            axis.set_title(name.replace("_", " "), loc="left")
    for name, picture in shown.items():
        raw = zlib.decompress(base64.b64decode(picture["samples"]))
        images = np.frombuffer(raw, np.uint8).reshape(picture["samples_shape"])
        strips.append((name.replace("_", " "), images))
    return {**found, "samples": plots.image_grid(strips)}


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
