"""The step at which a quantiser reaches a mean squared error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_CLOSE = 0.993
_TRIALS = 24


def step_for(
    trial: Callable[[float], tuple[T, float]],
    distortion: float,
    start: float,
    trials: int = _TRIALS,
) -> tuple[float, T, float]:
    """The step whose error is at most `distortion`, and within 0.7 per cent of it if one is.

    Args:
      trial: the result of a step and its error, which grows with the step.
      distortion: positive.
      start: a first guess.
      trials: at most so many, more only until any step is fine enough.

    Returns:
      The step, its result and its error.

    Raises:
      OverflowError: no step was fine enough.
    """
    low: tuple[float, T, float] | None = None
    high: tuple[float, float] | None = None
    step = start
    for k in range(4 * trials):
        try:
            result, error = trial(step)
        except OverflowError:
            if high is None:
                step *= 16
                continue
            break  # as fine as can be written
        if error <= distortion:
            if low is None or step > low[0]:
                low = (step, result, error)
            if error >= _CLOSE * distortion:
                break
        elif high is None or step < high[0]:
            high = (step, error)
        if low is not None and (k >= trials or (high and high[0] < low[0] * (1 + 1e-9))):
            break
        step = _next(low, high, distortion)
        if not 0 < step < math.inf:
            break
    if low is None:
        raise OverflowError("no step is fine enough")
    return low


def _next(
    low: tuple[float, T, float] | None, high: tuple[float, float] | None, distortion: float
) -> float:
    """By the power law between error and step, kept within what is known."""
    aim = 0.9965 * distortion
    if low is None:
        assert high is not None
        factor = (aim / high[1]) ** 0.55
        return high[0] * max(min(factor, 0.995), 1 / 64)
    if high is None:
        factor = (aim / low[2]) ** 0.55 if low[2] > 0 else 8.0
        return low[0] * min(max(factor, 1.005), 8.0)
    if low[2] <= 0 or high[1] <= low[2]:
        return math.sqrt(low[0] * high[0])
    share = math.log(aim / low[2]) / math.log(high[1] / low[2])
    share = min(max(share, 0.05), 0.95)
    return low[0] * (high[0] / low[0]) ** share
