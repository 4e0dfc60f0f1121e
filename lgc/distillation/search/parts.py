"""A validation part of an image set, and what a file of the other images teaches there."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from fewbits.training.method import Key
from lgc.config import Progress
from lgc.coresets import strategies
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file, distilled_images
from lgc.distillation.augmentation import NONE, Augmentation, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.quantised_images import QuantisedImages
from lgc.distillation.search import candidates, panel
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.panel import Accuracies, Panel, TrainingSet
from lgc.images import LabelledImages
from lgc.teachers.mixing import Mixing

PARTS = 4
"""Of a small set at most; each is held out in turn."""
SMALL = 4_000
"""Images of a set whose quarters are too small to tell candidates apart."""
_MOST_NUMBERS = 2 * 32 * 32 * 3
"""Of an image, times the parts: the quick proxies take longer for larger images."""
_LARGEST_VALIDATION = 2_000
QUICK_IMAGES = 3_000
"""That the quick proxies are trained on."""


class Part:
    """One validation part; `number` says which.

    Args:
      checked: the image set.
      number: which of `PARTS`.
      key: typed PRNG key; that of the other parts.
      config: steps, widths and sizes are used.
      progress: told of a distillation; may raise to end it.
      upsamplers: weights by downsampling and width; where some lack, they are trained and added. A
        part may use those of another: they know no labels, and validation images do not pass them.

    Attributes:
      validation: int[v], indices of the images that score.
      rows: int[m], of the others: what may be stored, classes mixed.
      pixels: uint8[m, H, W, C], they.
      classes: int[m], theirs.
      panel: of proxies on the validation images.
      per_class: images of a class that the quick proxies are trained on.
    """

    def __init__(
        self,
        checked: LabelledImages,
        number: int,
        key: Key,
        config: DistillConfig,
        progress: Progress,
        upsamplers: dict[tuple[Downsampling, int], Any],
    ):
        self._checked, self._config, self._progress = checked, config, progress
        key_split, self._key, key_panel = jax.random.split(key, 3)
        self.validation, self.rows = split_validation(key_split, checked, number)
        self.pixels, self.classes = checked.pixels[self.rows], checked.classes[self.rows]
        self.panel = Panel(
            checked,
            self.validation,
            key_panel,
            steps=config.screening_steps,
            width=config.proxy_width,
            batch_size=config.proxy_batch_size,
        )
        share = -(-QUICK_IMAGES // len(checked.labels))
        self.per_class = min(config.proxy_images_per_class, share)
        self._quick: dict[OperatingPoint, Accuracies] = {}
        self._unstored: dict[OperatingPoint, Accuracies] = {}
        self._last: tuple[Any, TrainingSet] | None = None
        self._upsamplers = upsamplers

    def quick(self, point: OperatingPoint, count: int) -> Accuracies:
        """Of a file of `count` images at a point, by the two proxies that take a second."""
        if point not in self._quick:
            self._quick[point] = self.quick_of(self.stored(point, count), point.augmentation)
        return self._quick[point]

    def quick_of(self, stored: TrainingSet, augmentation: Augmentation) -> Accuracies:
        """Of any stored images, as they are or augmented, whichever teaches more."""
        return self.panel.quick(*self._sets(stored, augmentation))

    def unstored(self, point: OperatingPoint, count: int) -> Accuracies:
        """Of the same file, on images that it does not store, the validation part among them."""
        if point not in self._unstored:
            chosen = self.order(point)[:count]
            others = self.rows[~np.isin(self.rows, chosen)]
            tested = np.concatenate([self.validation, others])[:_LARGEST_VALIDATION]
            known = self._checked.pixels[tested], self._checked.classes[tested]
            sets = self._sets(self.stored(point, count), point.augmentation)
            self._unstored[point] = panel.quick(sets, *known)
        return self._unstored[point]

    def stored(self, point: OperatingPoint, count: int) -> TrainingSet:
        """The images of a file at this point, at full resolution; the last ones are kept."""
        # Stored images depend on the augmentation only where they are distilled under it.
        augmentation = point.augmentation if point.distillation_steps else NONE
        asked = point._replace(augmentation=augmentation, heavy=Mixing(NONE))
        if self._last is None or self._last[0] != asked:
            images, params = self._made(point, count)
            large = distilled_images.upsampled(images, params)
            self._last = (asked, (large, images.classes))
        return self._last[1]

    def order(self, point: OperatingPoint) -> np.ndarray:
        """Int[m], what may be stored, in the order of a point's random selection."""
        if not point.draw:
            return self.rows
        key = jax.random.fold_in(jax.random.fold_in(self._key, 5), point.draw)
        return self.rows[strategies.stratified_permutation(key, self.classes)]

    def _sets(self, stored: TrainingSet, augmentation: Augmentation) -> list[TrainingSet]:
        if augmentation == NONE:
            return [stored]
        return [stored, augmented_set(0, *stored, self.per_class, augmentation)]

    def _made(self, point: OperatingPoint, count: int) -> tuple[QuantisedImages, Any]:
        """The stored images, and the upsampler's weights."""
        checked, rows, config = self._checked, self.rows, self._config
        key_upsampler, key_coreset, key_distil = jax.random.split(self._key, 3)
        order = self.order(point)
        upsampler = (point.downsampling, point.width)
        if upsampler not in self._upsamplers:
            self._upsamplers[upsampler] = distilled_file.trained_upsampler(
                key_upsampler, checked, rows, *upsampler, config.candidate_upsampler_steps
            )
        params = self._upsamplers[upsampler]
        candidate = candidates.Candidate(*upsampler, min(count, len(rows)))
        chosen, images = candidates.stored(checked, order, candidate, point.strategy, key_coreset)
        if point.distillation_steps:
            after, params = distilled_file.distilled(
                key_distil, checked, rows, order[chosen], params, point, self._progress
            )
            images = after.subset(slice(candidates.count_of_equal_bytes(after, images)))
        elif point.contrast:
            images = images.with_contrast(point.contrast)
        return images, params


def parts(
    checked: LabelledImages, key: Key, config: DistillConfig, progress: Progress
) -> list[Part]:
    """The validation parts of an image set: one, or of a small set of small images several.

    Arguments are those of `Part`.
    """
    upsamplers: dict[tuple[Downsampling, int], Any] = {}
    affordable = min(PARTS, max(1, _MOST_NUMBERS // checked.pixels[0].size))
    return [
        Part(checked, each, key, config, progress, upsamplers)
        for each in range(affordable if len(checked.classes) < SMALL else 1)
    ]


def split_validation(
    key: Key, checked: LabelledImages, number: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a validation part and of the other images.

    A quarter of each class is the validation part, at most 2,000 images in all: the fewer images
    there are, the larger the share that it takes to tell candidates apart. One image of each class
    is in either part. Prefixes of the others have equally many of each class, as far as they go.
    Of a class of four images or more, parts of consecutive numbers share none.
    """
    key_held, key_others = jax.random.split(key)
    order = strategies.stratified_permutation(key_held, checked.classes)
    share = min(0.25, _LARGEST_VALIDATION / len(order))
    held = np.zeros(len(order), bool)
    for each, count in enumerate(checked.counts):
        members = order[checked.classes[order] == each]
        size = max(1, math.floor(share * count))
        held[np.roll(members, -number * size)[:size]] = True
    others = np.flatnonzero(~held)
    mixed = strategies.stratified_permutation(key_others, checked.classes[others])
    return order[held[order]], others[mixed]
