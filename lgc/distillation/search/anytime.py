"""An anytime search for the most useful file within a budget: a valid file soon, then better ones.

Every candidate is an operating point (`distilled_file.OperatingPoint`). Its training set is made
from the images outside the validation part exactly as its file would give it, and scored by the
mean accuracy of a panel of proxies (`panel`). The stages:

1. a first file at once;
2. all downsamplings, without an upsampler and lightly augmented, by the quick proxies;
3. the best of them by the whole panel;
4. ranges of augmentation;
5. downsamplings next to the best, at that augmentation, and an upsampler;
6. coreset selection strategies, brightness augmentation, and dataset distillation.

After each stage the best operating point, if it is a new one, is applied to all images and written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from fewbits.coding import InputError
from lgc.config import Progress, report
from lgc.coresets import strategies
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.distillation import distilled_file, distilled_images
from lgc.distillation.augmentation import NONE, Augmentation, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.quantised_images import QuantisedImages
from lgc.distillation.search import candidates, plain_codecs
from lgc.distillation.search.config import MILD, DistillConfig
from lgc.distillation.search.panel import Accuracies, Panel, TrainingSet
from lgc.images import LabelledImages

_BITS = (1, 2, 3, 5)
_FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_LARGEST_VALIDATION = 2_000
_USUAL = Downsampling(2, 2)
"""Of the first file."""
_QUICK_IMAGES = 3_000
"""That the quick proxies are trained on."""
_SHORTLIST = 3
"""Alternatives of a stage that the ConvNet is trained on, after the quick proxies."""


class Distilled(NamedTuple):
    """A file within a budget, and how it was made.

    Attributes:
      data: of the file.
      point: its operating point.
      accuracies: on held-out images, of classifiers trained on what such a file gives.
      seconds: since the search began.
    """

    data: bytes
    point: OperatingPoint
    accuracies: Accuracies
    seconds: float


class OutOfTime(Exception):
    """Ends a stage whose result is then not used."""


class Compared(NamedTuple):
    """What the same bytes teach under a common codec.

    Attributes:
      name: of the codec.
      n_bytes: of its file.
      n_images: in it.
      accuracies: on the same held-out images by the same proxies.
    """

    name: str
    n_bytes: int
    n_images: int
    accuracies: Accuracies


OnBetter = Callable[[Distilled], None]


class Search:
    """The search on one image set; `run` it, then `compare`.

    Args:
      pixels: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: of the file.
      key: typed PRNG key.
      reserve: bytes of the budget that the caller needs.
      config: what is tried.
      stop: asked after every evaluation whether to end.
      on_better: called with every file that is better than those before.
      progress: see `Progress`.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        budget_bytes: int,
        key: jax.Array,
        *,
        reserve: int = 0,
        config: DistillConfig,
        stop: Callable[[], bool],
        on_better: OnBetter | None = None,
        progress: Progress | None = None,
    ):
        self._started = time.monotonic()
        self._images, self._labels = pixels, np.asarray(labels)
        self._asked, self._budget = budget_bytes, budget_bytes - reserve
        self._config, self._stop, self._on_better = config, stop, on_better
        self._progress = progress
        self._checked = distilled_file.check(pixels, labels)
        self._key_write, key_order, self._key_try, key_panel = jax.random.split(key, 4)
        self._validation, self._training = split_validation(key_order, self._checked)
        self._panel = Panel(
            self._checked,
            self._validation,
            key_panel,
            steps=config.screening_steps,
            width=config.proxy_width,
            batch_size=config.proxy_batch_size,
        )
        share = -(-_QUICK_IMAGES // len(self._checked.labels))
        self._quick_images = min(config.proxy_images_per_class, share)
        self._counts: dict[Downsampling, int] = {}
        self._made: dict[tuple, tuple[QuantisedImages, np.ndarray]] = {}
        self._quick: dict[OperatingPoint, Accuracies] = {}
        self._full: dict[OperatingPoint, Accuracies] = {}
        self._written: Distilled | None = None

    def run(self) -> Distilled:
        """The best file that was found.

        Raises:
          InputError: a budget too small for one image of each class.
        """
        try:
            return self._run()
        except distilled_file.TooSmall as error:
            raise distilled_file.too_small(self._asked, self._checked) from error

    def _run(self) -> Distilled:
        config = self._config
        self._first()
        points = [OperatingPoint(each, 0, MILD, 0.0) for each in self._downsamplings()]
        ranked = self._stage("resolutions", points)
        best = self._finals("resolutions", ranked[: config.finalists])
        best = self._alternatives("augmentation", best, self._augmentations(best))
        best = self._alternatives("resolutions", best, self._neighbours(best))
        best = self._alternatives("an upsampler", best, self._with_upsampler(best))
        if strategies.worthwhile(self._count(best.downsampling), len(self._training)):
            names = [name for name in config.strategies if name != best.strategy]
            best = self._alternatives(
                "coresets", best, [best._replace(strategy=name) for name in names]
            )
        brighter = [
            best._replace(augmentation=best.augmentation._replace(brightness=percent))
            for percent in config.brightness_percent
        ]
        best = self._alternatives("brightness", best, brighter)
        if config.distillation_steps:
            distilled = best._replace(distillation_steps=config.distillation_steps)
            best = self._alternatives("distillation", best, [distilled])
        assert self._written is not None
        return self._written

    def compare(self) -> tuple[Accuracies, list[Compared]]:
        """Of the file that was found, by all proxies, and of random images under common codecs.

        The codecs have the same bytes, and are sorted by what they teach, best first.
        """
        assert self._written is not None
        ours = self._written.accuracies
        if ours.convnet is None:
            self._full_score(self._written.point)
            ours = self._full[self._written.point]
        rows = self._training
        found = []
        for each in plain_codecs.plain_files(
            self._checked.pixels[rows], self._checked.classes[rows], self._budget
        ):
            few = self._drawn(each.images, MILD, self._quick_images)
            quick = self._panel.quick(each.images, few)
            drawn = self._drawn(each.images, MILD)
            count = len(each.images[1])
            found.append((Compared(each.name, each.n_bytes, count, quick), drawn))
        # The ConvNet takes a while: only the best of each codec is given to it.
        best: dict[str, tuple[Compared, TrainingSet]] = {}
        for one, drawn in sorted(found, key=lambda pair: -pair[0].accuracies.mean()):
            best.setdefault(one.name.split(",")[0], (one, drawn))
        compared = [
            one._replace(accuracies=self._panel.full(one.accuracies, drawn))
            for one, drawn in best.values()
        ]
        return ours, sorted(compared, key=lambda one: -one.accuracies.mean())

    def _stage(self, name: str, points: list[OperatingPoint]) -> list[OperatingPoint]:
        """The points in the order of the quick proxies, best first, as far as the time goes."""
        done = []
        for each in points:
            if done and self._stop():
                break
            self._quick_score(each)
            done.append(each)
            self._report(name, len(done), len(points))
        done.sort(key=lambda each: -self._quick[each].mean())
        if not self._full:
            best = done[0]
            if self._written is None or self._quick[best].mean() > self._written.accuracies.mean():
                self._write(best, self._quick[best])
        return done

    def _finals(self, name: str, points: list[OperatingPoint]) -> OperatingPoint:
        """The best by the whole panel, written if it is new."""
        for number, each in enumerate(points):
            if self._stop() and (self._full or number == 0):
                break
            self._full_score(each)
            self._report(f"{name}, ConvNet", number + 1, len(points))
        if not self._full:
            return points[0]
        best = max(self._full, key=lambda each: self._full[each].mean())
        if self._written is None or best != self._written.point:
            self._write(best, self._full[best])
        return best

    def _alternatives(
        self, name: str, best: OperatingPoint, points: list[OperatingPoint]
    ) -> OperatingPoint:
        """The best point so far after some alternatives, the most promising of them in full."""
        points = [each for each in points if each not in self._full and each != best]
        if not points or self._stop():
            return best
        try:
            return self._finals(name, self._stage(name, points)[:_SHORTLIST])
        except OutOfTime:
            return best

    def _first(self) -> None:
        """Write a file soon, if the usual downsampling fits."""
        usual = self._given() if _USUAL not in self._given() else (_USUAL,)
        with contextlib.suppress(InputError):
            (found,) = self._fitting(usual[:1])
            point = OperatingPoint(found, 0, MILD, 0.0)
            self._write(point, self._quick_score(point))

    def _given(self) -> tuple[Downsampling, ...]:
        return self._config.downsamplings or downsamplings(self._checked.pixels.shape[1:])

    def _downsamplings(self) -> list[Downsampling]:
        """Those that fit the budget; of those that fit all images, only the finest two."""
        return self._fitting(self._given())

    def _fitting(self, given: tuple[Downsampling, ...]) -> list[Downsampling]:
        fitting = candidates.candidates(
            self._checked, self._training, self._budget, given, finest=2
        )
        self._counts |= {each.downsampling: each.n_images for each in fitting}
        return [each.downsampling for each in fitting]

    def _count(self, downsampling: Downsampling) -> int:
        return self._counts[downsampling]

    def _augmentations(self, best: OperatingPoint) -> list[OperatingPoint]:
        tried = [
            each for plain in self._config.augmentations for each in (plain, plain._replace(flip=1))
        ]
        return [best._replace(augmentation=each) for each in dict.fromkeys(tried)]

    def _neighbours(self, best: OperatingPoint) -> list[OperatingPoint]:
        """Every other downsampling at the augmentation that was found."""
        return [best._replace(downsampling=each) for each in self._counts]

    def _with_upsampler(self, best: OperatingPoint) -> list[OperatingPoint]:
        width = candidates.upsampler_width(
            best.downsampling.factor, self._checked.pixels.shape[3], self._budget
        )
        return [best._replace(width=width)] * bool(width)

    def _quick_score(self, point: OperatingPoint) -> Accuracies:
        if point not in self._quick:
            stored = self._stored(point)
            drawn = None
            if point.augmentation != NONE:
                drawn = self._drawn(stored, point.augmentation, self._quick_images)
            self._quick[point] = self._panel.quick(stored, drawn)
        return self._quick[point]

    def _full_score(self, point: OperatingPoint) -> None:
        drawn = self._drawn(self._stored(point), point.augmentation)
        self._full[point] = self._panel.full(self._quick_score(point), drawn)

    def _drawn(
        self, stored: TrainingSet, augmentation: Augmentation, per_class: int | None = None
    ) -> TrainingSet:
        per_class = per_class or self._config.proxy_images_per_class
        return augmented_set(0, *stored, per_class, augmentation)

    def _stored(self, point: OperatingPoint) -> TrainingSet:
        """The images of a file at this point, at full resolution, without the validation part."""
        asked = (*point[:2], point.strategy, point.distillation_steps)
        if point.distillation_steps:
            asked = (*asked, point.augmentation)
        if asked not in self._made:
            images, params = self._images_of(point)
            self._made = {asked: (images, distilled_images.upsampled(images, params))}
        images, large = self._made[asked]
        return large, images.classes

    def _images_of(self, point: OperatingPoint) -> tuple[QuantisedImages, object]:
        checked, rows = self._checked, self._training
        candidate = candidates.Candidate(
            point.downsampling, point.width, self._count(point.downsampling)
        )
        key_upsampler, key_coreset, key_distil = jax.random.split(self._key_try, 3)
        steps = self._config.candidate_upsampler_steps
        params = distilled_file.trained_upsampler(
            key_upsampler, checked, rows, point.downsampling, point.width, steps
        )
        chosen = np.arange(candidate.n_images)
        if point.strategy != strategies.RANDOM:
            chosen = candidates.coreset_of_equal_bytes(
                checked, rows, candidate, point.strategy, key_coreset
            )
        images = candidates.quantised(checked, rows, point.downsampling).subset(chosen)
        if point.distillation_steps:
            after, params = distilled_file.distilled(
                key_distil, checked, rows, rows[chosen], params, point, self._until_stop
            )
            count = candidates.count_of_equal_bytes(after, images)
            images = after.subset(slice(count))
        return images, params

    def _write(self, point: OperatingPoint, accuracies: Accuracies) -> None:
        """Apply a point to all images; `on_better` gets the file."""
        point = point._replace(accuracy=accuracies.mean())
        data = distilled_file.write(
            self._images, self._labels, self._budget, point, self._key_write,
            upsampler_steps=self._config.upsampler_steps, progress=self._until_stop,
        )  # fmt: skip
        seconds = time.monotonic() - self._started
        self._written = Distilled(data, point._replace(accuracy=0.0), accuracies, seconds)
        if self._on_better is not None:
            self._on_better(self._written)

    def _until_stop(self, stage: str, done: int, total: int) -> None:
        """Progress of a long stage, which ends when it is time to stop."""
        report(self._progress, stage, done, total)
        if self._stop() and done < total:
            raise OutOfTime

    def _report(self, name: str, done: int, total: int) -> None:
        best = "" if self._written is None else f", best {self._written.accuracies.mean():.1%}"
        report(self._progress, f"trying {name}{best}", done, total)


def downsamplings(shape: tuple[int, ...]) -> tuple[Downsampling, ...]:
    """What is tried for images of a shape (height, width, channels), lossless included."""
    factors = [each for each in _FACTORS if min(shape[:2]) >= candidates.LEAST_SIDE * each]
    return (LOSSLESS, *(Downsampling(factor, bits) for factor in factors for bits in _BITS))


def split_validation(key: jax.Array, checked: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the validation part and of the other images, whose prefixes mix all classes.

    A quarter of each class is the validation part, at most 2,000 images in all: the fewer images
    there are, the larger the share that it takes to tell candidates apart. One image of each class
    is in either part.
    """
    order = strategies.stratified_permutation(key, checked.classes)
    share = min(0.25, _LARGEST_VALIDATION / len(order))
    held = np.zeros(len(order), bool)
    for number, count in enumerate(checked.counts):
        members = order[checked.classes[order] == number]
        held[members[: max(1, round(share * count))]] = True
    return order[held[order]], order[~held[order]]
