"""Operating points of the anytime search, ranked: the best is applied to all images and written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import numpy as np

from fewbits.coding import InputError
from fewbits.training.method import Key
from lgc.config import Progress, report
from lgc.distillation import distilled_file
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import against_codecs
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.results import Distilled, OnBetter, OutOfTime
from lgc.distillation.search.trials import Trials
from lgc.images import LabelledImages

_SHORTLIST = 3
"""Alternatives of a stage that the ConvNet is trained on, after the quick proxies."""
_TEACHER_GAIN = 0.01
"""That a teacher has to bring, since the better of its two kinds of labels counts."""


class Ranking:
    """The points of one search, and the file of the best so far.

    Args:
      checked: the image set.
      labels: int[N], as they are given.
      budget_bytes: of the file.
      key: typed PRNG key, of what is written.
      key_trials: the same of what is tried.
      config: what is tried.
      left_less: asked whether less than so many seconds are left.
      on_better: called with every file that is better than those before.
      progress: see `Progress`.

    Attributes:
      trials: scores of points.
      codecs: that no point should be worse than.
      written: the best file so far.
      left_out: alternatives that there was no time for.
    """

    def __init__(
        self,
        checked: LabelledImages,
        labels: np.ndarray,
        budget_bytes: int,
        key: Key,
        key_trials: Key,
        *,
        config: DistillConfig,
        left_less: Callable[[float], bool],
        on_better: OnBetter | None,
        progress: Progress | None,
    ):
        self._started = time.monotonic()
        self._checked, self._labels, self._budget = checked, labels, budget_bytes
        self._key, self._config = key, config
        self._on_better, self._progress = on_better, progress
        self._write_seconds = 0.0
        self.left_less = left_less
        self.trials = Trials(checked, budget_bytes, key_trials, config, self.until_stop)
        self.codecs = against_codecs.Codecs([], ())
        self.written: Distilled | None = None
        self.left_out: list[str] = []

    def value(self, accuracies: Accuracies) -> float:
        """What points are ranked by."""
        return against_codecs.value(accuracies, self.codecs.candidates)

    def merit(self, point: OperatingPoint) -> float:
        """The value of a point that all proxies have scored, less what a teacher has to bring."""
        return self.value(self.trials.full[point]) - _TEACHER_GAIN * bool(point.teacher_width)

    def stop(self) -> bool:
        """Whether there is no time to evaluate and write another point."""
        return self.left_less(self._write_seconds)

    def no_more_files(self) -> None:
        """From now on, there need be no time to write."""
        self._write_seconds = 0.0

    def until_stop(self, stage: str, done: int, total: int) -> None:
        """Progress of a long stage, which ends when it is time to stop."""
        report(self._progress, stage, done, total)
        if self.left_less(0.0) and done < total:
            raise OutOfTime

    def report(self, name: str, done: int, total: int) -> None:
        """Progress, with the best accuracy so far."""
        best = "" if self.written is None else f", best {self.written.accuracies.mean():.1%}"
        report(self._progress, f"trying {name}{best}", done, total)

    def with_written(self, points: list[OperatingPoint]) -> list[OperatingPoint]:
        """The points and that of the file so far, so that no worse one replaces it."""
        if self.written is None or self.written.point in points:
            return points
        return [*points, self.written.point]

    def ranked(self, name: str, points: list[OperatingPoint]) -> list[OperatingPoint]:
        """The points in the order of the quick proxies, best first, as far as the time goes."""
        done = []
        self.report(name, 0, len(points))
        for each in points:
            if done and self.stop():
                break
            with contextlib.suppress(distilled_file.TooSmall):  # beside a teacher
                self.trials.quick(each)
                done.append(each)
            self.report(name, len(done), len(points))
        done.sort(key=lambda each: -self.value(self.trials.quick(each)))
        if done and not self.trials.full:
            quick = self.trials.quick(done[0])
            if self.written is None or quick.mean() > self.written.accuracies.mean():
                self.write(done[0], quick)
        return done

    def finals(self, name: str, points: list[OperatingPoint]) -> OperatingPoint:
        """The best by all proxies, written if it is new; the first if there is no time."""
        for number, each in enumerate(points):
            if self.stop():
                break
            self.report(f"{name}, ConvNet", number, len(points))
            self.trials.score(each)
        full = self.trials.full
        if not full:
            return points[0]
        best = max(full, key=self.merit)
        written = None if self.written is None else self.written.point
        if best != written and (written in full or self._no_worse(best)):
            self.write(best, full[best])
        return best

    def alternatives(
        self,
        name: str,
        best: OperatingPoint,
        points: list[OperatingPoint],
        shortlist: int = _SHORTLIST,
    ) -> OperatingPoint:
        """The best point so far after some alternatives, the most promising of them in full."""
        points = [each for each in points if each not in self.trials.full and each != best]
        if points and not self.stop():
            with contextlib.suppress(OutOfTime):
                return self.finals(name, self.ranked(name, points)[:shortlist])
        self.left_out += [name] * bool(points)
        return best

    def finals_in_time(
        self,
        name: str,
        best: OperatingPoint,
        points: list[OperatingPoint],
        *,
        forced: bool = False,
    ) -> OperatingPoint:
        """As `finals`; the best so far where the time is over.

        With `forced`, points without a teacher are dropped once there is one.
        """
        if self.stop():
            self.left_out.append(name)
            return best
        full = self.trials.full
        try:
            for each in points if forced else ():
                self.trials.score(each)
                for other in [one for one in full if not one.teacher_width]:
                    del full[other]
            return self.finals(name, points)
        except OutOfTime:
            self.left_out.append(name)
        except InputError:  # no room for an image of each class
            pass
        return best

    def write(self, point: OperatingPoint, accuracies: Accuracies) -> None:
        """Apply a point to all images; `on_better` gets the file."""
        began = time.monotonic()
        point = point._replace(accuracy=accuracies.mean())
        data = distilled_file.write(
            self._checked.pixels, self._labels, self._budget, point, self._key,
            upsampler_steps=self._config.upsampler_steps, teacher=self.trials.teacher(point),
            order=self.trials.order(point), progress=self.until_stop,
        )  # fmt: skip
        self._write_seconds = time.monotonic() - began
        seconds = began - self._started + self._write_seconds
        self.written = Distilled(data, point._replace(accuracy=0.0), accuracies, seconds)
        if self._on_better is not None:
            self._on_better(self.written)

    def _no_worse(self, point: OperatingPoint) -> bool:
        """Than the file so far, by the quick proxies, the ConvNet not being trained on that one."""
        asked = isinstance(self._config.teacher, int) and point.teacher_width > 0
        if asked or self.written is None:
            return True
        both = self.trials.full[point], self.written.accuracies
        ours, theirs = (self.value(each._replace(convnet=None)) for each in both)
        return ours >= theirs
