"""Files of any kind that this room writes: what is in them, and training sets drawn from them."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from fewbits.coding import FormatError, read_archive
from lgc import archive
from lgc.coresets import lossy_subset
from lgc.distillation import distilled_images

KINDS = (archive.KIND, distilled_images.KIND, lossy_subset.KIND)


def sample(data: bytes, *, per_class: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8[n, H, W, C] and labels int32[n], class by class.

    Args:
      data: of a file of one of `KINDS`.
      per_class: images of each class, with groups of each class in each group; None for as many as
        were compressed (mixtures) or are in the file (subsets, exemplars).
      seed: of what is drawn.

    Raises:
      FormatError: not an undamaged file of these kinds.
    """
    kind = _kind(data)
    if kind == archive.KIND:
        return archive.sample(archive.read(data), per_class=per_class, seed=seed)
    if kind == distilled_images.KIND:
        return distilled_images.sample(distilled_images.read(data), per_class=per_class, seed=seed)
    images, labels = lossy_subset.read(data)
    if per_class is None:
        chosen = np.argsort(labels, kind="stable")
    else:
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        chosen = np.concatenate([np.resize(each, per_class) for each in members])
    return images[chosen], labels[chosen]


def groups_of(data: bytes, *, per_class: int | None) -> np.ndarray | None:
    """The group of each image that `sample` draws, int32[n]; None for a file without groups."""
    if _kind(data) != archive.KIND:
        return None
    return archive.groups_of(archive.read(data), per_class=per_class)


def summary(data: bytes) -> dict[str, Any]:
    """What a person wants to know of a file, by name.

    Raises:
      FormatError: see `sample`.
    """
    kind = _kind(data)
    if kind == archive.KIND:
        return _mixtures(archive.read(data), len(data))
    if kind == distilled_images.KIND:
        contents = distilled_images.read(data)
        small, weights = contents.small, contents.enlarger
        return {
            "kind": kind,
            "image_shape": list(small.shape),
            "images": len(small.classes),
            "bits_per_image": 8 * len(data) / len(small.classes),
            "labels": small.labels.tolist(),
            "counts": np.bincount(small.classes).tolist(),
            "factor": small.factor,
            "levels": small.levels.tolist(),
            "moves": contents.deformation._asdict(),
            "enlarger_parameters": sum(leaf.size for leaf in jax.tree.leaves(weights)),
        }
    images, labels = lossy_subset.read(data)
    values, counts = np.unique(labels, return_counts=True)
    return {
        "kind": kind,
        "image_shape": list(images.shape[1:]),
        "images": len(images),
        "bits_per_image": 8 * len(data) / len(images),
        "labels": values.tolist(),
        "counts": counts.tolist(),
    }


def _mixtures(contents: archive.Contents, size: int) -> dict[str, Any]:
    return {
        "kind": archive.KIND,
        "image_shape": list(contents.image_shape),
        "images": sum(contents.counts),
        "bits_per_image": 8 * size / max(sum(contents.counts), 1),
        "labels": list(contents.labels),
        "counts": list(contents.counts),
        **({"groups": list(contents.groups)} if contents.groups else {}),
        "covariance": contents.covariance,
        "components": list(contents.components),
        "latent_dimensions": int(contents.means.shape[1]),
        "decoder_parameters": sum(np.size(leaf) for leaf in jax.tree.leaves(contents.decoder)),
    }


def _kind(data: bytes) -> str:
    kind = read_archive(data).kind
    if kind not in KINDS:
        raise FormatError(
            f"a file of kind {kind!r} holds no image set; known are {', '.join(KINDS)}", "header"
        )
    return kind
