"""Scores of operating points on one image set: what files at them would teach.

A trial stores images from outside a validation part, as many as the file of all images would hold,
and gives them to the proxies exactly as `lgc.decompress` would. One part of a small set does not
tell candidates apart: the quick proxies' accuracies are then means over several, each held out in
turn (`parts`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import jax
import numpy as np

from lgc.config import Progress
from lgc.coresets import strategies
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.distillation.augmentation import Augmentation, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import candidates, panel
from lgc.distillation.search.config import MILD, DistillConfig
from lgc.distillation.search.panel import Accuracies, TrainingSet
from lgc.distillation.search.parts import parts
from lgc.distillation.search.plain_codecs import Codec, PlainFile
from lgc.distillation.search.results import HeldOut
from lgc.distillation.search.teaching import Teaching, soft_set
from lgc.images import LabelledImages
from lgc.teachers import teacher_file

_BITS = (1, 2, 3, 5)
_FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class Trials:
    """Scores of operating points on one image set; each is computed once.

    Args:
      checked: the image set.
      budget_bytes: of the file.
      key: typed PRNG key.
      config: steps, widths and sizes are used.
      progress: told of a distillation; may raise to end it.

    Attributes:
      parts: validation parts; the ConvNet, and what learns from labels for a point, know the first
        only.
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
        self.parts = parts(checked, key, config, progress)
        self._first = self.parts[0]
        self._teaching = Teaching(
            jax.random.fold_in(key, 4), self._first.pixels, self._first.classes,
            config.teacher_steps, config.teacher_bits_weight, progress,
        )  # fmt: skip
        self._soft: dict[OperatingPoint, Accuracies] = {}
        self._quick: dict[OperatingPoint, Accuracies] = {}
        self.full: dict[OperatingPoint, Accuracies] = {}
        self.counts: dict[Downsampling, int] = {}
        self.convnet_seconds = math.inf

    def held_out(self) -> HeldOut:
        """Classes of the images that score."""
        scoring = np.unique(np.concatenate([each.validation for each in self.parts]))
        classes = self._checked.classes
        return HeldOut(classes[scoring], classes[self._first.validation])

    def order(self, point: OperatingPoint) -> np.ndarray:
        """Int[N], all images in the order of a file: of each class first those that are scored."""
        order = np.concatenate([self._first.order(point), self._first.validation])
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
            self._checked, self._first.rows, self._budget, given, finest=2, stop=stop
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
        teacher = self._teaching.teacher(point.teacher_width, point.heavy)
        return self._first.panel.accuracy_of(teacher)

    def quick(self, point: OperatingPoint) -> Accuracies:
        """By the two proxies that take a second."""
        if point not in self._quick:
            count = self.count(point)
            if point != _plain(point):
                found = self._on_all_parts(self._first.quick(point, count), point)
            elif point.draw:
                found = self._first.unstored(point, count)  # parts would hold other images
            else:
                found = panel.mean([part.quick(point, count) for part in self.parts])
            self._quick[point] = found
        return self._quick[point]

    def of_codec(self, codec: Codec, found: PlainFile) -> Accuracies:
        """The same of a common codec's file of the first images, and of as many of other parts."""
        count = len(found.images[1])
        others = [
            part.quick_of((codec(part.pixels[:count])[1], part.classes[:count]), MILD)
            for part in self.parts[1:]
        ]
        return panel.mean([self._first.quick_of(found.images, MILD), *others])

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
                for per_class in (self._first.per_class, self._config.proxy_images_per_class)
            )
            quick = self._on_all_parts(self._first.panel.quick(few), point)
            self._soft[point] = self._first.panel.full(quick, many)
        return self._soft[point]

    def full_of(
        self, stored: TrainingSet, augmentation: Augmentation, quick: Accuracies
    ) -> Accuracies:
        """The accuracies `quick` with that of the ConvNet on stored images, augmented."""
        drawn = augmented_set(0, *stored, self._config.proxy_images_per_class, augmentation)
        began = time.monotonic()
        found = self._first.panel.full(quick, drawn)
        self.convnet_seconds = time.monotonic() - began
        return found

    def count(self, point: OperatingPoint) -> int:
        """Images that fit at a point."""
        weights = self.teacher(point)
        if weights is None:
            return self.counts[point.downsampling]
        left = self._budget - teacher_file.reserve(weights)
        (found,) = candidates.candidates(
            self._checked, self._first.rows, left, (point.downsampling,)
        )
        return found.n_images

    def _stored(self, point: OperatingPoint) -> TrainingSet:
        return self._first.stored(point, self.count(point))

    def _on_all_parts(self, here: Accuracies, point: OperatingPoint) -> Accuracies:
        """What accuracies on the first part would be on all of them.

        They are corrected by what all parts say otherwise than the first about the same images
        without what was learned (a control variate).
        """
        plain = _plain(point)
        everywhere = self.quick(plain)
        first = self._first.quick(plain, self.count(plain))
        return panel.corrected(here, everywhere, first)


def _plain(point: OperatingPoint) -> OperatingPoint:
    """The point without what learns from labels of the first part."""
    return OperatingPoint(
        point.downsampling, point.width, point.augmentation, 0.0,
        contrast=point.contrast, draw=point.draw,
    )  # fmt: skip


def downsamplings(shape: tuple[int, ...]) -> tuple[Downsampling, ...]:
    """What is tried for images of a shape (height, width, channels), lossless included."""
    factors = [each for each in _FACTORS if min(shape[:2]) >= candidates.LEAST_SIDE * each]
    return (LOSSLESS, *(Downsampling(factor, bits) for factor in factors for bits in _BITS))
