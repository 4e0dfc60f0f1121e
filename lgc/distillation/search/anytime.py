"""An anytime search for the most useful file within a budget: a valid file soon, then better ones.

Every candidate is an operating point (`distilled_file.OperatingPoint`). Its training set is made
from the images outside the validation part exactly as its file would give it, and scored by the
mean accuracy of a panel of proxies (`panel`), less what a quick proxy would learn more from random
images under the best common codec: the file is to be worse for nobody. The stages:

1. a first file at once;
2. all downsamplings, lightly augmented, and common codecs, by the quick proxies;
3. the best downsamplings by the whole panel; a teacher, if asked for or if few images fit;
4. ranges of augmentation;
5. downsamplings next to the best, at that augmentation, an upsampler, and blur;
6. teachers of several sizes, which give soft labels, and finer and cruder images beside them;
7. coreset selection strategies, brightness augmentation, and dataset distillation;
8. of a small image set, the best points once more on other validation parts (`second_look`).

After each stage the best operating point, if it is a new one, is applied to all images and written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import jax
import numpy as np

from fewbits.coding import InputError
from lgc.config import Progress, report
from lgc.coresets import strategies
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import against_codecs, second_look
from lgc.distillation.search.config import MILD, DistillConfig
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.results import AgainstCodecs, Alone, Distilled, OnBetter, OutOfTime
from lgc.distillation.search.teaching import SHARES, mixings, neighbours
from lgc.distillation.search.trials import Trials

_USUAL = Downsampling(2, 2)
"""Of the first file."""
_MANY_TIMES = 10
"""As many images as fit; a teacher is then tried early."""
_SHORTLIST = 3
"""Alternatives of a stage that the ConvNet is trained on, after the quick proxies."""


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
        stop: Callable[[float], bool],
        on_better: OnBetter | None = None,
        progress: Progress | None = None,
    ):
        self._started = time.monotonic()
        self._labels = np.asarray(labels)
        self._asked, self._budget = budget_bytes, budget_bytes - reserve
        self._left_less, self._write_seconds = stop, 0.0
        self._config, self._on_better = config, on_better
        self._progress = progress
        self._checked = distilled_file.check(pixels, labels)
        if len(self._checked.labels) < 2:
            raise InputError("all images have one label: classifiers need two classes or more")
        self._key_write, self._key_trials = jax.random.split(key)
        self._trials = Trials(
            self._checked, self._budget, self._key_trials, config, self._until_stop
        )
        self._written: Distilled | None = None
        self._codecs = against_codecs.Codecs([], ())
        teacher = config.teacher
        if isinstance(teacher, int):
            if teacher >= self._budget:
                raise InputError(
                    f"a teacher of {teacher} bytes leaves none of {budget_bytes} for images"
                )
            if not self._trials.teacher_width(teacher):
                raise InputError(f"no teacher takes as few as {teacher} bytes; use 1000, say")

    def run(self) -> Distilled:
        """The best file that was found; InputError if none holds an image of each class."""
        try:
            return self._run()
        except distilled_file.TooSmall as error:
            needed = None if error.needed is None else error.needed + self._asked - self._budget
            raise distilled_file.too_small(self._asked, self._checked, needed) from error

    def _run(self) -> Distilled:
        config, trials = self._config, self._trials
        self._first()
        fitting = trials.fitting(trials.given(), self._stop)
        if self._written is not None and self._stop():
            return self._written
        points = [OperatingPoint(each, 0, MILD, 0.0) for each in fitting]
        forced = isinstance(config.teacher, int)
        if forced:
            first = points[0] if self._written is None else self._written.point
            best = self._with_teacher(first)
            points = [best._replace(downsampling=each.downsampling) for each in points]
        ranked = self._ranked("resolutions", points)
        self._report("common codecs", 0, 1)
        codecs = against_codecs.coded(trials, self._budget, self._stop)
        if not codecs.missing:  # part of them would favour their proxies
            self._codecs = codecs
        best = self._finals("resolutions", self._with_written(ranked[: config.finalists]))
        # A teacher knows the labels of images that do not fit; where these are most, try it first.
        most_left_out = _MANY_TIMES * trials.counts[best.downsampling] <= len(trials.classes)
        if most_left_out and not forced:
            best = self._with_teacher(best)
        flipped = [(each, each._replace(flip=1)) for each in config.augmentations]
        augmentations = dict.fromkeys(each for pair in flipped for each in pair)
        best = self._alternatives(
            "augmentation", best, [best._replace(augmentation=each) for each in augmentations]
        )
        best = self._alternatives(
            "resolutions", best, [best._replace(downsampling=each) for each in trials.counts]
        )
        width = trials.upsampler_width(best.downsampling)
        best = self._alternatives("an upsampler", best, [best._replace(width=width)])
        softer = [best.augmentation._replace(blur=tenths) for tenths in config.blur_tenths]
        best = self._alternatives(
            "blur", best, [best._replace(augmentation=each) for each in softer]
        )
        if not (most_left_out or forced):
            best = self._with_teacher(best)
        if strategies.worthwhile(trials.counts[best.downsampling], len(trials.classes)):
            best = self._alternatives(
                "coresets", best, [best._replace(strategy=name) for name in config.strategies]
            )
        brighter = [
            best.augmentation._replace(brightness=percent) for percent in config.brightness_percent
        ]
        best = self._alternatives(
            "brightness", best, [best._replace(augmentation=each) for each in brighter]
        )
        distilled = best._replace(distillation_steps=config.distillation_steps)
        self._alternatives("distillation", best, [distilled])
        self._second_look()
        assert self._written is not None
        return self._written

    def compare(self, left_less: Callable[[float], bool] = lambda seconds: False) -> AgainstCodecs:
        """The file that was found beside common codecs, with what there is time for.

        Args:
          left_less: asked before every evaluation whether less than so many seconds are left.
        """
        assert self._written is not None
        self._left_less, self._write_seconds = left_less, 0.0
        if not self._codecs.candidates:
            self._codecs = against_codecs.coded(self._trials, self._budget, self._stop)
        found = self._written.point
        return against_codecs.compare(self._trials, found, self._codecs, left_less)

    def _value(self, accuracies: Accuracies) -> float:
        return against_codecs.value(accuracies, self._codecs.candidates)

    def _second_look(self) -> None:
        """Write another of the best points if it is better over several validation parts."""
        full, few = self._trials.full, len(self._trials.validation) < second_look.SMALL
        best = sorted(full, key=lambda each: -self._value(full[each]))[: second_look.MOST_POINTS]
        if self._stop() or not few or len(best) < 2:
            return
        first = {each: self._value(full[each]) for each in best}
        values = second_look.values(first, self._other_trials, self._budget, self._stop)
        chosen = max(best, key=lambda each: values[each])
        with contextlib.suppress(OutOfTime):
            if self._written is None or chosen != self._written.point:
                self._write(chosen, full[chosen])

    def _other_trials(self, number: int) -> Trials:
        key = jax.random.fold_in(self._key_trials, number)
        self._report("other validation images", number, second_look.PARTS)
        return Trials(self._checked, self._budget, key, self._config, self._until_stop)

    def _stop(self) -> bool:
        """Whether there is no time to evaluate and write another point."""
        return self._left_less(self._write_seconds)

    def _first(self) -> None:
        """Write a file soon, if the usual downsampling fits."""
        given = self._trials.given()
        with contextlib.suppress(InputError):
            (found,) = self._trials.fitting((_USUAL if _USUAL in given else given[0],))
            point = OperatingPoint(found, 0, MILD, 0.0)
            self._write(point, self._trials.quick(point))

    def _with_written(self, points: list[OperatingPoint]) -> list[OperatingPoint]:
        """The points and that of the file so far, so that no worse one replaces it."""
        if self._written is None or self._written.point in points:
            return points
        return [*points, self._written.point]

    def _ranked(self, name: str, points: list[OperatingPoint]) -> list[OperatingPoint]:
        """The points in the order of the quick proxies, best first, as far as the time goes."""
        done = []
        self._report(name, 0, len(points))
        for each in points:
            if done and self._stop():
                break
            with contextlib.suppress(distilled_file.TooSmall):  # beside a teacher
                self._trials.quick(each)
                done.append(each)
            self._report(name, len(done), len(points))
        done.sort(key=lambda each: -self._value(self._trials.quick(each)))
        if done and not self._trials.full:
            quick = self._trials.quick(done[0])
            if self._written is None or quick.mean() > self._written.accuracies.mean():
                self._write(done[0], quick)
        return done

    def _finals(self, name: str, points: list[OperatingPoint]) -> OperatingPoint:
        """The best by all proxies, written if it is new; the first if there is no time."""
        for number, each in enumerate(points):
            if self._stop():
                break
            self._report(f"{name}, ConvNet", number, len(points))
            self._trials.score(each)
        full = self._trials.full
        if not full:
            return points[0]
        best = max(full, key=lambda each: self._value(full[each]))
        written = None if self._written is None else self._written.point
        if best != written and (written in full or self._no_worse(best)):
            self._write(best, full[best])
        return best

    def _no_worse(self, point: OperatingPoint) -> bool:
        """Than the file so far, by the quick proxies, the ConvNet not being trained on that one."""
        asked = isinstance(self._config.teacher, int) and point.teacher_width > 0
        if asked or self._written is None:
            return True
        both = self._trials.full[point], self._written.accuracies
        ours, theirs = (self._value(each._replace(convnet=None)) for each in both)
        return ours >= theirs

    def _alternatives(
        self, name: str, best: OperatingPoint, points: list[OperatingPoint]
    ) -> OperatingPoint:
        """The best point so far after some alternatives, the most promising of them in full."""
        points = [each for each in points if each not in self._trials.full and each != best]
        if not points or self._stop():
            return best
        try:
            return self._finals(name, self._ranked(name, points)[:_SHORTLIST])
        except OutOfTime:
            return best

    def _with_teacher(self, best: OperatingPoint) -> OperatingPoint:
        """The best point with or without a teacher; with one if the config says how large."""
        asked, trials = self._config.teacher, self._trials
        if asked == "none":
            return best
        forced = isinstance(asked, int)
        sizes = (asked,) if forced else tuple(share * self._budget for share in SHARES)
        tried = []
        for size in sizes:
            width = trials.teacher_width(size)
            if not width or width in tried:
                continue
            tried.append(width)
            count = trials.counts[best.downsampling]
            heavy = (best.heavy,) if best.teacher_width else mixings(best.augmentation, count)
            points = [best._replace(teacher_width=width, heavy=each) for each in heavy]
            before, best = best, self._finals_in_time("a teacher", best, points, forced=forced)
            if not best.teacher_width or (before.teacher_width and best == before):
                continue
            others = neighbours(trials.counts, best.downsampling)
            points = [best._replace(downsampling=each) for each in others]
            best = self._finals_in_time("resolutions for the teacher", best, points)
        return best

    def _finals_in_time(
        self,
        name: str,
        best: OperatingPoint,
        points: list[OperatingPoint],
        *,
        forced: bool = False,
    ) -> OperatingPoint:
        """As `_finals`; the best so far where the time is over.

        With `forced`, points without a teacher are dropped once there is one.
        """
        if self._stop():
            return best
        full = self._trials.full
        try:
            for each in points if forced else ():
                self._trials.score(each)
                for other in [one for one in full if not one.teacher_width]:
                    del full[other]
            return self._finals(name, points)
        except (OutOfTime, InputError):  # no time, or no room for an image of each class
            return best

    def teacher_alone(self) -> Alone | None:
        """The teacher of the file that was found, if it has one."""
        assert self._written is not None
        weights = self._trials.teacher(self._written.point)
        alone = self._trials.teacher_alone(self._written.point)
        return None if weights is None or alone is None else Alone(len(weights), alone)

    def soft(self) -> Accuracies | None:
        """Of the file that was found, with its soft labels, if it has a teacher."""
        assert self._written is not None
        return self._trials.soft(self._written.point)

    def _write(self, point: OperatingPoint, accuracies: Accuracies) -> None:
        """Apply a point to all images; `on_better` gets the file."""
        began = time.monotonic()
        point = point._replace(accuracy=accuracies.mean())
        data = distilled_file.write(
            self._checked.pixels, self._labels, self._budget, point, self._key_write,
            upsampler_steps=self._config.upsampler_steps, teacher=self._trials.teacher(point),
            progress=self._until_stop,
        )  # fmt: skip
        self._write_seconds = time.monotonic() - began
        seconds = began - self._started + self._write_seconds
        self._written = Distilled(data, point._replace(accuracy=0.0), accuracies, seconds)
        if self._on_better is not None:
            self._on_better(self._written)

    def _until_stop(self, stage: str, done: int, total: int) -> None:
        """Progress of a long stage, which ends when it is time to stop."""
        report(self._progress, stage, done, total)
        if self._left_less(0.0) and done < total:
            raise OutOfTime

    def _report(self, name: str, done: int, total: int) -> None:
        best = "" if self._written is None else f", best {self._written.accuracies.mean():.1%}"
        report(self._progress, f"trying {name}{best}", done, total)
