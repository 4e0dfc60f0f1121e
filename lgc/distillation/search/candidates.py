"""Candidates of the search: how many images fit the budget at each downsampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fewbits.codecs.pixels import pixel_code
from fewbits.training.method import Key
from lgc.coresets import strategies
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file, quantised_images
from lgc.distillation.quantised_images import QuantisedImages
from lgc.images import LabelledImages

LEAST_SIDE = 5
"""Low-resolution images have at least so many rows and columns."""
_UPSAMPLER_SHARE = 0.08
"""Of the budget, at most."""
_BITS_PER_WEIGHT = 4.2
"""Of the upsampler in the file, its share of the tables included; an estimate."""
_SAMPLE, _FIRST_SAMPLE = 300, 32
"""Images whose coded length predicts how many will fit: at most, and at first."""


class Candidate(NamedTuple):
    """One downsampling and what fits beside it.

    Attributes:
      downsampling: of the images.
      width: channels of the upsampler; 0 for none.
      n_images: images that should fit.
    """

    downsampling: Downsampling
    width: int
    n_images: int


def quantised(
    checked: LabelledImages, rows: np.ndarray, downsampling: Downsampling
) -> QuantisedImages:
    """Some images of a set, downsampled and quantised."""
    return quantised_images.quantise(checked.pixels[rows], checked.classes[rows], downsampling)


def stored(
    checked: LabelledImages, rows: np.ndarray, candidate: Candidate, strategy: str, key: Key
) -> tuple[np.ndarray, QuantisedImages]:
    """Indices into `rows` of the images that a file holds, and they, quantised.

    Of a coreset there are as many as take the bytes of the random images.
    """
    images = quantised(checked, rows, candidate.downsampling)
    random = images.subset(slice(candidate.n_images))
    if strategy == strategies.RANDOM:
        return np.arange(candidate.n_images), random
    pixels, classes = checked.pixels[rows], checked.classes[rows]
    order = strategies.coreset_first(strategy, key, pixels, classes, candidate.n_images)
    order = order[: candidate.n_images]
    order = order[: count_of_equal_bytes(images.subset(order), random)]
    return order, images.subset(order)


def count_of_equal_bytes(images: QuantisedImages, reference: QuantisedImages) -> int:
    """How many images from the front take the bytes of all the reference images."""
    costs = [
        pixel_code.cost_bits(part.pixels, part.classes, part.levels.size)
        for part in (images, reference)
    ]
    return int(np.searchsorted(np.cumsum(costs[0]), costs[1].sum(), side="right"))


def candidates(
    checked: LabelledImages,
    rows: np.ndarray,
    budget_bytes: int,
    downsamplings: tuple[Downsampling, ...],
    *,
    finest: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> list[Candidate]:
    """Every downsampling that fits the budget; of those that fit all images, only the finest.

    Args:
      checked: the image set.
      rows: int[m], the images that may be stored.
      budget_bytes: of the file.
      downsamplings: to choose from.
      finest: so many of those that fit all images.
      stop: asked before each downsampling, once one fits, whether to leave out what remains.

    Raises:
      InputError: the budget is too small for one image of each class at any of them.
    """
    shape = checked.pixels.shape[1:]
    header = 120 + 8 * len(checked.labels)
    found: list[Candidate] = []
    needed = math.inf
    for downsampling in downsamplings:
        if min(shape[:2]) < LEAST_SIDE * downsampling.factor:
            continue
        if found and stop():
            break
        width, weights = _upsampler(downsampling.factor, shape[2], budget_bytes)
        left = budget_bytes - header - weights * _BITS_PER_WEIGHT / 8
        # Fine images are slow to code, and few of them fit: no more are coded than will.
        size = _FIRST_SAMPLE
        while True:
            sample = rows[: max(size, 2 * len(checked.labels))]
            images = quantised(checked, sample, downsampling)
            bits = pixel_code.cost_bits(images.pixels, images.classes, images.levels.size)
            # The code adapts: the second half predicts the cost of later images.
            each = float(bits[len(bits) // 2 :].mean()) / 8
            n_images = int(left / max(each, 0.1))
            needed = min(needed, budget_bytes - left + each * len(checked.labels))
            if size > _FIRST_SAMPLE or n_images <= size:
                break
            size = min(n_images, _SAMPLE)
        if n_images >= len(checked.labels):
            found.append(Candidate(downsampling, width, min(n_images, len(rows))))
    if not found:
        about = math.ceil(needed) if math.isfinite(needed) else None
        raise distilled_file.too_small(budget_bytes, checked, about)
    partial_ = [c for c in found if c.n_images < len(rows)]
    whole = [c for c in found if c.n_images == len(rows)]
    whole.sort(key=lambda c: (c.downsampling.factor, -c.downsampling.bits))
    return partial_ + whole[:finest]


def upsampler_width(factor: int, channels: int, budget_bytes: int) -> int:
    """Channels of the widest upsampler within its share of the budget; 0 for none."""
    return _upsampler(factor, channels, budget_bytes)[0]


def _upsampler(factor: int, channels: int, budget_bytes: int) -> tuple[int, int]:
    """Channels and weights of the widest upsampler within its share of the budget, or 0, 0."""
    for width in (24, 16, 12, 8, 6, 4):
        outputs = factor * factor * channels
        weights = 9 * width * (channels + width + outputs) + 2 * width + outputs
        if weights * _BITS_PER_WEIGHT / 8 <= _UPSAMPLER_SHARE * budget_bytes:
            return width, weights
    return 0, 0
