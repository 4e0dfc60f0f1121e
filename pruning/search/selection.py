"""Which file of a sweep is selected: the goal, the Pareto set, and how sure an error is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fewbits.training.method import Params


class Point(NamedTuple):
    """One file of a sweep.

    Attributes:
      strength: penalty weight.
      bits: per weight.
      nonzeros: numbers that differ from zero in the file.
      size_bytes: of the file.
      error_percent: of what the file decodes to, on the validation data.
      file: the file itself; `fewbits.coding.params_from_bytes` decodes it.
      mean_error_percent: over the files of its penalty weight; 0 where there are no others.
    """

    strength: float
    bits: int
    nonzeros: int
    size_bytes: int
    error_percent: float
    file: bytes = b""
    mean_error_percent: float = 0.0

    @property
    def expected_error_percent(self) -> float:
        """What selects the file: the larger of its error and the mean of its penalty weight.

        Files of one penalty weight hold nearly the same network. The smallest of many files within
        a limit owes its place in part to luck on the validation data, and loses more on new data;
        the mean over files has less of that luck.
        """
        return max(self.error_percent, self.mean_error_percent)

    def __repr__(self) -> str:
        """All but the file."""
        return (
            f"Point(strength={self.strength:g}, bits={self.bits}, nonzeros={self.nonzeros}, "
            f"size_bytes={self.size_bytes}, error_percent={self.error_percent:.2f})"
        )


class Candidate(NamedTuple):
    """A file that may be selected, and what it decodes to."""

    point: Point
    params: Params
    state: Any


class Goal(NamedTuple):
    """What selects a point: at most one of the three; none is a `max_loss` of 0.5.

    Attributes:
      max_loss: points of validation accuracy that may be lost.
      budget_bytes: largest size of the file.
      ratio: least ratio of the parameters' bytes as float32 to the file's.
    """

    max_loss: float | None = None
    budget_bytes: float | None = None
    ratio: float | None = None


class Limit(NamedTuple):
    """The goal in numbers: an error and a size, of which one is infinite."""

    error_percent: float
    size_bytes: float

    def holds(self, point: Point) -> bool:
        """Whether a file is within both: the error that is to be expected, and the size."""
        # Errors are whole numbers of examples, so that rounding must not decide.
        fits = point.expected_error_percent <= self.error_percent + 1e-4
        return fits and point.size_bytes <= self.size_bytes


def pareto(found: list[Candidate]) -> list[Candidate]:
    """Those with no other file both smaller and of no larger expected error; smallest first."""
    best: list[Candidate] = []
    for one in sorted(found, key=lambda c: (c.point.size_bytes, c.point.expected_error_percent)):
        if not best or one.point.expected_error_percent < best[-1].point.expected_error_percent:
            best.append(one)
    return best


def selected(found: list[Candidate], limit: Limit) -> Candidate:
    """Smallest file within the error, most accurate one within the size, or the nearest to it.

    Always one of `pareto(found)`.
    """
    front = pareto(found)
    holding = [one for one in front if limit.holds(one.point)]
    if limit.size_bytes < math.inf:
        return holding[-1] if holding else front[0]
    return holding[0] if holding else front[-1]


def with_mean_error(files: list[Candidate], precise: list[Candidate]) -> list[Candidate]:
    """Files of one penalty weight, each knowing the mean error of the `precise` ones among them."""
    if not precise:
        return files
    mean = float(np.mean([one.point.error_percent for one in precise]))
    return [one._replace(point=one.point._replace(mean_error_percent=mean)) for one in files]


def limit_of(goal: Goal, reference_percent: float, n_weights: int) -> Limit:
    """The goal in numbers.

    Args:
      goal: what was asked for.
      reference_percent: error that `max_loss` is counted from.
      n_weights: numbers in the network.
    """
    if goal.budget_bytes is not None:
        return Limit(math.inf, goal.budget_bytes)
    if goal.ratio is not None:
        return Limit(math.inf, 4 * n_weights / goal.ratio)
    return Limit(reference_percent + (0.5 if goal.max_loss is None else goal.max_loss), math.inf)


def check_goal(goal: Goal) -> None:
    """Asserts that a goal can be met.

    Raises:
      ValueError: more than one, or a number that cannot be.
    """
    given = {name: value for name, value in goal._asdict().items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"give one of max_loss, budget_bytes and ratio, not {', '.join(given)}")
    for name, value in given.items():
        least = 0 if name == "max_loss" else 1
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name} {value}; use a number of at least {least}")
