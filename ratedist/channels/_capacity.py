"""Capacity of a discrete memoryless channel, with or without an input cost, from both sides.

Host-side, not traceable: a primal-dual interior-point method in NumPy on

    C(B) = max_p I(p; W)   subject to   p >= 0,  sum_x p_x = 1,  sum_x c_x p_x <= B.

Any p that satisfies the constraints gives a lower bound. For any output distribution q and price
l >= 0, C(B) <= max_x (D(W_x || q) - l c_x) + l B (Csiszar and Korner 2011, chapter 8; Blahut 1972).
Both are evaluated in float64 whatever the method did.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fewbits.coding.units import nats_to_bits

_MAX_ITERATIONS = 200
_SHRINK = 0.1
_BOUNDARY = 0.99
_ROUNDING = 1e-9


class CapacityPoint(NamedTuple):
    """Bounds of a capacity, with what attains them.

    Attributes:
      capacity_lb: bits per use, attained by `p`.
      capacity_ub: bits per use, no input distribution has more.
      gap_bits: their difference.
      p: Float[n], input distribution.
      q: Float[m], output distribution.
      cost: expected cost of `p`; 0 without costs.
      price: bits per use that a unit of budget adds; 0 without costs or where the budget is slack.
      iters: Newton steps.
      converged: whether the gap is at most the tolerance.
    """

    capacity_lb: float
    capacity_ub: float
    gap_bits: float
    p: np.ndarray
    q: np.ndarray
    cost: float
    price: float
    iters: int
    converged: bool


def capacity(channel: Any, cost: Any = None, budget: float | None = None) -> float:
    """Capacity in bits per use; see `capacity_point`.

    >>> import ratedist
    >>> round(ratedist.capacity([[0.9, 0.1], [0.1, 0.9]]), 6)
    0.531004
    """
    return capacity_point(channel, cost, budget).capacity_lb


def capacity_point(
    channel: Any, cost: Any = None, budget: float | None = None, *, tol_bits: float = 1e-9
) -> CapacityPoint:
    """Capacity of a channel, certified from both sides.

    Args:
      channel: Float[n, m], row x is the distribution of the output for input x.
      cost: Float[n], finite, of each input; given together with `budget`.
      budget: largest expected cost.
      tol_bits: gap of the bounds to reach.

    Returns:
      CapacityPoint, valid as bounds whether it converged or not.

    Raises:
      ValueError: rows that are not distributions, or a budget below the least cost.

    >>> import ratedist
    >>> point = ratedist.capacity_point([[1, 0], [0.5, 0.5]])  # a Z channel
    >>> round(point.capacity_lb, 6), point.gap_bits < 1e-8
    (0.321928, True)
    """
    w, c, limit = _checked(channel, cost, budget)
    n = len(w)
    allowed = np.arange(n) if limit > c.min() else np.flatnonzero(c == c.min())
    used, charge = w[allowed], c[allowed]
    used = used[:, used.sum(axis=0) > 0]
    p, price, iters = _interior_point(used, charge, limit, tol_bits * np.log(2))
    whole = np.zeros(n)
    whole[allowed] = p
    lower, upper = _bounds(used, charge, limit, p, price)
    return CapacityPoint(
        float(nats_to_bits(lower)), float(nats_to_bits(upper)),
        float(nats_to_bits(upper - lower)), whole, whole @ w, float(whole @ c),
        float(nats_to_bits(price)), iters, bool(nats_to_bits(upper - lower) <= tol_bits),
    )  # fmt: skip


def _divergences(w: np.ndarray, q: np.ndarray) -> np.ndarray:
    """D(W_x || q) in nats for every input."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = w * np.log(w / q)
    return np.where(w > 0, terms, 0.0).sum(axis=1)


def _bounds(
    w: np.ndarray, c: np.ndarray, limit: float, p: np.ndarray, price: float
) -> tuple[float, float]:
    q = p @ w
    divergences = _divergences(w, q)
    spent = price * limit if price > 0 else 0.0
    upper = float((divergences - price * c).max()) + spent
    return max(float(p @ divergences), 0.0), max(upper, 0.0)


