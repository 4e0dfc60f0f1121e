"""Second thoughts about a choice: may its images be lit, and are they to be refined?

Either is judged at equal bytes against the images as they are, by `Search.looks` judges each, begun
anew: what a single one says moves by as much as either gains.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from fewbits.training.method import Key, Params
from lgc import proxies
from lgc.config import Progress, report
from lgc.coresets import strategies
from lgc.distillation import augmentation, distilled_file, distilled_images, search_candidates
from lgc.distillation.augmentation import Deformation
from lgc.distillation.distilled_file import Choice
from lgc.distillation.quantised_images import SmallImages
from lgc.distillation.search_config import Search
from lgc.images import LabelledImages


class Considered(NamedTuple):
    """What judges said.

    Attributes:
      choice: the best one, with its accuracy.
      as_it_is: mean accuracy of judges of the choice as it was, in [0, 1].
      otherwise: the same of each alternative.
    """

    choice: Choice
    as_it_is: float
    otherwise: tuple[float, ...]


class Trial(NamedTuple):
    """A choice made real without the images that judge; the same for all moves.

    Attributes:
      checked: the image set.
      held: places of the images that judge.
      kept: of the others.
      taken: which of those are exemplars.
      small: the exemplars.
      params: of their enlarger.
    """

    checked: LabelledImages
    held: np.ndarray
    kept: np.ndarray
    taken: np.ndarray
    small: SmallImages
    params: Params | None


def trial(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    choice: Choice,
    key: Key,
    search: Search,
) -> Trial:
    """What second thoughts are about. Arguments and errors as for `budget.search_images`."""
    checked = distilled_file.check(pixels, labels)
    key_order, key_enlarger, _ = jax.random.split(key, 3)
    held, kept = held_and_kept(key_order, checked)
    (candidate,) = search_candidates.possible(checked, kept, budget_bytes, (choice.reduction,))
    params = distilled_file.trained_enlarger(
        key_enlarger, checked, kept, choice.reduction, choice.width, search.trial_steps
    )
    taken = np.arange(candidate.fitting)
    if choice.order != strategies.RANDOM:
        taken = search_candidates.chosen_places(checked, kept, candidate, choice.order, key_order)
    small = search_candidates.small_of(checked, kept, choice.reduction).subset(taken)
    return Trial(checked, held, kept, taken, small, params)


def light(
    trial: Trial, choice: Choice, key: Key, search: Search, progress: Progress | None = None
) -> Considered:
    """The choice with the best of `search.lights`, or as it is; of its `trial`."""
    choices = [choice._replace(moves=choice.moves._replace(light=n)) for n in search.lights]
    large = distilled_images.drawn_large(trial.small, trial.params)
    sets = [_drawn(large, trial.small, search, each.moves) for each in (choice, *choices)]
    return _judged(trial, [choice, *choices], sets, key, search, "judging light", progress)


def refinement(
    trial: Trial, choice: Choice, key: Key, search: Search, progress: Progress | None = None
) -> Considered:
    """The choice with `search.refinement_steps`, or as it is; of its `trial`."""
    other = choice._replace(refinement_steps=search.refinement_steps)
    after, weights = distilled_file.refined(
        jax.random.fold_in(key, 3),
        trial.checked,
        trial.kept,
        trial.kept[trial.taken],
        trial.params,
        other,
        progress,
    )
    after = after.subset(slice(search_candidates.as_costly(after, trial.small)))
    sets = [
        _drawn(distilled_images.drawn_large(small, params), small, search, choice.moves)
        for small, params in ((trial.small, trial.params), (after, weights))
    ]
    stage = "judging what was refined"
    return _judged(trial, [choice, other], sets, key, search, stage, progress)


def held_and_kept(key: Key, checked: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Places of the images that judge and of the others.

    A tenth judges, at most five thousand, one of each class at least.
    """
    order = strategies.mixed(key, checked.classes)
    count = max(len(checked.labels), min(5_000, len(checked.pixels) // 10))
    return order[:count], order[count:]


def _drawn(
    large: np.ndarray, small: SmallImages, search: Search, moves: Deformation
) -> tuple[np.ndarray, np.ndarray]:
    return augmentation.drawn(0, large, small.classes, search.per_class, moves)


def _judged(
    trial: Trial,
    choices: list[Choice],
    sets: list[tuple[np.ndarray, np.ndarray]],
    key: Key,
    search: Search,
    stage: str,
    progress: Progress | None,
) -> Considered:
    """What was liked best; the first choice is the one as it is, and wins a tie."""
    key_judge = jax.random.split(key, 3)[2]
    judge = proxies.build(
        trial.checked,
        trial.held,
        steps=search.last_steps,
        width=search.judge_width,
        batch_size=search.batch_size,
    )
    accuracies = np.zeros((search.looks, len(sets)))
    for look in range(search.looks):
        key_look = jax.random.fold_in(key_judge, look)
        accuracies[look] = [judge(key_look, drawn) for drawn in sets]
        report(progress, stage, look + 1, search.looks)
    means = accuracies.mean(axis=0).tolist()
    best = int(np.argmax(means))
    return Considered(choices[best]._replace(accuracy=means[best]), means[0], tuple(means[1:]))
