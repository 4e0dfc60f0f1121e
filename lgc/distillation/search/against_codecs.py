"""What a file teaches beside random images in the same bytes under common codecs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import plain_codecs
from lgc.distillation.search.config import MILD
from lgc.distillation.search.panel import Accuracies, TrainingSet
from lgc.distillation.search.results import AgainstCodecs, Compared, OutOfTime
from lgc.distillation.search.trials import Trials

_CONVNETS = 3
"""Codecs that the ConvNet is trained on, after the quick proxies."""


Candidate = tuple[Compared, TrainingSet]


def candidates(trials: Trials, budget_bytes: int, stop: Callable[[], bool]) -> list[Candidate]:
    """Every codec and quality that fits, by the quick proxies, best first.

    Args:
      trials: of the image set.
      budget_bytes: of each.
      stop: asked before every evaluation whether to leave out what remains.
    """
    found = []
    for each in plain_codecs.plain_files(trials.pixels, trials.classes, budget_bytes, stop):
        if stop():
            break
        quick = trials.quick_of(each.images, MILD)
        found.append((Compared(each.name, each.n_bytes, len(each.images[1]), quick), each.images))
    return sorted(found, key=lambda each: -each[0].accuracies.mean())


def shortfall(ours: Accuracies, codecs: list[Candidate]) -> float:
    """By how much the quick proxies learn less from our file than from the best codec for each.

    The sum over the proxies, in [0, 2]; 0 where no codec is better for any of them.
    """
    theirs = [found.accuracies for found, _ in codecs]
    best = [max((each[i] for each in theirs), default=0.0) for i in range(2)]
    return sum(max(0.0, rival - own) for rival, own in zip(best, ours[:2], strict=True))


def compare(
    trials: Trials, point: OperatingPoint, codecs: list[Candidate], stop: Callable[[], bool]
) -> AgainstCodecs:
    """A point beside common codecs, with what there is time for.

    Args:
      trials: of the image set.
      point: that was found.
      codecs: from `candidates`.
      stop: asked before every evaluation whether to leave out what remains.
    """
    ours = trials.quick(point)
    with contextlib.suppress(OutOfTime):
        ours = ours if stop() else trials.hard(point)
    # Of each codec, the best quality: the ConvNet takes a while.
    best: dict[str, Candidate] = {}
    for each in codecs:
        best.setdefault(each[0].name.split(",")[0], each)
    foremost = list(best.values())[:_CONVNETS]
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
