"""What a budget of bytes could buy: how many images under a reduction, beside which enlarger."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fewbits.codecs.pixels import pixel_code
from fewbits.training.method import Key
from lgc.coresets import strategies
from lgc.coresets.downsampling import Reduction
from lgc.distillation import distilled_file, quantised_images
from lgc.distillation.quantised_images import SmallImages
from lgc.images import LabelledImages

_LEAST_SIDE = 5
"""Small images have at least so many rows and columns."""
_ENLARGER_SHARE = 0.08
"""Of the budget, at most."""
_BITS_PER_WEIGHT = 4.2
"""What a weight takes in the file, its share of the tables included; the file itself decides."""
_SAMPLE = 300
"""Images whose coded length tells how many will fit."""


class Candidate(NamedTuple):
    """One of them.

    Attributes:
      reduction: of the images.
      width: of the enlarger; 0 for none.
      fitting: images that should fit.
    """

    reduction: Reduction
    width: int
    fitting: int


def small_of(checked: LabelledImages, kept: np.ndarray, reduction: Reduction) -> SmallImages:
    """Chosen images of a set, reduced."""
    return quantised_images.reduce(checked.pixels[kept], checked.classes[kept], reduction)


def chosen_places(
    checked: LabelledImages, kept: np.ndarray, candidate: Candidate, name: str, key: Key
) -> np.ndarray:
    """Places in `kept` of as many images of a coreset as take the bytes of so many at random."""
    pixels, classes = checked.pixels[kept], checked.classes[kept]
    small = small_of(checked, kept, candidate.reduction)
    order = strategies.chosen_first(name, key, pixels, classes, candidate.fitting)[
        : candidate.fitting
    ]
    return order[: as_costly(small.subset(order), small.subset(slice(candidate.fitting)))]


def as_costly(small: SmallImages, usual: SmallImages) -> int:
    """How many of the first of some images take the bytes that others take."""
    costs = [
        pixel_code.cost_bits(part.pixels, part.classes, part.levels.size) for part in (small, usual)
    ]
    return int(np.searchsorted(np.cumsum(costs[0]), costs[1].sum(), side="right"))


def possible(
    checked: LabelledImages,
    kept: np.ndarray,
    budget_bytes: int,
    reductions: tuple[Reduction, ...],
) -> list[Candidate]:
    """What could be tried; of reductions under which all images fit, only the finest."""
    shape = checked.pixels.shape[1:]
    header = 120 + 8 * len(checked.labels)
    found: list[Candidate] = []
    for reduction in reductions:
        if min(shape[:2]) < _LEAST_SIDE * reduction.factor:
            continue
        width, weights = _enlarger_width(reduction.factor, shape[2], budget_bytes)
        sample = kept[: max(_SAMPLE, 2 * len(checked.labels))]
        small = quantised_images.reduce(checked.pixels[sample], checked.classes[sample], reduction)
        bits = pixel_code.cost_bits(small.pixels, small.classes, small.levels.size)
        # The code learns as it goes: the second half tells what later images cost.
        each = float(bits[len(bits) // 2 :].mean()) / 8
        fitting = int((budget_bytes - header - weights * _BITS_PER_WEIGHT / 8) / max(each, 0.1))
        if fitting >= len(checked.labels):
            found.append(Candidate(reduction, width, min(fitting, len(kept))))
    if not found:
        raise distilled_file.too_small(budget_bytes, checked)
    partial_ = [c for c in found if c.fitting < len(kept)]
    whole = [c for c in found if c.fitting == len(kept)]
    finest = sorted(whole, key=lambda c: (c.reduction.factor, -c.reduction.bits))[:1]
    return partial_ + finest


def _enlarger_width(factor: int, channels: int, budget_bytes: int) -> tuple[int, int]:
    """Channels and weights of the widest enlarger that the budget should pay for; 0, 0 for none."""
    for width in (24, 16, 12, 8, 6, 4):
        outputs = factor * factor * channels
        weights = 9 * width * (channels + width + outputs) + 2 * width + outputs
        if weights * _BITS_PER_WEIGHT / 8 <= _ENLARGER_SHARE * budget_bytes:
            return width, weights
    return 0, 0
