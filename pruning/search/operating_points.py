"""Operating points of a sweep: which penalty weights are tried, and what there is to say of one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pruning.methods import METHODS
from pruning.search.selection import Candidate, Limit, Point

_FIRST_FACTORS = (1.0,)
_FIRST_SHARES = (0.5, 1.0, 2.0)
_SPREAD = 4.0
_LEAST_TRIALS = 3
_CAUTION = 0.3


class PruningWarning(UserWarning):
    """What a user should know about a result."""


@dataclass(frozen=True)
class Settings:
    """What may be chosen beside the data.

    Attributes:
      method: a name in `methods.METHODS`.
      strengths: penalty weights to try, in the method's own units; None searches.
      trials: penalty weights that the search tries.
      steps: optimiser steps of the first phase; None takes ten epochs, at least `LEAST_STEPS`.
      fine_tune_steps: of the last phase; None takes half of the first.
      batch_size: examples per step, at most all.
      learning_rate: Adam's at the start of both phases.
      tolerance: share by which the threshold may raise the validation loss.
      label_smoothing: share of a label that is spread over all classes while pruning and
        fine-tuning: without it, the loss of a network that knows its training set by heart has
        next to no slope, and the penalty has its way.
      distillation: share of what the given network says in the targets, on inputs of which half
        are mixed; 0 leaves the labels alone and mixes nothing.
      baseline: train dense networks of the file's bytes to compare with.
      sort_units: put hidden units into the order of the smallest file, see `unit_order`.
      tuned_bits: one more width, on whose grid the weights are trained; None for none.
      bits: per weight, to choose from; vectors (biases, scales) get at least 8.
    """

    method: str = "drr"
    strengths: tuple[float, ...] | None = None
    trials: int = 5
    steps: int | None = None
    fine_tune_steps: int | None = None
    batch_size: int = 128
    learning_rate: float = 2e-3
    tolerance: float = 0.1
    label_smoothing: float = 0.1
    distillation: float = 0.5
    baseline: bool = True
    sort_units: bool = True
    tuned_bits: int | None = 4
    bits: tuple[int, ...] = (5, 6, 7, 8)

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"no method {self.method!r}; choose one of {', '.join(METHODS)}")
        for strength in self.strengths or ():
            if not (math.isfinite(strength) and strength >= 0):
                raise ValueError(f"penalty weight {strength}; use a number of at least 0")
            if METHODS[self.method].strength_is_share and strength > 1:
                raise ValueError(
                    f"{strength}: for {self.method} it is the share of weights that remain, 0 to 1"
                )
        for name, least in (("trials", 1), ("steps", 1), ("fine_tune_steps", 0), ("batch_size", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name.replace('_', '-')} {value}; use at least {least}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label smoothing {self.label_smoothing}; use 0 to below 1")
        if not 0 <= self.distillation <= 1:
            raise ValueError(f"distillation {self.distillation}; use 0 to 1")
        widths = (*self.bits, *(() if self.tuned_bits is None else (self.tuned_bits,)))
        if not self.bits or not all(2 <= bits <= 16 for bits in widths):
            raise ValueError(f"bits {self.bits}; use 2 to 16")
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance {self.tolerance}; use a number of at least 0")


def strengths(
    settings: Settings, tried: dict[float, list[Candidate]], limit: Limit, held_out: bool
) -> Iterable[float]:
    """Penalty weights to try: those given, or a search for the last one that meets the goal.

    Args:
      settings: see `Settings`.
      tried: what has been found so far; the caller adds to it between two values.
      limit: see `Limit`.
      held_out: False where all data may have been trained on. Then nothing tells what a penalty
        weight near the method's default or above costs on new data, and only smaller ones are
        tried for a `max_loss`.
    """
    if settings.strengths is not None:
        yield from settings.strengths
        return
    named = METHODS[settings.method]
    share = named.strength_is_share
    if not held_out and limit.size_bytes == math.inf:
        for number in range(settings.trials):
            if number >= _LEAST_TRIALS and any(
                limit.holds(one.point) for found in tried.values() for one in found
            ):
                return
            factor = _CAUTION * 0.5**number
            yield _at_most_one(named.strength * (1 / factor if share else factor), share)
        return
    factors = _FIRST_SHARES if share else _FIRST_FACTORS
    first = sorted({_at_most_one(named.strength * f, share) for f in factors}, reverse=share)
    yield from first[: settings.trials]
    for _ in range(settings.trials - len(first)):
        # From the weakest pruning to the strongest: errors rise along it, and sizes fall.
        order = sorted(tried, reverse=share)
        holds = [any(limit.holds(one.point) for one in tried[strength]) for strength in order]
        if limit.size_bytes < math.inf:
            order, holds = order[::-1], holds[::-1]  # the most accurate file is the last to fit
        last = max((place for place, held in enumerate(holds) if held), default=-1)
        if 0 <= last < len(order) - 1:
            yield math.sqrt(order[last] * order[last + 1])
            continue
        # None fits, or all do: go on beyond that end.
        edge = order[0] if last < 0 else order[-1]
        upwards = (last >= 0) == (limit.size_bytes == math.inf)  # towards more pruning
        factor = _SPREAD if upwards != share else 1 / _SPREAD
        beyond = _at_most_one(edge * factor, share)
        if beyond in tried:
            return
        yield beyond


def _at_most_one(strength: float, is_share: bool) -> float:
    return min(strength, 1.0) if is_share else strength


def remarks(
    point: Point, limit: Limit, n_prunable: int, n_weights: int, baseline: Point | None
) -> list[str]:
    """What a user should know about a file, one line each.

    Args:
      point: of the selected file.
      limit: what was asked for.
      n_prunable: weights that may go.
      n_weights: all of them.
      baseline: a dense network of the same bytes, or None.
    """
    said = []
    if not limit.holds(point):
        expected = point.expected_error_percent
        said.append(
            f"no file within {limit.size_bytes:,.0f} bytes: the smallest has "
            f"{point.size_bytes:,}; try more or larger penalty weights"
            if limit.size_bytes < math.inf
            else f"no file with an expected error within {limit.error_percent:.2f} %: the best has "
            f"{expected:.2f} %; allow a larger loss, or train for more steps"
        )
    pruned = n_weights - point.nonzeros
    if pruned < 0.05 * n_prunable:
        said.append(
            f"nearly nothing was pruned: {point.nonzeros:,} of {n_weights:,} weights are left; "
            "train for more steps or try larger penalty weights"
        )
    if point.nonzeros == 0:
        said.append("everything was pruned: try smaller penalty weights")
    if baseline is not None and baseline.error_percent <= point.error_percent:
        said.append(
            f"a dense network of {baseline.size_bytes:,} bytes with {baseline.bits} bits per "
            f"weight is as good: {baseline.error_percent:.2f} % error against "
            f"{point.error_percent:.2f} % for the pruned one of {point.size_bytes:,} bytes"
        )
    return said


def idle_penalty(n_kept: dict[float, int], n_prunable: int, settings: Settings) -> list[str]:
    """Whether no penalty weight did anything: most weights are left, whatever it was."""
    low, high = min(n_kept, default=0.0), max(n_kept, default=0.0)
    if METHODS[settings.method].strength_is_share or high < _SPREAD * low or low == high:
        return []
    if n_kept[high] < max(0.98 * n_kept[low], 0.5 * n_prunable):
        return []
    return [
        f"the penalty could not act: a penalty weight of {high:g} leaves {n_kept[high]:,} weights, "
        f"{low:g} leaves {n_kept[low]:,}; train for more steps"
    ]
