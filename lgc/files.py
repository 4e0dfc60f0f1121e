"""Files of every kind that this package writes: summaries, and training sets drawn from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from fewbits.coding import read_archive
from fewbits.coding.inspection.kinds import wrong_kind
from fewbits.io.image_sets import forms
from lgc import archive
from lgc.coresets import lossy_subset
from lgc.distillation import distilled_images
from lgc.distillation.augmentation import NONE

KINDS = (archive.KIND, distilled_images.KIND, lossy_subset.KIND)


def sample(data: bytes, *, per_class: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8[n, H, W, C] and labels int32[n], class by class.

    Args:
      data: the bytes of a file of one of `KINDS`.
      per_class: images of each class, with groups of each class in each group; None for as many as
        were compressed (mixtures) or are in the file (subsets, distilled images).
      seed: of the latents or the augmentation.

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


def batches(data: bytes, batch_size: int, seed: int) -> Iterator[distilled_images.Batch]:
    """Endless batches with equal shares of all classes; see `lgc.stream`."""
    kind = _kind(data)
    if kind == archive.KIND:
        return archive.batches(archive.read(data), batch_size, seed)
    if kind == distilled_images.KIND:
        contents = distilled_images.read(data)
    else:
        contents = distilled_images.Contents(lossy_subset.read_quantised(data), None, NONE)
    return distilled_images.batches(contents, batch_size, seed)


def groups_of(data: bytes, *, per_class: int | None) -> np.ndarray | None:
    """The group of each image that `sample` draws, int32[n]; None for a file without groups."""
    if _kind(data) != archive.KIND:
        return None
    return archive.groups_of(archive.read(data), per_class=per_class)


def summary(data: bytes) -> dict[str, Any]:
    """Kind, sizes and settings of a file, by name.

    Raises:
      FormatError: see `sample`.
    """
    form = forms.of_file(data)
    found = _summary(data)
    if form.classes is not None:
        numbers = np.array(found["labels"])
        found["classes"] = forms.from_numbers(numbers, form._replace(label_axes="n")).tolist()
    return found


def _summary(data: bytes) -> dict[str, Any]:
    kind = _kind(data)
    if kind == archive.KIND:
        return _mixtures(archive.read(data), len(data))
    if kind == distilled_images.KIND:
        contents = distilled_images.read(data)
        images, weights = contents.images, contents.upsampler
        return {
            "kind": kind,
            "image_shape": list(images.shape),
            "images": len(images.classes),
            "bits_per_image": 8 * len(data) / len(images.classes),
            "labels": images.labels.tolist(),
            "counts": np.bincount(images.classes).tolist(),
            "factor": images.factor,
            "levels": images.levels.tolist(),
            "augmentation": contents.augmentation._asdict(),
            "upsampler_parameters": sum(leaf.size for leaf in jax.tree.leaves(weights)),
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
        raise wrong_kind(kind, f"an image set ({', '.join(KINDS)})")
    return kind
