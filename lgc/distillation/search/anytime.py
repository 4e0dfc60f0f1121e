"""An anytime search for the most useful file within a budget: a valid file soon, then better ones.

Every candidate is an operating point (`distilled_file.OperatingPoint`). Its training set is made
from the images outside the validation part exactly as its file would give it, and scored by the
mean accuracy of a panel of proxies (`panel`), less what a quick proxy lacks to a lead over random
images under the best common codec: the file is to be worse for nobody. The stages:

1. a first file at once;
2. all downsamplings, lightly augmented, and common codecs, by the quick proxies;
3. the best downsamplings, also widely augmented, by the whole panel, and more contrast; a teacher,
   if asked for or if few images fit;
4. ranges of augmentation;
5. downsamplings next to the best, at that augmentation, an upsampler, blur and brightness;
6. other random images where few fit;
7. teachers of several sizes, which give soft labels, and finer and cruder images beside them;
8. coreset selection strategies and dataset distillation.

After each stage the best operating point, if it is a new one, is applied to all images and written
(`ranking`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import jax
import numpy as np

from fewbits.coding import InputError
from lgc.config import Progress
from lgc.coresets import strategies
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import against_codecs
from lgc.distillation.search.config import MILD, WIDE, DistillConfig
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.ranking import Ranking
from lgc.distillation.search.results import AgainstCodecs, Alone, Distilled, OnBetter
from lgc.distillation.search.teaching import SHARES, mixings, neighbours

_USUAL = Downsampling(2, 2)
"""Of the first file."""
_MANY_TIMES = 10
"""As many images as fit; a teacher is then tried early."""
_FEW = 1_000
"""Images, of which one random selection may be much better than another."""


class Search:
    """The search on one image set; `run` it, then `compare`.

    Args:
      pixels: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: of the file.
      key: typed PRNG key.
      reserve: bytes of the budget that the caller needs.
      config: what is tried.
      stop: asked after every evaluation whether less than so many seconds are left.
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
        self._asked, self._budget = budget_bytes, budget_bytes - reserve
        self._config = config
        self._checked = distilled_file.check(pixels, labels)
        if len(self._checked.labels) < 2:
            raise InputError("all images have one label: classifiers need two classes or more")
        key_write, key_trials = jax.random.split(key)
        self._ranking = Ranking(
            self._checked, np.asarray(labels), self._budget, key_write, key_trials,
            config=config, left_less=stop, on_better=on_better, progress=progress,
        )  # fmt: skip
        self._trials = self._ranking.trials
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
        config, trials, ranking = self._config, self._trials, self._ranking
        storable = len(trials.parts[0].rows)
        self._first()
        fitting = trials.fitting(trials.given(), ranking.stop)
        if ranking.written is not None and ranking.stop():
            ranking.left_out.append("anything but the first file")
            return ranking.written
        points = [OperatingPoint(each, 0, MILD, 0.0) for each in fitting]
        forced = isinstance(config.teacher, int)
        if forced:
            first = points[0] if ranking.written is None else ranking.written.point
            best = self._with_teacher(first)
            points = [best._replace(downsampling=each.downsampling) for each in points]
        ranked = ranking.ranked("resolutions", points)[: config.finalists]
        if WIDE in config.augmentations:  # a resolution may need more variety than another
            wider = [each._replace(augmentation=WIDE) for each in ranked]
            ranked = ranking.ranked("wider augmentation", ranked + wider)[: config.finalists]
        ranking.report("common codecs", 0, 1)
        codecs = against_codecs.coded(trials, self._budget, ranking.stop)
        if not codecs.missing:  # part of them would favour their proxies
            ranking.codecs = codecs
        best = ranking.finals("resolutions", ranking.with_written(ranked))
        if best.downsampling.factor > 1:
            sharper = [best._replace(contrast=percent) for percent in config.contrast_percent]
            best = ranking.alternatives("contrast", best, sharper, shortlist=1)
        # A teacher knows the labels of images that do not fit; where these are most, try it first.
        most_left_out = _MANY_TIMES * trials.counts[best.downsampling] <= storable
        if most_left_out and not forced:
            best = self._with_teacher(best)
        flipped = [(each, each._replace(flip=1)) for each in config.augmentations]
        augmentations = dict.fromkeys(each for pair in flipped for each in pair)
        best = ranking.alternatives(
            "augmentation", best, [best._replace(augmentation=each) for each in augmentations]
        )
        best = ranking.alternatives(
            "resolutions", best, [best._replace(downsampling=each) for each in trials.counts]
        )
        width = trials.upsampler_width(best.downsampling)
        best = ranking.alternatives(
            "an upsampler", best, [best._replace(width=width, contrast=0)] if width else []
        )
        softer = [best.augmentation._replace(blur=tenths) for tenths in config.blur_tenths]
        best = ranking.alternatives(
            "blur", best, [best._replace(augmentation=each) for each in softer]
        )
        brighter = [_brighter(best, percent) for percent in (0, *config.brightness_percent)]
        best = ranking.alternatives("brightness", best, brighter)
        count = trials.count(best)
        if count <= _FEW and strategies.worthwhile(count, storable):
            draws = [best._replace(draw=number) for number in range(1, config.draws)]
            best = ranking.alternatives("other random images", best, draws)
        if not (most_left_out or forced):
            best = self._with_teacher(best)
        if strategies.worthwhile(trials.counts[best.downsampling], storable):
            best = ranking.alternatives(
                "coresets", best,
                [best._replace(strategy=name, draw=0) for name in config.strategies],
            )  # fmt: skip
        distilled = best._replace(distillation_steps=config.distillation_steps, contrast=0)
        ranking.alternatives("distillation", best, [distilled])
        assert ranking.written is not None
        return ranking.written

    def compare(self, left_less: Callable[[float], bool] = lambda seconds: False) -> AgainstCodecs:
        """The file that was found beside common codecs, with what there is time for.

        Args:
          left_less: asked before every evaluation whether less than so many seconds are left.
        """
        ranking = self._ranking
        assert ranking.written is not None
        ranking.left_less = left_less
        ranking.no_more_files()
        if not ranking.codecs.candidates:
            ranking.codecs = against_codecs.coded(self._trials, self._budget, ranking.stop)
        found = ranking.written.point
        return against_codecs.compare(self._trials, found, ranking.codecs, left_less)

    def left_out(self) -> tuple[str, ...]:
        """What the search had no time to try."""
        return tuple(dict.fromkeys(self._ranking.left_out))

    def teacher_alone(self) -> Alone | None:
        """The teacher of the file that was found, if it has one."""
        written = self._ranking.written
        assert written is not None
        weights = self._trials.teacher(written.point)
        alone = self._trials.teacher_alone(written.point)
        return None if weights is None or alone is None else Alone(len(weights), alone)

    def soft(self) -> Accuracies | None:
        """Of the file that was found, with its soft labels, if it has a teacher."""
        assert self._ranking.written is not None
        return self._trials.soft(self._ranking.written.point)

    def _first(self) -> None:
        """Write a file soon, if the usual downsampling fits."""
        given = self._trials.given()
        with contextlib.suppress(InputError):
            (found,) = self._trials.fitting((_USUAL if _USUAL in given else given[0],))
            point = OperatingPoint(found, 0, MILD, 0.0)
            self._ranking.write(point, self._trials.quick(point))

    def _with_teacher(self, best: OperatingPoint) -> OperatingPoint:
        """The best point with or without a teacher; with one if the config says how large."""
        asked, trials, ranking = self._config.teacher, self._trials, self._ranking
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
            before, best = best, ranking.finals_in_time("a teacher", best, points, forced=forced)
            if not best.teacher_width or (before.teacher_width and best == before):
                continue
            others = neighbours(trials.counts, best.downsampling)
            points = [best._replace(downsampling=each) for each in others]
            best = ranking.finals_in_time("resolutions for the teacher", best, points)
        return best


def _brighter(point: OperatingPoint, percent: int) -> OperatingPoint:
    """The point with brightness augmentation, also of images that a teacher labels."""
    point = point._replace(augmentation=point.augmentation._replace(brightness=percent))
    if not point.teacher_width:
        return point
    ranges = point.heavy.ranges._replace(brightness=percent)
    return point._replace(heavy=point.heavy._replace(ranges=ranges))
