"""The most useful file within a budget of bytes, found by trying.

What a budget buys best, many crude images or few good ones, and how far they may be moved, hangs
on the data. Each candidate is made into a training set exactly as its file would be, a small
ConvNet is trained on that set, and held-out images of the user's own set judge it: all candidates
for a few steps, the best for longer. Then it is asked whether to refine the images (`refinement`).
The winner is then made again from all images (`budget_file`).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from lgc import (
    budget_candidates,
    budget_file,
    deformations,
    exemplars,
    judges,
    orders,
)
from lgc.budget_file import Choice
from lgc.config import Progress, report
from lgc.coresets.reduction import Reduction
from lgc.deformations import NONE, Deformation
from lgc.images import LabelledImages
from training.method import Key

REDUCTIONS = (
    Reduction(1, 1), Reduction(1, 2), Reduction(1, 3), Reduction(1, 5), Reduction(2, 1),
    Reduction(2, 2), Reduction(2, 3), Reduction(2, 5), Reduction(3, 2), Reduction(3, 3),
    Reduction(4, 3),
)  # fmt: skip
MILD = Deformation(turn=8, slant=6, stretch=8, shift=4, bend=10)
MOVES = (
    NONE,
    MILD,
    Deformation(turn=12, slant=10, stretch=12, shift=6, bend=20),
    Deformation(turn=18, slant=15, stretch=18, shift=8, bend=35),
)
"""From none to strong."""

_STAGE = "trying what the budget buys"


@dataclass(frozen=True)
class Search:
    """How long the search takes.

    Attributes:
      reductions: that are tried.
      moves: that are tried with the best of them, each with and without a mirror.
      trial_steps: of training the enlarger of each candidate.
      enlarger_steps: of training the one that is kept.
      first_steps: of a judge of each candidate.
      last_steps: of a judge of the last few.
      finalists: reductions that are judged for longer.
      per_class: images drawn of each class for a judge.
      judge_width: channels of the ConvNet that judges.
      batch_size: of the judges' training.
      orders: coresets that are tried with the best of these, beside images at random.
      refinement_steps: of refining the exemplars of the best; 0 leaves that out.
      looks: judges, each begun anew, of what is refined and of what is not.
    """

    reductions: tuple[Reduction, ...] = REDUCTIONS
    moves: tuple[Deformation, ...] = MOVES
    trial_steps: int = 500
    enlarger_steps: int = budget_file.ENLARGER_STEPS
    first_steps: int = 300
    last_steps: int = 1_000
    finalists: int = 3
    per_class: int = 1_500
    judge_width: int = 16
    batch_size: int = 64
    orders: tuple[str, ...] = ("medoids",)
    refinement_steps: int = 600
    looks: int = 3


LargeImages = tuple[np.ndarray, np.ndarray]
"""Exemplars at full size, uint8[n, H, W, C], and their class numbers."""


def choose(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    key: Key,
    *,
    search: Search | None = None,
    progress: Progress | None = None,
) -> Choice:
    """`search_images`, then `consider_refinement`: what a user calls."""
    search = search or Search()
    found = search_images(pixels, labels, budget_bytes, key, search=search, progress=progress)
    if not search.refinement_steps:
        return found
    return consider_refinement(
        pixels, labels, budget_bytes, found, key, search=search, progress=progress
    )


def search_images(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    key: Key,
    *,
    search: Search | None = None,
    progress: Progress | None = None,
) -> Choice:
    """The choice whose file trains the best classifier among those that fit.

    Args:
      pixels: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: the file is to be no longer than this.
      key: typed PRNG key.
      search: how long to look.
      progress: see `Progress`.

    Raises:
      InputError: images that cannot be compressed, or a budget too small for them.
    """
    search = search or Search()
    checked = budget_file.check(pixels, labels)
    key_order, key_enlarger, key_judge = jax.random.split(key, 3)
    held, kept = _held_and_kept(key_order, checked)
    candidates = budget_candidates.possible(checked, kept, budget_bytes, search.reductions)
    trials = [
        each for plain in search.moves for each in (plain, plain._replace(mirror=1)) if each != MILD
    ]
    finals = (
        min(search.finalists, len(candidates))
        + len(trials)
        + len(search.orders)
        + bool(search.refinement_steps)
    )
    rounds = len(candidates) + finals
    judge = {
        steps: judges.build(
            key_judge,
            checked,
            held,
            steps=steps,
            width=search.judge_width,
            batch_size=search.batch_size,
        )
        for steps in {search.first_steps, search.last_steps}
    }
    done = 0

    def judged(large: LargeImages, moves: Deformation, steps: int) -> float:
        nonlocal done
        accuracy = judge[steps](deformations.drawn(0, *large, search.per_class, moves))
        done += 1
        report(progress, _STAGE, done, rounds)
        return accuracy

    made, params, first = {}, {}, {}
    for each in candidates:
        params[each] = budget_file.trained_enlarger(
            key_enlarger, checked, kept, each.reduction, each.width, search.trial_steps
        )
        small = budget_candidates.small_of(checked, kept, each.reduction).subset(
            slice(each.fitting)
        )
        made[each] = (exemplars.drawn_large(small, params[each]), small.classes)
        first[each] = judged(made[each], MILD, search.first_steps)
    finalists = sorted(candidates, key=lambda c: -first[c])[: search.finalists]
    last = {c: judged(made[c], MILD, search.last_steps) for c in finalists}
    best = max(finalists, key=lambda c: last[c])
    moved = {moves: judged(made[best], moves, search.last_steps) for moves in trials}
    moved[MILD] = last[best]
    moves = max(moved, key=lambda each: moved[each])
    found = Choice(best.reduction, best.width, moves, moved[moves])
    tried = search.orders if orders.worthwhile(best.fitting, len(kept)) else ()
    for number, name in enumerate(tried):
        key_name = jax.random.fold_in(key_order, number)
        places = budget_candidates.chosen_places(checked, kept, best, name, key_name)
        chosen = budget_candidates.small_of(checked, kept, best.reduction).subset(places)
        large = (exemplars.drawn_large(chosen, params[best]), chosen.classes)
        accuracy = judged(large, moves, search.last_steps)
        if beyond_chance(accuracy, found.accuracy, len(held)):
            found = found._replace(order=name, accuracy=accuracy)
    report(progress, _STAGE, rounds, rounds)
    return found


def consider_refinement(
    pixels: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    choice: Choice,
    key: Key,
    *,
    search: Search,
    progress: Progress | None = None,
) -> Choice:
    """The choice with `search.refinement_steps`, or as it is if its images serve better unrefined.

    Both are judged anew, at equal bytes, by `search.looks` judges each: what a single one says
    moves by as much as refinement gains. Arguments and errors as for `search_images`.
    """
    checked = budget_file.check(pixels, labels)
    key_order, key_enlarger, key_judge = jax.random.split(key, 3)
    held, kept = _held_and_kept(key_order, checked)
    key_refine = jax.random.fold_in(key, 3)
    (candidate,) = budget_candidates.possible(checked, kept, budget_bytes, (choice.reduction,))
    params = budget_file.trained_enlarger(
        key_enlarger, checked, kept, choice.reduction, choice.width, search.trial_steps
    )
    taken = np.arange(candidate.fitting)
    if choice.order != orders.RANDOM:
        taken = budget_candidates.chosen_places(checked, kept, candidate, choice.order, key_order)
    before = budget_candidates.small_of(checked, kept, choice.reduction).subset(taken)
    trial = choice._replace(refinement_steps=search.refinement_steps)
    after, weights = budget_file.refined(
        key_refine, checked, kept, kept[taken], params, trial, progress
    )
    after = after.subset(slice(budget_candidates.as_costly(after, before)))
    sets = []
    for small, enlarging in ((before, params), (after, weights)):
        large = exemplars.drawn_large(small, enlarging)
        sets.append(deformations.drawn(0, large, small.classes, search.per_class, choice.moves))
    accuracies = np.zeros((search.looks, len(sets)))
    for look in range(search.looks):
        judge = judges.build(
            jax.random.fold_in(key_judge, look),
            checked,
            held,
            steps=search.last_steps,
            width=search.judge_width,
            batch_size=search.batch_size,
        )
        for number, drawn in enumerate(sets):
            accuracies[look, number] = judge(drawn)
        report(progress, "judging what was refined", look + 1, search.looks)
    as_it_is, refined = accuracies.mean(axis=0).tolist()
    if refined > as_it_is:
        return trial._replace(accuracy=refined)
    return choice._replace(accuracy=as_it_is)


def beyond_chance(accuracy: float, usual: float, n_images: int) -> bool:
    """Whether an accuracy on so many images is more than two standard errors above the usual one.

    Asked of coresets: one that only seems better to this judge can be far worse for another, since
    it holds what is rare.
    """
    spread = (accuracy * (1 - accuracy) + usual * (1 - usual)) / n_images
    return accuracy - usual > 2 * spread**0.5


def _held_and_kept(key: Key, checked: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Places of the images that judge and of the others.

    A tenth judges, at most five thousand, one of each class at least.
    """
    order = orders.mixed(key, checked.classes)
    count = max(len(checked.labels), min(5_000, len(checked.pixels) // 10))
    return order[:count], order[count:]
