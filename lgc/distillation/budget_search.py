"""The most useful file within a budget of bytes, found by trying.

What a budget buys best, many crude images or few good ones, and how far they may be moved, hangs
on the data. Each candidate is made into a training set exactly as its file would be, a small
ConvNet is trained on that set, and held-out images of the user's own set judge it: all candidates
for a few steps, the best for longer. Then it is asked whether to light and to refine the images
(`budget_considered`). The winner is made again from all images (`budget_file`).
"""

from __future__ import annotations

import jax
import numpy as np

from fewbits.training.method import Key
from lgc import proxies
from lgc.config import Progress, report
from lgc.coresets import strategies
from lgc.distillation import (
    augmentation,
    distilled_file,
    distilled_images,
    search_candidates,
    search_stages,
)
from lgc.distillation.augmentation import Deformation
from lgc.distillation.distilled_file import Choice
from lgc.distillation.search_config import MILD, Search

_STAGE = "trying what the budget buys"


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
    """`search_images`, then `budget_considered`: what a user calls."""
    search = search or Search()
    found = search_images(pixels, labels, budget_bytes, key, search=search, progress=progress)
    if not (search.lights or search.refinement_steps):
        return found
    trial = search_stages.trial(pixels, labels, budget_bytes, found, key, search)
    if search.lights:
        found = search_stages.light(trial, found, key, search, progress).choice
    if search.refinement_steps:
        found = search_stages.refinement(trial, found, key, search, progress).choice
    return found


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
    checked = distilled_file.check(pixels, labels)
    key_order, key_enlarger, key_judge = jax.random.split(key, 3)
    held, kept = search_stages.held_and_kept(key_order, checked)
    candidates = search_candidates.possible(checked, kept, budget_bytes, search.reductions)
    trials = [
        each for plain in search.moves for each in (plain, plain._replace(mirror=1)) if each != MILD
    ]
    finals = min(search.finalists, len(candidates)) + len(trials) + len(search.orders)
    rounds = len(candidates) + finals
    judge = {
        steps: proxies.build(
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
        accuracy = judge[steps](key_judge, augmentation.drawn(0, *large, search.per_class, moves))
        done += 1
        report(progress, _STAGE, done, rounds)
        return accuracy

    made, params, first = {}, {}, {}
    for each in candidates:
        params[each] = distilled_file.trained_enlarger(
            key_enlarger, checked, kept, each.reduction, each.width, search.trial_steps
        )
        small = search_candidates.small_of(checked, kept, each.reduction).subset(
            slice(each.fitting)
        )
        made[each] = (distilled_images.drawn_large(small, params[each]), small.classes)
        first[each] = judged(made[each], MILD, search.first_steps)
    finalists = sorted(candidates, key=lambda c: -first[c])[: search.finalists]
    last = {c: judged(made[c], MILD, search.last_steps) for c in finalists}
    best = max(finalists, key=lambda c: last[c])
    moved = {moves: judged(made[best], moves, search.last_steps) for moves in trials}
    moved[MILD] = last[best]
    moves = max(moved, key=lambda each: moved[each])
    found = Choice(best.reduction, best.width, moves, moved[moves])
    tried = search.orders if strategies.worthwhile(best.fitting, len(kept)) else ()
    for number, name in enumerate(tried):
        key_name = jax.random.fold_in(key_order, number)
        places = search_candidates.chosen_places(checked, kept, best, name, key_name)
        chosen = search_candidates.small_of(checked, kept, best.reduction).subset(places)
        large = (distilled_images.drawn_large(chosen, params[best]), chosen.classes)
        accuracy = judged(large, moves, search.last_steps)
        if beyond_chance(accuracy, found.accuracy, len(held)):
            found = found._replace(order=name, accuracy=accuracy)
    report(progress, _STAGE, rounds, rounds)
    return found


def beyond_chance(accuracy: float, usual: float, n_images: int) -> bool:
    """Whether an accuracy on so many images is more than two standard errors above the usual one.

    Asked of coresets: one that only seems better to this judge can be far worse for another, since
    it holds what is rare.
    """
    spread = (accuracy * (1 - accuracy) + usual * (1 - usual)) / n_images
    return accuracy - usual > 2 * spread**0.5
