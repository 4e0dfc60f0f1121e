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
from lgc.distillation.augmentation import NONE, Augmentation, augmented_set
from lgc.teachers import mixing, teacher_file
from lgc.teachers.mixing import Mixing
from lgc.teachers.teacher_file import Teacher

KINDS = (archive.KIND, distilled_images.KIND, lossy_subset.KIND)


def sample(
    data: bytes, *, per_class: int | None, seed: int, heavy: Mixing | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8[n, H, W, C] and labels int32[n], class by class.

    Args:
      data: the bytes of a file of one of `KINDS`.
      per_class: images of each class, with groups of each class in each group; None for as many as
        were compressed (mixtures) or are in the file (subsets, distilled images).
      seed: of the latents or the augmentation.
      heavy: augmentation to use instead of the file's own; needs `per_class` for images.

    Raises:
      FormatError: not an undamaged file of these kinds.
    """
    data, _ = teacher_file.split(data)
    if _kind(data) == archive.KIND:
        images, labels = archive.sample(archive.read(data), per_class=per_class, seed=seed)
        if heavy is not None:
            images = augmented(images, heavy.ranges, seed)
    else:
        contents = _stored_images(data, heavy)
        images, labels = distilled_images.sample(contents, per_class=per_class, seed=seed)
    if heavy is not None:
        images = mixing.mixed(np.random.default_rng(seed), images, heavy)
    return images, labels


def batches(
    data: bytes, batch_size: int, seed: int, heavy: Mixing | None = None
) -> Iterator[distilled_images.Batch]:
    """Endless batches with equal shares of all classes; see `lgc.stream`."""
    data, _ = teacher_file.split(data)
    mixtures = _kind(data) == archive.KIND
    if mixtures:
        found = archive.batches(archive.read(data), batch_size, seed)
    else:
        found = distilled_images.batches(_stored_images(data, heavy), batch_size, seed)
    return found if heavy is None else _mixed(found, mixtures, heavy, seed)


def _mixed(
    found: Iterator[distilled_images.Batch], mixtures: bool, heavy: Mixing, seed: int
) -> Iterator[distilled_images.Batch]:
    rng = np.random.default_rng(seed)
    for number, (images, labels) in enumerate(found):
        if mixtures:
            images = augmented(images, heavy.ranges, seed + number)
        yield mixing.mixed(rng, images, heavy), labels


def augmented(images: np.ndarray, ranges: Augmentation, seed: int) -> np.ndarray:
    """Each image augmented once, in the same order."""
    return augmented_set(seed, images, np.zeros(len(images), np.int32), len(images), ranges)[0]


def image_shape(data: bytes) -> tuple[int, int, int]:
    """Height, width and channels of the images of a file."""
    height, width, channels = read_archive(data).header["shape"]
    return height, width, channels


def label_values(data: bytes) -> np.ndarray:
    """The label value of each class, int32, ascending."""
    return np.array(read_archive(data).header["labels"], np.int32)


def is_augmented(data: bytes) -> bool:
    """Whether a file holds images to be augmented, which `per_class` does and None does not."""
    data, _ = teacher_file.split(data)
    return _kind(data) == distilled_images.KIND and distilled_images.read(data).augmentation != NONE


def teacher_of(data: bytes) -> Teacher | None:
    """The teacher in a file, if it has one."""
    return teacher_file.split(data)[1]


def _stored_images(data: bytes, heavy: Mixing | None) -> distilled_images.Contents:
    """Of a file of distilled images or of a subset, with heavy augmentation where it is given."""
    if _kind(data) == distilled_images.KIND:
        contents = distilled_images.read(data)
    else:
        contents = distilled_images.Contents(lossy_subset.read_quantised(data), None, NONE)
    return contents if heavy is None else contents._replace(augmentation=heavy.ranges)


def groups_of(data: bytes, *, per_class: int | None) -> np.ndarray | None:
    """The group of each image that `sample` draws, int32[n]; None for a file without groups."""
    data, _ = teacher_file.split(data)
    if _kind(data) != archive.KIND:
        return None
    return archive.groups_of(archive.read(data), per_class=per_class)


def summary(data: bytes) -> dict[str, Any]:
    """Kind, sizes and settings of a file, by name.

    Raises:
      FormatError: see `sample`.
    """
    form = forms.of_file(data)
    plain, teacher = teacher_file.split(data)
    found = _summary(plain, len(data))
    if teacher is not None:
        leaves = jax.tree.leaves(teacher.params)
        found["teacher_parameters"] = sum(leaf.size for leaf in leaves)
        found["teacher_bytes"] = len(data) - len(plain)
        heavy = teacher.mixing._asdict()
        found["heavy_augmentation"] = {**heavy, "ranges": teacher.mixing.ranges._asdict()}
    if form.classes is not None:
        numbers = np.array(found["labels"])
        found["classes"] = forms.from_numbers(numbers, form._replace(label_axes="n")).tolist()
    return found


def _summary(data: bytes, size: int) -> dict[str, Any]:
    kind = _kind(data)
    if kind == archive.KIND:
        return _mixtures(archive.read(data), size)
    if kind == distilled_images.KIND:
        contents = distilled_images.read(data)
        images, weights = contents.images, contents.upsampler
        return {
            "kind": kind,
            "image_shape": list(images.shape),
            "images": len(images.classes),
            "bits_per_image": 8 * size / len(images.classes),
            "labels": images.labels.tolist(),
            "counts": np.bincount(images.classes).tolist(),
            "factor": images.factor,
            "levels": images.levels.tolist(),
            "contrast": images.contrast,
            "augmentation": contents.augmentation._asdict(),
            "upsampler_parameters": sum(leaf.size for leaf in jax.tree.leaves(weights)),
        }
    images, labels = lossy_subset.read(data)
    values, counts = np.unique(labels, return_counts=True)
    return {
        "kind": kind,
        "image_shape": list(images.shape[1:]),
        "images": len(images),
        "bits_per_image": 8 * size / len(images),
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
