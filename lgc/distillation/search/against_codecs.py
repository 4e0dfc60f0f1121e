"""What a file teaches beside random images in the same bytes under common codecs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import plain_codecs
from lgc.distillation.search.config import MILD
from lgc.distillation.search.panel import TrainingSet
from lgc.distillation.search.results import AgainstCodecs, Compared, OutOfTime
from lgc.distillation.search.trials import Trials

_CONVNETS = 3
"""Codecs that the ConvNet is trained on, after the quick proxies."""


def compare(
    trials: Trials, point: OperatingPoint, budget_bytes: int, stop: Callable[[], bool]
) -> AgainstCodecs:
    """A point beside common codecs, with what there is time for.

    Args:
      trials: of the image set.
      point: that was found.
      budget_bytes: of either.
      stop: asked before every evaluation whether to leave out what remains.
    """
    ours = trials.quick(point)
    with contextlib.suppress(OutOfTime):
        ours = ours if stop() else trials.hard(point)
    # Of each codec, the best quality by the quick proxies: the ConvNet takes a while.
    best: dict[str, tuple[Compared, TrainingSet]] = {}
    for each in plain_codecs.plain_files(trials.pixels, trials.classes, budget_bytes, stop):
        if stop():
            break
        quick = trials.quick_of(each.images, MILD)
        found = Compared(each.name, each.n_bytes, len(each.images[1]), quick)
        codec = each.name.split(",")[0]
        if codec not in best or quick.mean() > best[codec][0].accuracies.mean():
            best[codec] = (found, each.images)
    foremost = sorted(best.values(), key=lambda each: -each[0].accuracies.mean())[:_CONVNETS]
    if stop():
        return AgainstCodecs(ours, [found for found, _ in foremost], False)
    compared = []
    for found, images in foremost:
        if compared and stop():
            break
        accuracies = trials.full_of(images, MILD, found.accuracies)
        compared.append(found._replace(accuracies=accuracies))
    complete = len(compared) == len(foremost)
    return AgainstCodecs(ours, sorted(compared, key=lambda one: -one.accuracies.mean()), complete)
