"""The distortion-rate function: R(D) read the other way."""

from __future__ import annotations

from typing import Any

import numpy as np

from ratedist.rate_function._rate import rate_point

_STEPS = 60


def distortion(p: Any, d: Any, rate: float, *, tol_bits: float = 1e-7) -> float:
    """D(R): the least mean distortion that a rate allows.

    R(D) falls and is convex; the distortion is bracketed and found by bisection, and the upper
    bound of R at it is at most `rate` plus `tol_bits`. Not differentiable: dD/dR is -1 / nu.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], finite distortions.
      rate: bits per symbol, not negative.
      tol_bits: of the rate.

    Raises:
      ValueError: values that are not a source, or a negative rate.

    >>> import ratedist
    >>> round(ratedist.distortion([0.5, 0.5], [[0, 1], [1, 0]], 0.5), 4)  # 1 - h(D) = 0.5
    0.11
    """
    if not rate >= 0:
        raise ValueError(f"rate {rate}: bits, not negative")
    p, d = np.asarray(p, np.float64), np.asarray(d, np.float64)
    if not np.isfinite(d).all():
        raise ValueError("distortions: finite numbers")
    low, high = float(p @ d.min(axis=1)), float((p @ d).min())
    if float(rate_point(p, d, low).rate_ub) <= rate:
        return low
    for _ in range(_STEPS):
        middle = (low + high) / 2
        point = rate_point(p, d, middle)
        if float(point.rate_ub) <= rate:
            high = middle
            if float(point.rate_ub) >= rate - tol_bits:
                break
        else:
            low = middle
        if high - low <= 1e-15 * max(abs(high), 1e-300):
            break
    return high
