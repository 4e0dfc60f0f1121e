"""How long to look for what a budget buys best, and what is tried."""

from __future__ import annotations

from dataclasses import dataclass

from lgc.coresets.downsampling import Reduction
from lgc.distillation import distilled_file
from lgc.distillation.augmentation import NONE, Deformation

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
LIGHTS = (15, 30)
"""Percent."""


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
      looks: judges, each begun anew, of what is lit or refined and of what is not.
      lights: strengths that are tried with the best moves.
    """

    reductions: tuple[Reduction, ...] = REDUCTIONS
    moves: tuple[Deformation, ...] = MOVES
    trial_steps: int = 500
    enlarger_steps: int = distilled_file.ENLARGER_STEPS
    first_steps: int = 300
    last_steps: int = 1_000
    finalists: int = 3
    per_class: int = 1_500
    judge_width: int = 16
    batch_size: int = 64
    orders: tuple[str, ...] = ("medoids",)
    refinement_steps: int = 600
    looks: int = 3
    lights: tuple[int, ...] = LIGHTS
