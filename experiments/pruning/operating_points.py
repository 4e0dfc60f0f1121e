"""Choices between operating points, made on the validation part: means over the runs of all seeds.

An operating point is a method at one setting; one of which a seed diverged is never chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.pruning.runs import Run
from experiments.runner import rows
from pruning.methods import METHODS


def mean(same: Sequence[Any], field: str) -> float:
    """Over rows."""
    return float(np.mean([getattr(row, field) for row in same]))


def operating_points(measured: Iterable[Run]) -> list[list[Run]]:
    """The runs of each, one for each seed."""
    points = rows.grouped(measured, lambda run: (run.method, run.step)).values()
    return [point for point in points if all(run.finite for run in point)]


def fewest_weights(measured: Iterable[Run], limit_percent: float) -> list[Run]:
    """The point with the fewest weights whose validation error is in a limit; [] if none is."""
    points = operating_points(measured)
    allowed = [p for p in points if mean(p, "validation_error_percent") <= limit_percent]
    return min(allowed, key=lambda p: mean(p, "nonzeros"), default=[])


def least_error(measured: Iterable[Run], most_nonzeros: float) -> list[Run]:
    """The point with the least validation error that has so few weights; [] if none has."""
    points = operating_points(measured)
    allowed = [p for p in points if mean(p, "nonzeros") <= most_nonzeros]
    return min(allowed, key=lambda p: mean(p, "validation_error_percent"), default=[])


def with_all_seeds(measured: Sequence[Any]) -> list[Any]:
    """Rows of methods that ran with as many seeds as any: luck would favour the others."""
    seeds = {
        method: len({row.seed for row in same})
        for method, same in rows.grouped(measured, lambda row: row.method).items()
    }
    return [row for row in measured if seeds[row.method] == max(seeds.values())]


def exact_over_drr(measured: Sequence[Run], limit_percent: float) -> tuple[float, float] | None:
    """Weights of the best exact method over those of the best DRR.

    Args:
      measured: runs of all methods.
      limit_percent: the first limit of the validation error that is tried, in steps of 0.1; one
        point above it is the last.

    Returns:
      The ratio, and the least limit that both keep; None if there is none.
    """
    for tenths in range(11):
        limit = limit_percent + tenths / 10
        exact = fewest_weights([r for r in measured if METHODS[r.method].family == "exact"], limit)
        drr = fewest_weights([r for r in measured if r.method.startswith("drr")], limit)
        if exact and drr:
            return mean(exact, "nonzeros") / mean(drr, "nonzeros"), limit
    return None
