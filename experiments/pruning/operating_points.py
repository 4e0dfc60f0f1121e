"""Choices between operating points, made on the validation part: means over the runs of all seeds.

An operating point is a method at one setting; one of which a seed diverged is never chosen.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from experiments.pruning.runs import Nonzeros, Ratio, Run, TestError, ValidationError
from experiments.runner import experiment as ex
from experiments.runner import plots, rows
from pruning.methods import METHODS

_NONE: Any = None
"""Where no point keeps the limit."""


class Choice(NamedTuple):
    """Methods at their limits.

    Chosen on validation: of all points with so many times fewer weights, the one with the least
    error; or of all that lose so little, the one with the fewest weights. Mean ± standard deviation
    over seeds; biases count.
    """

    network: Annotated[str, ex.Key]
    method: Annotated[str, ex.Key]
    limit: Annotated[str, ex.Key]
    ratio: Ratio = _NONE
    nonzeros: Nonzeros = _NONE
    test_error_percent: TestError = _NONE
    validation_error_percent: ValidationError = _NONE
    seed: Annotated[int | None, ex.Over(len), ex.Column("seeds", ".0f")] = None


def published(network: str, title: str, ratio: float, error_percent: float) -> Choice:
    """Another's result."""
    return Choice(network, f"{title} (published)", "", ratio, test_error_percent=error_percent)


def choices(network: str, method: str, limit: str, point: Sequence[Run]) -> list[Choice]:
    """A chosen point, one row for each seed; one without numbers where there is none."""
    labels, names = (network, method, limit), Choice._fields[3:]
    found = [Choice(*labels, *(getattr(run, name) for name in names)) for run in point]
    return found or [Choice(*labels)]


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
    """Weights of the best exact method over those of the best DRR, and the limit that both keep.

    The limit of the validation error is the least from `limit_percent` on, in steps of 0.1; one
    point above it is the last.
    """
    for tenths in range(11):
        limit = limit_percent + tenths / 10
        exact = fewest_weights([r for r in measured if METHODS[r.method].family == "exact"], limit)
        drr = fewest_weights([r for r in measured if r.method.startswith("drr")], limit)
        if exact and drr:
            return mean(exact, "nonzeros") / mean(drr, "nonzeros"), limit
    return None


def draw(axis: Axes, measured: Sequence[Run], others: Sequence[Choice], n_parameters: int) -> None:
    """Nonzeros and test error of every point, a colour for each family; others' results."""
    by_method = rows.grouped(measured, lambda run: run.method)
    for marker, (method, mine) in zip(plots.MARKERS, by_method.items(), strict=False):
        points = rows.grouped(mine, lambda run: run.step).values()
        fields = ("nonzeros", "test_error_percent")
        values = ([mean(point, field) for point in points] for field in fields)
        axis.plot(*values, marker, color=colour(method), label=method, alpha=0.8)
    for other in others:
        spot = (n_parameters / (other.ratio or np.nan), other.test_error_percent or np.nan)
        axis.plot(*spot, "x", color=plots.PUBLISHED)
        axis.annotate(other.method.partition(" (")[0], spot, color=plots.PUBLISHED, fontsize=7)
    axis.set(xlabel="nonzeros", ylabel="test error, %")
    axis.legend(fontsize=6)


def colour(method: str) -> str:
    """Of the method's family."""
    of_family = {"smooth": plots.OURS, "exact": "#2a9d5c", "control": plots.BASELINE}
    return of_family[METHODS[method].family]
