"""Which point of a pruning method speaks for it: choices made on the validation part."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pruning.methods import METHODS

PARAMETERS = {"lenet300": 266_610, "lenet5": 431_080}
RATIOS = {"lenet300": (150, 92), "lenet5": (500, 342)}
"""Ratios of weights at which methods are compared, the goal's and the floor's."""
COMPARED_FROM_PERCENT = {"lenet300": 1.9, "lenet5": 1.0}
"""Least validation error at which the exact methods are held against DRR."""


class Choice(NamedTuple):
    """A point of a method.

    Attributes:
      point: its number.
      nonzeros: mean and standard deviation over seeds.
      test_error_percent: mean and standard deviation over seeds.
      validation_error_percent: mean over seeds.
    """

    point: int
    nonzeros: tuple[float, float]
    test_error_percent: tuple[float, float]
    validation_error_percent: float


def fewest_weights(metrics: dict[str, Any], limit_percent: float) -> Choice | None:
    """The point with the fewest weights whose mean validation error is in a limit, or None.

    Args:
      metrics: name -> [H][S], as in `Lanes.metrics` or a record's `lanes`.
      limit_percent: largest mean validation error.
    """
    nonzeros, validation = _means(metrics)
    return _best(metrics, nonzeros, validation <= limit_percent)


def least_error(metrics: dict[str, Any], most_nonzeros: float) -> Choice | None:
    """The point with the least mean validation error that keeps so few weights, or None.

    Args:
      metrics: as `fewest_weights`.
      most_nonzeros: largest mean number of weights.
    """
    nonzeros, validation = _means(metrics)
    return _best(metrics, validation, (nonzeros <= most_nonzeros) & np.isfinite(validation))


def _means(metrics: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Nonzeros and validation error in percent, infinite where a seed diverged."""
    finite = np.asarray(metrics["finite"]).all(axis=1)
    validation = 100 * np.asarray(metrics["validation_error"]).mean(axis=1)
    return np.mean(metrics["nonzeros"], axis=1), np.where(finite, validation, np.inf)


def _best(metrics: dict[str, Any], score: np.ndarray, allowed: np.ndarray) -> Choice | None:
    candidates = np.flatnonzero(allowed)
    if not len(candidates):
        return None
    point = int(candidates[np.argmin(score[candidates])])
    test = 100 * np.asarray(metrics["test_error"][point])
    return Choice(
        point,
        spread(np.asarray(metrics["nonzeros"][point])),
        spread(test),
        float(_means(metrics)[1][point]),
    )


class Comparison(NamedTuple):
    """Weights of the best exact method over those of the best DRR.

    Attributes:
      value: the ratio of mean nonzeros.
      limit_percent: mean validation error that both keep.
    """

    value: float
    limit_percent: float


def exact_over_smooth(lanes: dict[str, dict[str, Any]], limit_percent: float) -> Comparison | None:
    """The exact family against DRR at the least limit, in steps of 0.1, that both keep.

    Args:
      lanes: method -> metrics, as `fewest_weights` takes them.
      limit_percent: the first limit tried; one point above it is the last.
    """
    for steps in range(11):
        limit = limit_percent + steps / 10
        found = {method: fewest_weights(metrics, limit) for method, metrics in lanes.items()}
        sizes = {method: c.nonzeros[0] for method, c in found.items() if c is not None}
        exact = [sizes[m] for m in sizes if METHODS[m].family == "exact"]
        drr = [sizes[m] for m in sizes if m.startswith("drr")]
        if exact and drr:
            return Comparison(min(exact) / min(drr), limit)
    return None


def spread(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation over seeds; zero deviation of one."""
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0
