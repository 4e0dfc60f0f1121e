"""What `lgc_rate_curve` does with a budget: our own choice in stages, and the best baseline.

Choices are plain dictionaries, as a run's folder keeps them.
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
from lgc.coresets.downsampling import LOSSLESS, Reduction
from lgc.coresets.strategies import worthwhile
from lgc.distillation import budget_search, distilled_file, search_stages
from lgc.distillation.augmentation import NONE, Deformation
from lgc.distillation.distilled_file import Choice
from lgc.distillation.search_config import Search
from lgc.distillation.search_stages import Considered

Question = Callable[..., Considered]
"""One of `lgc.distillation.search_stages`."""

BASELINE_REDUCTIONS = (LOSSLESS, Reduction(1, 2), Reduction(2, 2))
ALIKE_POINTS = 1.0
"""A judge's accuracies on 5,000 images that are no further apart do not say which is better."""


def choose(search: Search, title: str, size: int, train: Images) -> dict[str, Any]:
    """What to do with a budget, by the library's own search, second thoughts aside."""
    with Bar(title) as bar:
        ours = budget_search.search_images(
            train.pixels, train.labels, size, jax.random.key(0), search=search, progress=bar
        )
    return plain(ours)


def light(
    search: Search, title: str, size: int, train: Images, mine: dict[str, Any]
) -> dict[str, Any]:
    """The choice, and how strongly drawn images are to be lit."""
    found = _considered(search_stages.light, search, title, size, train, mine)
    said = [found.as_it_is, *found.otherwise]
    return {**plain(found.choice), "lights_validation_percent": [100 * each for each in said]}


def refine(
    search: Search, title: str, size: int, train: Images, mine: dict[str, Any]
) -> dict[str, Any]:
    """The choice, and whether its exemplars are to be refined."""
    found = _considered(search_stages.refinement, search, title, size, train, mine)
    return {
        **plain(found.choice),
        "searched_validation_percent": mine["validation_percent"],
        "unrefined_validation_percent": 100 * found.as_it_is,
        "refined_validation_percent": 100 * found.otherwise[0],
    }


def _considered(
    question: Question, search: Search, title: str, size: int, train: Images, mine: dict[str, Any]
) -> Considered:
    key, found = jax.random.key(0), choice(mine)
    with Bar(title) as bar:
        trial = search_stages.trial(train.pixels, train.labels, size, found, key, search)
        return question(trial, found, key, search, bar)


def plain(choice: Choice) -> dict[str, Any]:
    """A choice as JSON holds it; `choice` is the inverse."""
    return {
        "reduction": asdict(choice.reduction),
        "width": choice.width,
        "moves": list(choice.moves),
        "order": choice.order,
        "refinement_steps": choice.refinement_steps,
        "validation_percent": 100 * choice.accuracy,
    }


def choice(plain: dict[str, Any]) -> Choice:
    """A choice from what JSON holds."""
    return Choice(
        Reduction(**plain["reduction"]),
        plain["width"],
        Deformation(*plain["moves"]),
        plain["validation_percent"] / 100,
        plain["order"],
        plain.get("refinement_steps", 0),
    )


def file(search: Search, train: Images, size: int, choice: Choice, seed: int) -> bytes:
    """The file that a choice makes of the training images."""
    return distilled_file.write(
        train.pixels,
        train.labels,
        size,
        choice,
        jax.random.key(seed),
        enlarger_steps=search.enlarger_steps,
    )


def choose_subset(
    search: Search,
    trial: StudentConfig,
    second_trial: StudentConfig,
    orders: tuple[str, ...],
    per_class: int,
    size: int,
    train: Images,
    validation: Images,
    moves: Deformation,
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
    def made(reduction: Reduction, moves: Deformation, order: str) -> bytes:
        return file(search, train, size, Choice(reduction, 0, moves, 0.0, order), 0)

    def tried(reduction: Reduction, moves: Deformation, order: str) -> None:
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
        tried(Reduction(**best["reduction"]), Deformation(*best["moves"]), order)
    alike = contested(trials)
    for each in alike:
        data = made(Reduction(**each["reduction"]), Deformation(*each["moves"]), each["order"])
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
