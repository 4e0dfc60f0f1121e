"""A picture of a file of distilled images: the stored images, and images drawn from it."""

from __future__ import annotations

import io

import numpy as np

from lgc.distillation import distilled_images
from lgc.distillation.distilled_images import Contents

_CLASSES, _EACH, _GAP = 12, 8, 2


def sheet(contents: Contents, seed: int = 0) -> np.ndarray:
    """A row for each of the first classes, stored images left and drawn ones right, uint8[h, w, 3].

    Args:
      contents: of a file.
      seed: of the augmentation.
    """
    large, labels = distilled_images.sample(contents, per_class=None, seed=0)
    drawn, drawn_labels = distilled_images.sample(contents, per_class=_EACH, seed=seed)
    rows = []
    for label in np.unique(labels)[:_CLASSES]:
        halves = [
            _strip(np.resize(np.flatnonzero(of == label), _EACH), images)
            for images, of in ((large, labels), (drawn, drawn_labels))
        ]
        white = np.full((halves[0].shape[0], 4 * _GAP, 3), 255, np.uint8)
        rows.append(np.concatenate([halves[0], white, halves[1]], axis=1))
    return np.concatenate(rows)


def picture(contents: Contents, seed: int = 0) -> bytes:
    """The sheet as a PNG, enlarged to about a thousand pixels."""
    import matplotlib.image  # slow to import, and used here only

    shown = sheet(contents, seed)
    scale = max(1, 1000 // shown.shape[1])
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, shown.repeat(scale, axis=0).repeat(scale, axis=1), format="png")
    return buffer.getvalue()


def _strip(chosen: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Images side by side in colour, white between them."""
    shown = images[chosen][..., :3]
    if shown.shape[3] != 3:
        shown = shown[..., :1].repeat(3, axis=3)
    framed = np.pad(shown, ((0, 0), (0, _GAP), (0, _GAP), (0, 0)), constant_values=255)
    return np.concatenate(list(framed), axis=1)
