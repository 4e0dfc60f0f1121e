"""What a file teaches beside random images in the same bytes under common codecs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import plain_codecs
from lgc.distillation.search.config import MILD
from lgc.distillation.search.panel import Accuracies, TrainingSet
from lgc.distillation.search.results import AgainstCodecs, Compared, OutOfTime
from lgc.distillation.search.trials import Trials

_CONVNETS = 3
"""Codecs that the ConvNet is trained on, after the quick proxies."""
_SHORTFALLS = 3.0
"""A point that a proxy learns less from the file than from a codec counts as so many lost."""
_LEAD = 0.01
"""A smaller one counts as lost in part, since other images may turn it around."""

Candidate = tuple[Compared, TrainingSet]


class Codecs(NamedTuple):
    """Common codecs with their files.

    Attributes:
      candidates: every codec and quality that fits, by the quick proxies, best first.
      missing: those that there was no time for.
    """

    candidates: list[Candidate]
    missing: tuple[str, ...]


def coded(trials: Trials, budget_bytes: int, stop: Callable[[], bool]) -> Codecs:
    """Random images under every codec, and what they teach the quick proxies.

    Args:
      trials: of the image set.
      budget_bytes: of each.
      stop: asked before every evaluation whether to leave out what remains.
    """
    found, missing, first = [], [], trials.parts[0]
    for name, codec in plain_codecs.codecs(first.pixels.shape[1:]).items():
        if stop():
            missing.append(name)
            continue
        each = plain_codecs.plain_file(name, codec, first.pixels, first.classes, budget_bytes)
        if each is None:
            continue
        quick = trials.of_codec(codec, each)
        found.append((Compared(each.name, each.n_bytes, len(each.images[1]), quick), each.images))
    found.sort(key=lambda each: -each[0].accuracies.mean())
    return Codecs(found, tuple(missing))


def shortfall(ours: Accuracies, codecs: list[Candidate]) -> float:
    """By how much the quick proxies learn less from our file than a point above the best codec.

    The sum over the proxies; 0 where each of them learns a point more from the file than from the
    codec that teaches it most.
    """
    if not codecs:
        return 0.0
    theirs = [found.accuracies for found, _ in codecs]
    neighbour = max(each.neighbour for each in theirs) + _LEAD
    ridge = max(each.ridge for each in theirs) + _LEAD
    return max(0.0, neighbour - ours.neighbour) + max(0.0, ridge - ours.ridge)


def value(ours: Accuracies, codecs: list[Candidate]) -> float:
    """What files are ranked by: the mean over the proxies, less what a codec teaches better."""
    return ours.mean() - _SHORTFALLS * shortfall(ours, codecs)


def compare(
    trials: Trials,
    point: OperatingPoint,
    codecs: Codecs,
    left_less: Callable[[float], bool],
) -> AgainstCodecs:
    """A point beside common codecs, with what there is time for.

    Args:
      trials: of the image set.
      point: that was found.
      codecs: from `coded`.
      left_less: asked before every evaluation whether less than so many seconds are left.
    """
    ours = trials.quick(point)
    with contextlib.suppress(OutOfTime):
        known = point in trials.full and not point.teacher_width
        ours = trials.hard(point) if known or not left_less(trials.convnet_seconds) else ours
    # Of each codec, the best quality: the ConvNet takes a while.
    best: dict[str, Candidate] = {}
    for each in codecs.candidates:
        best.setdefault(_family(each[0].name), each)
    foremost = list(best.values())[:_CONVNETS]
    compared = []
    for found, images in foremost:
        if left_less(trials.convnet_seconds):
            break
        accuracies = trials.full_of(images, MILD, found.accuracies)
        compared.append(found._replace(accuracies=accuracies))
    untrained = [found for found, _ in foremost[len(compared) :]]
    left_out = [_family(name) for name in codecs.missing]
    left_out += [f"the ConvNet of {_family(each.name)}" for each in untrained]
    ranked = sorted(compared, key=lambda one: -one.accuracies.mean())
    return AgainstCodecs(
        ours,
        ranked + sorted(untrained, key=lambda one: -one.accuracies.mean()),
        tuple(dict.fromkeys(left_out)),
        trials.held_out(),
    )


def _family(name: str) -> str:
    """Of a codec's name, what is before its setting."""
    return name.split(",")[0]
