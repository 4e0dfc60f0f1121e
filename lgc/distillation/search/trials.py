"""Candidates of the anytime search: the training set of an operating point, and its scores.

A trial stores images from outside the validation part, as many as the file of all images would
hold, and gives them to the proxies exactly as `lgc.decompress` would.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lgc.config import Progress
from lgc.coresets import strategies
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.distillation import distilled_file, distilled_images
from lgc.distillation.augmentation import NONE, Augmentation, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.quantised_images import QuantisedImages
from lgc.distillation.search import candidates
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.panel import Accuracies, Panel, TrainingSet
from lgc.distillation.search.teaching import Teaching, soft_set
from lgc.images import LabelledImages
from lgc.teachers import teacher_file
from lgc.teachers.mixing import Mixing

_BITS = (1, 2, 3, 5)
_FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_LARGEST_VALIDATION = 2_000
QUICK_IMAGES = 3_000
"""That the quick proxies are trained on."""


class Trials:
    """Scores of operating points on one image set; each is computed once.

    Args:
      checked: the image set.
      budget_bytes: of the file.
      key: typed PRNG key.
      config: steps, widths and sizes are used.
      progress: told of a distillation; may raise to end it.

    Attributes:
      validation: int[v], indices of the images that score.
      pixels: uint8[m, H, W, C], what may be stored, classes mixed.
      classes: int[m], theirs.
      counts: images that fit at each downsampling known so far.
      full: points that all proxies have scored.
      convnet_seconds: that training the ConvNet took last; infinite before the first time.
    """

    def __init__(
        self,
        checked: LabelledImages,
        budget_bytes: int,
        key: jax.Array,
        config: DistillConfig,
        progress: Progress,
    ):
        self._checked, self._budget, self._config = checked, budget_bytes, config
        self._progress = progress
        key_split, self._key, key_panel = jax.random.split(key, 3)
        self.validation, self._rows = split_validation(key_split, checked)
        self.pixels, self.classes = checked.pixels[self._rows], checked.classes[self._rows]
        self._panel = Panel(
            checked,
            self.validation,
            key_panel,
            steps=config.screening_steps,
            width=config.proxy_width,
            batch_size=config.proxy_batch_size,
        )
        share = -(-QUICK_IMAGES // len(checked.labels))
        self._few = min(config.proxy_images_per_class, share)
        self._teaching = Teaching(
            jax.random.fold_in(key, 4), self.pixels, self.classes, config.teacher_steps,
            config.teacher_bits_weight, progress,
        )  # fmt: skip
        self._soft: dict[OperatingPoint, Accuracies] = {}
        self._quick: dict[OperatingPoint, Accuracies] = {}
        self._last: tuple[Any, TrainingSet] | None = None
        self._upsamplers: dict[tuple[Downsampling, int], Any] = {}
        self.full: dict[OperatingPoint, Accuracies] = {}
        self.counts: dict[Downsampling, int] = {}
        self.convnet_seconds = math.inf

    def held_out(self) -> np.ndarray:
        """Classes of the validation images, int[v]."""
        return self._checked.classes[self.validation]

    def order(self, point: OperatingPoint) -> np.ndarray:
        """Int[N], all images in the order of a file: of each class first those that are scored."""
        order = np.concatenate([self._candidates(point), self.validation])
        return order[strategies.by_turns(self._checked.classes[order])]

    def given(self) -> tuple[Downsampling, ...]:
        """The downsamplings that the config asks for, or what suits the images' size."""
        return self._config.downsamplings or downsamplings(self._checked.pixels.shape[1:])

    def fitting(
        self, given: tuple[Downsampling, ...], stop: Callable[[], bool] = lambda: False
    ) -> list[Downsampling]:
        """Those that fit the budget; of those that fit all images, only the finest two.

        Args:
          given: what is asked for.
          stop: asked before each, once one fits, whether to leave out what remains.

        Raises:
          TooSmall: none does.
        """
        found = candidates.candidates(
            self._checked, self._rows, self._budget, given, finest=2, stop=stop
        )
        self.counts |= {each.downsampling: each.n_images for each in found}
        return [each.downsampling for each in found]

    def upsampler_width(self, downsampling: Downsampling) -> int:
        """Channels of the widest upsampler that the budget allows; 0 for none."""
        channels = self._checked.pixels.shape[3]
        return candidates.upsampler_width(downsampling.factor, channels, self._budget)

    def teacher_width(self, n_bytes: float) -> int:
        """Of the widest teacher of about so many bytes; 0 if none is so small."""
        return self._teaching.width(n_bytes)

    def teacher(self, point: OperatingPoint) -> bytes | None:
        """The weights of a point's teacher as they stand in a file; trained the first time."""
        if not point.teacher_width:
            return None
        return self._teaching.section(point.teacher_width, point.augmentation)

    def teacher_alone(self, point: OperatingPoint) -> float | None:
        """Accuracy of a point's teacher itself."""
        if not point.teacher_width:
            return None
        return self._panel.accuracy_of(self._teaching.teacher(point.teacher_width, point.heavy))

    def quick(self, point: OperatingPoint) -> Accuracies:
        """By the two proxies that take a second."""
        if point not in self._quick:
            self._quick[point] = self.quick_of(self._stored(point), point.augmentation)
        return self._quick[point]

    def score(self, point: OperatingPoint) -> Accuracies:
        """By all proxies; with a teacher of each the better of its use with hard and soft labels.

        The ConvNet is then trained with soft labels only.
        """
        if point not in self.full:
            soft = self.soft(point)
            found = self.hard(point) if soft is None else self.quick(point).best(soft)
            self.full[point] = found
        return self.full[point]

    def hard(self, point: OperatingPoint) -> Accuracies:
        """By all proxies, with hard labels."""
        if point in self.full and not point.teacher_width:
            return self.full[point]
        return self.full_of(self._stored(point), point.augmentation, self.quick(point))

    def soft(self, point: OperatingPoint) -> Accuracies | None:
        """By all proxies, with the soft labels of the point's teacher, if it has one."""
        if not point.teacher_width:
            return None
        if point not in self._soft:
            stored = self._stored(point)  # which trains the teacher
            teacher = self._teaching.teacher(point.teacher_width, point.heavy)
            # As many images as with hard labels: more of them teach more.
            few, many = (
                soft_set(stored, teacher, per_class)
                for per_class in (self._few, self._config.proxy_images_per_class)
            )
            self._soft[point] = self._panel.full(self._panel.quick(few), many)
        return self._soft[point]

    def quick_of(self, stored: TrainingSet, augmentation: Augmentation) -> Accuracies:
        """Of any stored images, as they are or augmented, whichever teaches more."""
        drawn = None if augmentation == NONE else augmented_set(0, *stored, self._few, augmentation)
        return self._panel.quick(stored, drawn)

    def full_of(
        self, stored: TrainingSet, augmentation: Augmentation, quick: Accuracies
    ) -> Accuracies:
        """The same with the ConvNet."""
        drawn = augmented_set(0, *stored, self._config.proxy_images_per_class, augmentation)
        began = time.monotonic()
        found = self._panel.full(quick, drawn)
        self.convnet_seconds = time.monotonic() - began
        return found

    def _stored(self, point: OperatingPoint) -> TrainingSet:
        """The images of a file at this point, at full resolution; the last ones are kept."""
        # Stored images depend on the augmentation only where they are distilled under it.
        augmentation = point.augmentation if point.distillation_steps else NONE
        asked = point._replace(augmentation=augmentation, heavy=Mixing(NONE))
        if self._last is None or self._last[0] != asked:
            images, params = self._made(point)
            large = distilled_images.upsampled(images, params)
            self._last = (asked, (large, images.classes))
        return self._last[1]

    def count(self, point: OperatingPoint) -> int:
        """Images that fit at a point."""
        weights = self.teacher(point)
        if weights is None:
            return self.counts[point.downsampling]
        left = self._budget - teacher_file.reserve(weights)
        (found,) = candidates.candidates(self._checked, self._rows, left, (point.downsampling,))
        return found.n_images

    def _candidates(self, point: OperatingPoint) -> np.ndarray:
        """Int[m], the images that may be stored, in the order of a point's random selection."""
        if not point.draw:
            return self._rows
        key = jax.random.fold_in(jax.random.fold_in(self._key, 5), point.draw)
        return self._rows[strategies.stratified_permutation(key, self.classes)]

    def _made(self, point: OperatingPoint) -> tuple[QuantisedImages, Any]:
        """The stored images, and the upsampler's weights."""
        checked, rows, config = self._checked, self._rows, self._config
        count = self.count(point)
        key_upsampler, key_coreset, key_distil = jax.random.split(self._key, 3)
        order = self._candidates(point)
        upsampler = (point.downsampling, point.width)
        if upsampler not in self._upsamplers:
            self._upsamplers[upsampler] = distilled_file.trained_upsampler(
                key_upsampler, checked, rows, *upsampler, config.candidate_upsampler_steps
            )
        params = self._upsamplers[upsampler]
        candidate = candidates.Candidate(*upsampler, count)
        chosen, images = candidates.stored(checked, order, candidate, point.strategy, key_coreset)
        if point.distillation_steps:
            after, params = distilled_file.distilled(
                key_distil, checked, rows, order[chosen], params, point, self._progress
            )
            images = after.subset(slice(candidates.count_of_equal_bytes(after, images)))
        elif point.contrast:
            images = images.with_contrast(point.contrast)
        return images, params


def downsamplings(shape: tuple[int, ...]) -> tuple[Downsampling, ...]:
    """What is tried for images of a shape (height, width, channels), lossless included."""
    factors = [each for each in _FACTORS if min(shape[:2]) >= candidates.LEAST_SIDE * each]
    return (LOSSLESS, *(Downsampling(factor, bits) for factor in factors for bits in _BITS))


def split_validation(key: jax.Array, checked: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the validation part and of the other images.

    A quarter of each class is the validation part, at most 2,000 images in all: the fewer images
    there are, the larger the share that it takes to tell candidates apart. One image of each class
    is in either part. Prefixes of the others have equally many of each class, as far as they go.
    """
    key_held, key_others = jax.random.split(key)
    order = strategies.stratified_permutation(key_held, checked.classes)
    share = min(0.25, _LARGEST_VALIDATION / len(order))
    held = np.zeros(len(order), bool)
    for number, count in enumerate(checked.counts):
        members = order[checked.classes[order] == number]
        held[members[: max(1, round(share * count))]] = True
    others = np.flatnonzero(~held)
    mixed = strategies.stratified_permutation(key_others, checked.classes[others])
    return order[held[order]], others[mixed]
