"""Operating points of `lgc_rate_curve`: our own search in stages, and the best baseline.

They are plain dictionaries, as a run's folder has them; keys are those of the published records.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import jax

from experiments.common import downstream
from experiments.common.downstream import StudentConfig
from fewbits.coding import InputError
from fewbits.io.datasets import Images
from fewbits.io.progress import Bar
from lgc import files
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.coresets.strategies import worthwhile
from lgc.distillation import budget_search, distilled_file, search_stages
from lgc.distillation.augmentation import NONE, Augmentation
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search_config import DistillConfig
from lgc.distillation.search_stages import Comparison

Stage = Callable[..., Comparison]
"""One of `lgc.distillation.search_stages`."""

BASELINE_REDUCTIONS = (LOSSLESS, Downsampling(1, 2), Downsampling(2, 2))
ALIKE_POINTS = 1.0
"""A judge's accuracies on 5,000 images that are no further apart do not say which is better."""


def choose(search: DistillConfig, title: str, size: int, train: Images) -> dict[str, Any]:
    """The operating point of the first search stage."""
    with Bar(title) as bar:
        ours = budget_search.first_stage(
            train.pixels, train.labels, size, jax.random.key(0), config=search, progress=bar
        )
    return plain(ours)


def light(
    search: DistillConfig, title: str, size: int, train: Images, mine: dict[str, Any]
) -> dict[str, Any]:
    """The operating point, and its range of brightness augmentation."""
    found = _compared(search_stages.brightness, search, title, size, train, mine)
    said = [found.baseline_accuracy, *found.alternative_accuracies]
    return {**plain(found.point), "lights_validation_percent": [100 * each for each in said]}


def refine(
    search: DistillConfig, title: str, size: int, train: Images, mine: dict[str, Any]
) -> dict[str, Any]:
    """The operating point, with kernel ridge distillation or without."""
    found = _compared(search_stages.distillation, search, title, size, train, mine)
    return {
        **plain(found.point),
        "searched_validation_percent": mine["validation_percent"],
        "unrefined_validation_percent": 100 * found.baseline_accuracy,
        "refined_validation_percent": 100 * found.alternative_accuracies[0],
    }


def _compared(
    stage: Stage, search: DistillConfig, title: str, size: int, train: Images, mine: dict[str, Any]
) -> Comparison:
    key, found = jax.random.key(0), point(mine)
    with Bar(title) as bar:
        trial = search_stages.trial(train.pixels, train.labels, size, found, key, search)
        return stage(trial, found, key, search, bar)


def plain(point: OperatingPoint) -> dict[str, Any]:
    """An operating point as JSON holds it; `point` is the inverse."""
    return {
        "reduction": asdict(point.downsampling),
        "width": point.width,
        "moves": list(point.augmentation),
        "order": point.strategy,
        "refinement_steps": point.distillation_steps,
        "validation_percent": 100 * point.accuracy,
    }


def point(plain: dict[str, Any]) -> OperatingPoint:
    """An operating point from JSON."""
    return OperatingPoint(
        Downsampling(**plain["reduction"]),
        plain["width"],
        Augmentation(*plain["moves"]),
        plain["validation_percent"] / 100,
        plain["order"],
        plain.get("refinement_steps", 0),
    )


def file(
    search: DistillConfig, train: Images, size: int, point: OperatingPoint, seed: int
) -> bytes:
    """The file of the training images at an operating point."""
    return distilled_file.write(
        train.pixels,
        train.labels,
        size,
        point,
        jax.random.key(seed),
        upsampler_steps=search.upsampler_steps,
    )


def choose_subset(
    search: DistillConfig,
    trial: StudentConfig,
    second_trial: StudentConfig,
    orders: tuple[str, ...],
    per_class: int,
    size: int,
    train: Images,
    validation: Images,
    moves: Augmentation,
) -> dict[str, Any]:
    """The best baseline on validation images, moved like ours or not at all.

    Args:
      search: whose enlarger's steps do not matter here, as there is none.
      trial: the student that judges.
      second_trial: the student that decides between reductions which the first finds alike.
      orders: coresets that are tried with the best random subset.
      per_class: images drawn of each class for it.
      size: bytes.
      train: images to choose from.
      validation: images that judge.
      moves: ours.
    """
    trials: list[dict[str, Any]] = []

    def judged(data: bytes, judge: StudentConfig) -> float:
        drawn = files.sample(data, per_class=per_class, seed=0)
        return downstream.accuracy_percent(judge, drawn, validation, seed=0)

    @functools.cache
    def made(reduction: Downsampling, moves: Augmentation, order: str) -> bytes:
        return file(search, train, size, OperatingPoint(reduction, 0, moves, 0.0, order), 0)

    def tried(reduction: Downsampling, moves: Augmentation, order: str) -> None:
        try:
            data = made(reduction, moves, order)
        except InputError:
            return  # not even one image of each class
        trials.append(
            {
                "reduction": asdict(reduction),
                "moves": list(moves),
                "order": order,
                "images": files.summary(data)["images"],
                "validation_percent": judged(data, trial),
            }
        )
        print(f"  subset {reduction} {order}: {trials[-1]['validation_percent']:.2f} %", flush=True)

    for reduction in BASELINE_REDUCTIONS:
        for each in dict.fromkeys((NONE, moves)):
            tried(reduction, each, "random")
    best = best_of(trials)
    for order in orders if worthwhile(best["images"], len(train.labels)) else ():
        tried(Downsampling(**best["reduction"]), Augmentation(*best["moves"]), order)
    alike = contested(trials)
    for each in alike:
        data = made(Downsampling(**each["reduction"]), Augmentation(*each["moves"]), each["order"])
        each["second_validation_percent"] = judged(data, second_trial)
        print(f"  {each}", flush=True)
    best = (
        max(alike, key=lambda each: each["second_validation_percent"]) if alike else best_of(trials)
    )
    return {"subset": {**best, "width": 0}, "trials": trials}


def best_of(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The trial that the first judge likes best."""
    return max(trials, key=lambda each: each["validation_percent"])


def contested(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best trial and that of each other reduction within `ALIKE_POINTS`; none if there is none.

    A student of another kind can find them far apart.
    """
    best = best_of(trials)
    found = [
        best_of([each for each in trials if each["reduction"] == reduction])
        for reduction in (asdict(reduction) for reduction in BASELINE_REDUCTIONS)
        if any(each["reduction"] == reduction for each in trials)
    ]
    limit = best["validation_percent"] - ALIKE_POINTS
    alike = [each for each in found if each["validation_percent"] >= limit]
    return alike if len(alike) > 1 else []
