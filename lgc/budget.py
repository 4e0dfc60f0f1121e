"""The most useful file within a budget of bytes, found by trying.

What a budget buys best, many crude images or few good ones, and how far they may be moved, hangs
on the data. Each candidate is made into a training set exactly as its file would be, a small
ConvNet is trained on that set, and held-out images of the user's own set judge it: all candidates
for a few steps, the best for longer. The winner is then made again from all images (`budget_file`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from lgc import budget_file, deformations, exemplars, judges, orders, small_images
from lgc.budget_file import Choice
from lgc.config import Progress, report
from lgc.coresets import pixel_code
from lgc.coresets.reduction import Reduction
from lgc.deformations import NONE, Deformation
from lgc.images import LabelledImages
from lgc.small_images import SmallImages
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

_LEAST_SIDE = 5
"""Small images have at least so many rows and columns."""
_ENLARGER_SHARE = 0.08
"""Of the budget, at most."""
_BITS_PER_WEIGHT = 4.2
"""What a weight takes in the file, its share of the tables included; the file itself decides."""
_STAGE = "trying what the budget buys"
_SAMPLE = 300
"""Images whose coded length tells how many will fit."""


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


LargeImages = tuple[np.ndarray, np.ndarray]
"""Exemplars at full size, uint8[n, H, W, C], and their class numbers."""


class _Candidate(NamedTuple):
    reduction: Reduction
    width: int
    """Of the enlarger; 0 for none."""
    fitting: int
    """Images that should fit."""


def choose(
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
    order = orders.mixed(key_order, checked.classes)
    n_held = _held_out(checked)
    held, kept = order[:n_held], order[n_held:]
    candidates = _candidates(checked, kept, budget_bytes, search.reductions)
    trials = [
        each for plain in search.moves for each in (plain, plain._replace(mirror=1)) if each != MILD
    ]
    finals = min(search.finalists, len(candidates)) + len(trials) + len(search.orders)
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
        small = small_images.reduce(
            checked.pixels[kept], checked.classes[kept], each.reduction
        ).subset(slice(each.fitting))
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
        chosen = _chosen(checked, kept, best, name, key_name)
        large = (exemplars.drawn_large(chosen, params[best]), chosen.classes)
        accuracy = judged(large, moves, search.last_steps)
        if beyond_chance(accuracy, found.accuracy, n_held):
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


def _chosen(
    checked: LabelledImages, kept: np.ndarray, candidate: _Candidate, name: str, key: Key
) -> SmallImages:
    """As many images of a coreset as take the bytes of so many at random."""
    pixels, classes = checked.pixels[kept], checked.classes[kept]
    small = small_images.reduce(pixels, classes, candidate.reduction)
    order = orders.chosen_first(name, key, pixels, classes, candidate.fitting)[: candidate.fitting]
    costs = [
        pixel_code.cost_bits(part.pixels, part.classes, part.levels.size)
        for part in (small.subset(slice(candidate.fitting)), small.subset(order))
    ]
    fitting = int(np.searchsorted(np.cumsum(costs[1]), costs[0].sum(), side="right"))
    return small.subset(order[:fitting])


def _candidates(
    checked: LabelledImages,
    kept: np.ndarray,
    budget_bytes: int,
    reductions: tuple[Reduction, ...],
) -> list[_Candidate]:
    """What could be tried; of reductions under which all images fit, only the finest."""
    shape = checked.pixels.shape[1:]
    header = 120 + 8 * len(checked.labels)
    found: list[_Candidate] = []
    for reduction in reductions:
        if min(shape[:2]) < _LEAST_SIDE * reduction.factor:
            continue
        width, weights = _enlarger_width(reduction.factor, shape[2], budget_bytes)
        sample = kept[: max(_SAMPLE, 2 * len(checked.labels))]
        small = small_images.reduce(checked.pixels[sample], checked.classes[sample], reduction)
        bits = pixel_code.cost_bits(small.pixels, small.classes, small.levels.size)
        # The code learns as it goes: the second half tells what later images cost.
        each = float(bits[len(bits) // 2 :].mean()) / 8
        fitting = int((budget_bytes - header - weights * _BITS_PER_WEIGHT / 8) / max(each, 0.1))
        if fitting >= len(checked.labels):
            found.append(_Candidate(reduction, width, min(fitting, len(kept))))
    if not found:
        raise budget_file.too_small(budget_bytes, checked)
    partial_ = [c for c in found if c.fitting < len(kept)]
    whole = [c for c in found if c.fitting == len(kept)]
    finest = sorted(whole, key=lambda c: (c.reduction.factor, -c.reduction.bits))[:1]
    return partial_ + finest


def _enlarger_width(factor: int, channels: int, budget_bytes: int) -> tuple[int, int]:
    """Channels and weights of the widest enlarger that the budget should pay for; 0, 0 for none."""
    for width in (24, 16, 12, 8, 6, 4):
        outputs = factor * factor * channels
        weights = 9 * width * (channels + width + outputs) + 2 * width + outputs
        if weights * _BITS_PER_WEIGHT / 8 <= _ENLARGER_SHARE * budget_bytes:
            return width, weights
    return 0, 0


def _held_out(checked: LabelledImages) -> int:
    """How many images judge: a tenth, of at most five thousand, one of each class at least."""
    return max(len(checked.labels), min(5_000, len(checked.pixels) // 10))
