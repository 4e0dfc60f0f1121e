"""Quantised low-resolution images as a header and one coded section, shared by two kinds of files.

`lossy_subset` files upsample them by interpolation, `exemplars` files by a network. The order of
the images follows from the sizes of the classes and mixes them evenly, so that labels cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fewbits.codecs.pixels import pixel_code
from lgc.coresets.downsampling import (
    MAX_CONTRAST,
    MAX_FACTOR,
    Downsampling,
    downsample,
    fit_levels,
    interpolate,
    levels_for_contrast,
    more_contrast,
    nearest_levels,
)

MAX_SIDE = 4096
MAX_DECODED_BYTES = 1 << 28
FIELDS = frozenset({"shape", "factor", "levels", "labels", "counts"})
"""Of the header."""
CONTRAST = "contrast"
"""The same, where it is not 100."""
_MAX_COUNT = 1 << 24
_SPARE_SHARE = 2_000
"""A file that leaves less than one in so many of its budget's bytes unused is full."""


class QuantisedImages(NamedTuple):
    """Downsampled images in a few grey levels.

    Attributes:
      shape: (height, width, channels) at full resolution.
      factor: each pixel is the mean of a square of this side.
      levels: uint8[levels], ascending: the grey levels.
      pixels: uint8[n, ceil(height / factor), ceil(width / factor), channels], indices of `levels`.
      classes: int64[n], indices of `labels`.
      labels: int64[classes], ascending.
      contrast: of interpolated images, percent of what interpolation gives.
    """

    shape: tuple[int, int, int]
    factor: int
    levels: np.ndarray
    pixels: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    contrast: int = 100

    def grey_levels(self) -> np.ndarray:
        """The grey level of each pixel, uint8 like `pixels`."""
        return self.levels[self.pixels]

    def interpolated(self) -> np.ndarray:
        """The images at full resolution, uint8[n, height, width, channels]."""
        large = interpolate(self.grey_levels(), self.factor, *self.shape[:2])
        return large if self.contrast == 100 else more_contrast(large, self.contrast)

    def with_contrast(self, percent: int) -> QuantisedImages:
        """With black, white and steeper edges; as they are in one or in all grey levels."""
        if not 1 < self.levels.size < 256:
            return self
        levels = levels_for_contrast(self.levels, percent)
        return self._replace(levels=levels, contrast=percent)

    def subset(self, chosen: slice | np.ndarray) -> QuantisedImages:
        """Some of the images, in the given order."""
        return self._replace(pixels=self.pixels[chosen], classes=self.classes[chosen])


class Fitted(NamedTuple):
    """The largest file that a budget allows.

    Attributes:
      data: the file.
      n_images: images in it.
    """

    data: bytes
    n_images: int


def quantise(images: np.ndarray, labels: np.ndarray, downsampling: Downsampling) -> QuantisedImages:
    """Downsampled images, quantised to grey levels fitted to all of them.

    Args:
      images: uint8[n, height, width] or [n, height, width, channels].
      labels: int[n].
      downsampling: see `Downsampling`.

    Raises:
      ValueError: images or labels that cannot be stored.
    """
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
    low = downsample(images, downsampling.factor)
    levels = fit_levels(low, downsampling.bits)
    pixels = nearest_levels(levels)[low].astype(np.uint8)
    return QuantisedImages(images.shape[1:], downsampling.factor, levels, pixels, classes, values)


def pack(images: QuantisedImages) -> tuple[dict[str, Any], bytes]:
    """Header fields and the section of the pixels."""
    present, classes, counts = np.unique(images.classes, return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    order = by_class[_mixed(counts)]
    header = {
        "shape": [*images.shape[:2], images.pixels.shape[3]],
        "factor": images.factor,
        "levels": b"" if images.levels.size == 256 else images.levels.tobytes(),
        "labels": images.labels[present].tolist(),
        "counts": counts.tolist(),
    }
    if images.contrast != 100:
        header[CONTRAST] = images.contrast
    return header, pixel_code.encode(images.pixels[order], classes[order], images.levels.size)


def unpack(header: Mapping[str, Any], pixels: bytes) -> QuantisedImages:
    """What `pack` was given, in the order of the file.

    Raises:
      ValueError: inconsistent fields (FormatError, which is one, for the pixels).
      KeyError: a field is missing.
    """
    shape = integers(header["shape"], "shape", 1, MAX_SIDE)
    if len(shape) != 3:
        raise ValueError(f"image shape {shape}")
    (factor,) = integers([header["factor"]], "factor", 1, MAX_FACTOR)
    (contrast,) = integers([header.get(CONTRAST, 100)], CONTRAST, 100, MAX_CONTRAST)
    labels = integers(header["labels"], "labels", -(2**31), 2**31 - 1)
    counts = integers(header["counts"], "counts", 1, _MAX_COUNT)
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
    found = pixel_code.decode(pixels, stored, classes, levels.size)
    return QuantisedImages(
        (height, width, channels),
        factor,
        levels,
        found,
        classes,
        np.array(labels, np.int64),
        contrast,
    )


def largest(file: Callable[[int], bytes], most: int, budget_bytes: int) -> Fitted:
    """The file of as many images as fit a budget, or all but a few; of one image at least.

    The size grows almost linearly with the number of images, so the search interpolates between
    known sizes. Coding 100 kB takes seconds, so the last two-thousandth of a budget is
    not searched for: a few images where there are thousands.

    Args:
      file: the file of the first so many images.
      most: images there are.
      budget_bytes: of the file.
    """
    found: dict[int, bytes] = {}

    def cached(count: int) -> bytes:
        if count not in found:
            found[count] = file(count)
        return found[count]

    low, high = 1, most + 1
    at_low, at_high = len(cached(1)), None
    guess = min(32, most)
    while high - low > 1 and not 0 <= budget_bytes - at_low < budget_bytes / _SPARE_SHARE:
        guess = min(max(guess, low + 1), high - 1)
        size = len(cached(guess))
        if size <= budget_bytes:
            low, at_low = guess, size
        else:
            high, at_high = guess, size
        if at_high is None:
            # The first images cost more, since the code adapts: their line never overshoots.
            each = max((at_low - len(cached(1))) / max(low - 1, 1), 1.0)
            guess = low + max(1, min(2 * low, int((budget_bytes - at_low) / each)))
        else:
            share = (budget_bytes - at_low) / max(at_high - at_low, 1)
            guess = low + round(share * (high - low))
    return Fitted(cached(low), low)


def integers(values: Any, name: str, least: int, most: int) -> list[int]:
    """A header's list of whole numbers; ValueError if it is anything else or out of range."""
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise ValueError(f"{name} are not whole numbers")
    if not all(least <= value <= most for value in values):
        raise ValueError(f"{name} out of range")
    return values


def _mixed(counts: np.ndarray) -> np.ndarray:
    """int64[n]: the order of the images in the file, as indices into the order class by class."""
    # Quotients of whole numbers below 2^25 are equal as floats only where they are equal.
    places = [(2 * np.arange(count) + 1) / (2 * count) for count in counts.tolist()]
    return np.argsort(np.concatenate(places), kind="stable")