def _interior_point(
    w: np.ndarray, c: np.ndarray, limit: float, tol_nats: float
) -> tuple[np.ndarray, float, int]:
    n = len(w)
    priced = bool(np.isfinite(limit) and limit < c.max() and limit > c.min())
    p = _interior(c, limit, n) if priced else np.full(n, 1 / n)
    z = np.full(n, 1.0)
    slack, price = (limit - c @ p, 1.0 / (limit - c @ p)) if priced else (1.0, 0.0)
    level = 0.0
    best = (np.inf, p, price)
    iters = 0
    while iters < _MAX_ITERATIONS:
        lower, upper = _bounds(w, c, limit, p, float(price))
        if upper - lower < best[0]:
            best = (upper - lower, p, price)
        if best[0] <= tol_nats:
            break
        target = _SHRINK * (p @ z + (slack * price if priced else 0.0)) / (n + priced)
        q = p @ w
        hessian = (w / q) @ w.T + np.diag(z / p)
        gradient = -_divergences(w, q) + price * c + level - z
        right = -gradient + target / p - z
        if priced:
            hessian = hessian + price / slack * np.outer(c, c)
            excess = c @ p + slack - limit
            right = right - c * ((target - slack * price) / slack + price / slack * excess)
        system = np.block([[hessian, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
        try:
            solved = np.linalg.solve(system, np.append(right, 1 - p.sum()))
        except np.linalg.LinAlgError:
            break
        dp, dlevel = solved[:n], solved[n]
        dz = target / p - z - z / p * dp
        changes = [(p, dp), (z, dz)]
        if priced:
            dslack = -(c @ p + slack - limit) - c @ dp
            dprice = (target - slack * price - price * dslack) / slack
            changes += [(np.array([slack]), np.array([dslack]))]
            changes += [(np.array([price]), np.array([dprice]))]
        step = min(1.0, *(_BOUNDARY * _reach(value, change) for value, change in changes))
        p = p + step * dp
        z = z + step * dz
        level += step * dlevel
        if priced:
            slack, price = slack + step * dslack, price + step * dprice
        iters += 1
        # Rounding is taken back, so that p is a distribution within the budget.
        p = p / p.sum()
    gap, p, price = best
    if priced and c @ p > limit:
        cheapest = (c == c.min()) / (c == c.min()).sum()
        share = (c @ p - limit) / (c @ p - c.min())
        p = (1 - share) * p + share * cheapest
    return p, float(price), iters


def _interior(c: np.ndarray, limit: float, n: int) -> np.ndarray:
    """A distribution without zeros whose cost is below the budget."""
    uniform = np.full(n, 1 / n)
    if c @ uniform < limit:
        return uniform
    cheapest = (c == c.min()) / (c == c.min()).sum()
    share = (limit - c.min()) / (c @ uniform - c.min()) / 2
    return share * uniform + (1 - share) * cheapest


def _reach(value: np.ndarray, change: np.ndarray) -> float:
    """How far one may go before a positive number is 0."""
    falling = change < 0
    return float((value[falling] / -change[falling]).min()) if falling.any() else np.inf


def _checked(channel: Any, cost: Any, budget: float | None) -> tuple[np.ndarray, np.ndarray, float]:
    w, dtype = np.asarray(channel, np.float64), np.asarray(channel).dtype
    if w.ndim != 2 or not w.size:
        raise ValueError(f"channel of shape {w.shape}: one row of output probabilities per input")
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError("channel: probabilities are finite and not negative")
    sums = w.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    rounding = 4 * float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
    if abs(sums[worst] - 1) > max(_ROUNDING, rounding):
        raise ValueError(f"channel: row {worst} sums to {sums[worst]:.9g}, not to 1")
    w = w / sums[:, None]
    if (cost is None) != (budget is None):
        raise ValueError("give cost and budget together")
    if cost is None or budget is None:
        return w, np.zeros(len(w)), np.inf
    c = np.asarray(cost, np.float64)
    if c.shape != (len(w),) or not np.isfinite(c).all():
        raise ValueError(f"cost of shape {c.shape}: {len(w)} finite numbers, one per input")
    limit = float(budget)
    if not limit >= c.min():
        raise ValueError(f"budget {limit:g}: the cheapest input costs {c.min():g}")
    return w, c, limit
