"""The hard baseline: a subset of the images, smaller and in few greys, under our best codec.

A file of kind "lossy_subset" holds images reduced by `lgc.coresets.reduction` and coded by
`lgc.coresets.pixel_code`. With factor 1 and 8 bits nothing is lost, and it is the lossless subset.

Labels are the classes' sizes: the images stand in an order that follows from them and mixes the
classes evenly. `lgc/coresets/FORMAT.md` gives the file byte by byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from coding import FormatError, read_archive, write_archive
from lgc.coresets import pixel_code
from lgc.coresets.reduction import (
    MAX_FACTOR,
    Reduction,
    enlarge,
    fit_levels,
    nearest_levels,
    shrink,
)

KIND = "lossy_subset"
MAX_SIDE = 4096
MAX_DECODED_BYTES = 1 << 28
_MAX_COUNT = 1 << 24


class Fitted(NamedTuple):
    """The largest file that a budget allows.

    Attributes:
      data: the file.
      n_images: images in it.
    """

    data: bytes
    n_images: int


def write(images: np.ndarray, labels: np.ndarray, reduction: Reduction) -> bytes:
    """The file of all the given images.

    Args:
      images: uint8[n, height, width] or [n, height, width, channels].
      labels: int[n].
      reduction: see `Reduction`.

    Raises:
      ValueError: images or labels that cannot be stored.
    """
    small, classes, values = _reduced(images, labels, reduction)
    return _file(images.shape[1:], small, classes, values, reduction)


def largest(
    images: np.ndarray, labels: np.ndarray, budget_bytes: int, reduction: Reduction
) -> Fitted:
    """The file of as many images from the front as fit `budget_bytes`; of one image at least.

    Put a random order or a coreset's order of selection in front. The size grows by nearly the
    same bytes with each image, so the search follows a straight line between what is known.
    """
    small, classes, values = _reduced(images, labels, reduction)
    found: dict[int, bytes] = {}

    def file(count: int) -> bytes:
        if count not in found:
            parts = small[:count], classes[:count], values
            found[count] = _file(images.shape[1:], *parts, reduction)
        return found[count]

    low, high = 1, len(small) + 1
    at_low, at_high = len(file(1)), None
    guess = min(32, len(small))
    while high - low > 1:
        guess = min(max(guess, low + 1), high - 1)
        size = len(file(guess))
        if size <= budget_bytes:
            low, at_low = guess, size
        else:
            high, at_high = guess, size
        if at_high is None:
            # The first images teach the code and cost more: their line never reaches too far.
            each = max((at_low - len(file(1))) / max(low - 1, 1), 1.0)
            guess = low + max(1, min(2 * low, int((budget_bytes - at_low) / each)))
        else:
            share = (budget_bytes - at_low) / max(at_high - at_low, 1)
            guess = low + round(share * (high - low))
    return Fitted(file(low), low)


def read(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8[n, height, width, channels] and labels int32[n], in the order of the file.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    archive = read_archive(data, kind=KIND)
    try:
        return _decoded(archive.header, archive.sections)
    except FormatError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"inconsistent file: {error}", "header") from error


def _reduced(
    images: np.ndarray, labels: np.ndarray, reduction: Reduction
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Small images, class numbers and label values."""
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}, not bytes (N, H, W, C)"
        )
    if max(images.shape[1:]) > MAX_SIDE:
        raise ValueError(f"images of {images.shape[1:]}; at most {MAX_SIDE} a side")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}, images {images.shape}"
        )
    if labels.min() < -(2**31) or labels.max() >= 2**31:
        raise ValueError(f"labels reach from {labels.min()} to {labels.max()}; they must fit int32")
    if images.size > MAX_DECODED_BYTES or len(images) > _MAX_COUNT:
        raise ValueError(f"{images.size} bytes of images; at most {MAX_DECODED_BYTES}")
    values, classes = np.unique(labels, return_inverse=True)
    if values.size > pixel_code.MAX_CLASSES:
        raise ValueError(f"{values.size} classes; at most {pixel_code.MAX_CLASSES}")
    return shrink(images, reduction.factor), classes, values


def _file(
    shape: tuple[int, ...],
    small: np.ndarray,
    classes: np.ndarray,
    values: np.ndarray,
    reduction: Reduction,
) -> bytes:
    present, classes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    levels = fit_levels(small, reduction.bits)
    by_class = np.argsort(classes, kind="stable")
    order = by_class[_mixed(counts)]
    header = {
        "shape": [*shape[:2], small.shape[3]],
        "factor": reduction.factor,
        "levels": b"" if levels.size == 256 else levels.tobytes(),
        "labels": values[present].tolist(),
        "counts": counts.tolist(),
    }
    pixels = nearest_levels(levels)[small[order]].astype(np.uint8)
    return write_archive(
        KIND, header, {"pixels": pixel_code.encode(pixels, classes[order], levels.size)}
    )


def _mixed(counts: np.ndarray) -> np.ndarray:
    """int64[n]: the order in which images stand, as places in the order class by class."""
    # Quotients of whole numbers below 2^25 are equal as floats only where they are equal.
    places = [(2 * np.arange(count) + 1) / (2 * count) for count in counts.tolist()]
    return np.argsort(np.concatenate(places), kind="stable")


def _decoded(
    header: Mapping[str, Any], sections: Mapping[str, bytes]
) -> tuple[np.ndarray, np.ndarray]:
    if header.keys() != {"shape", "factor", "levels", "labels", "counts"}:
        raise ValueError(f"header fields {sorted(header)}")
    if sections.keys() != {"pixels"}:
        raise ValueError(f"sections {sorted(sections)}")
    shape = _integers(header["shape"], "shape", 1, MAX_SIDE)
    if len(shape) != 3:
        raise ValueError(f"image shape {shape}")
    (factor,) = _integers([header["factor"]], "factor", 1, MAX_FACTOR)
    labels = _integers(header["labels"], "labels", -(2**31), 2**31 - 1)
    counts = _integers(header["counts"], "counts", 1, _MAX_COUNT)
    total = sum(counts)
    if not 1 <= len(labels) == len(counts) <= pixel_code.MAX_CLASSES or total > _MAX_COUNT:
        raise ValueError(f"{len(labels)} labels, {len(counts)} counts, {total} images")
    if any(one >= other for one, other in zip(labels, labels[1:], strict=False)):
        raise ValueError("labels do not ascend")
    height, width, channels = shape
    if total * height * width * channels > MAX_DECODED_BYTES:
        raise ValueError(f"{total} images of {shape}; at most {MAX_DECODED_BYTES} bytes")
    if not isinstance(header["levels"], bytes):
        raise ValueError("levels are not bytes")
    levels = np.frombuffer(header["levels"] or bytes(range(256)), np.uint8)
    if (np.diff(levels.astype(np.int64)) <= 0).any():
        raise ValueError("levels do not ascend")
    classes = np.repeat(np.arange(len(counts)), counts)[_mixed(np.array(counts))]
    stored = (total, -(-height // factor), -(-width // factor), channels)
    pixels = pixel_code.decode(sections["pixels"], stored, classes, levels.size)
    images = enlarge(levels[pixels], factor, height, width)
    return images, np.array(labels, np.int32)[classes]


def _integers(values: Any, name: str, least: int, most: int) -> list[int]:
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise ValueError(f"{name} are not whole numbers")
    if not all(least <= value <= most for value in values):
        raise ValueError(f"{name} out of range")
    return values
