"""Constraints written for one problem: shares of prices, levels above what can be reached.

With one distortion table for all constraints the price at letter x is s_x = sum_g nu_g b_gx with
b_gx = a_gx / p_x, and the encoder that takes every letter to its nearest codeword minimises every
left side at once. With a table for each constraint neither holds: the cost of a pair is
sum_g nu_g b_gx d_g(x, j), and levels that can be reached one by one may not be reached together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ratedist.problem._arrays import namespace
from ratedist.problem.constraints import Constraint, check_constraints, stacked
from ratedist.problem.problem import Kernel, Problem, Tilt, costs, kernel, shifted

_SETTLED, _SETTLED_SINGLE = 1e-6, 1e-3


class Terms(NamedTuple):
    """Constraints written for one problem, in excess distortion.

    Attributes:
      share: Float[G, n], b_gx = a_gx / p_x; zero in the rows of tight constraints.
      slack: Float[G], level minus the smallest reachable value; one for tight constraints.
      smallest: Float[G], the smallest reachable value of each left side.
      base: Float[n], inf on the letters of tight constraints, else zero.
      tight: Bool[G], the level is the smallest reachable one (or below it).
      infeasible: Bool[G], the level is below the smallest reachable one.
    """

    share: Any
    slack: Any
    smallest: Any
    base: Any
    tight: Any
    infeasible: Any


def free_terms(source: Problem, slope: Any) -> Terms:
    """No constraint: prices at each letter, nats per unit."""
    xp = namespace(source.p, slope)
    none = xp.zeros(0)
    return Terms(
        share=xp.zeros((0, source.p.size)),
        slack=none,
        smallest=none,
        base=slope,
        tight=none.astype(bool),
        infeasible=none.astype(bool),
    )


def terms(source: Problem, constraints: Constraint | Sequence[Constraint]) -> tuple[Problem, Terms]:
    """Write constraints for a problem.

    Returns:
      The problem, and the terms; `slack` is NaN where invalid values are found only while tracing.
      Of several tables, a constraint at its smallest reachable value leaves to the letters that it
      weighs only their nearest codewords: the problem that comes back allows no others.

    Raises:
      ValueError: see `check_constraints`.
    """
    check_constraints(source.p, constraints)
    weights, levels = stacked(constraints)
    xp = namespace(source.p, weights, levels)
    lost = xp.any((weights > 0) & (source.p == 0)[None, :], axis=1)
    valid = xp.all(weights >= 0, axis=1) & xp.isfinite(levels) & ~lost
    share = weights / xp.where(source.p > 0, source.p, np.inf)[None, :]
    if source.several:
        for _ in range(levels.size):
            tight = _slack(source, share, levels)[2]
            source = _nearest_only(source, tight[:, None] & (share > 0))
    smallest, slack, tight, rounding = _slack(source, share, levels)
    base = xp.zeros(source.p.size)
    if not source.several:
        base = xp.where(xp.any(tight[:, None] & (share > 0), axis=0), np.inf, base)
    return source, Terms(
        share=xp.where(tight[:, None], 0.0, share),
        slack=xp.where(valid, xp.where(tight, 1.0, slack), np.nan),
        smallest=smallest,
        base=base,
        tight=tight & valid,
        infeasible=valid & (slack < -rounding),
    )


def _slack(source: Problem, share: Any, levels: Any) -> tuple[Any, Any, Any, Any]:
    """Smallest values, levels above them, whether there is nothing above, and rounding errors."""
    xp = namespace(source.p, share, levels)
    paid = share * source.p[None, :] * xp.atleast_2d(source.nearest)
    smallest = paid.sum(axis=1)
    slack = levels - smallest
    # The rounding errors of both, whatever the signs of the distortions.
    rounding = xp.abs(levels) + xp.abs(paid).sum(axis=1)
    rounding = 8 * source.p.size * np.finfo(source.p.dtype).eps * rounding
    return smallest, slack, slack <= rounding, rounding


def _nearest_only(source: Problem, locked: Any) -> Problem:
    """The problem where letters (Bool[G, n]) may use only what is nearest in a table."""
    xp = namespace(source.excess, locked)
    rounding = 8 * np.finfo(source.p.dtype).eps * xp.abs(source.nearest)
    far = locked[:, :, None] & (source.excess > rounding[:, :, None])
    allowed = source.allowed & ~xp.any(far, axis=0)
    return shifted(source.p, source.excess + source.nearest[..., None], allowed)


def priced_kernel(source: Problem, terms: Terms, nu: Any) -> Kernel:
    """The kernel at prices nu, nats per unit."""
    if source.several:
        cost = ((nu[:, None] * terms.share)[:, :, None] * source.excess).sum(axis=0)
    else:
        cost = costs(source, terms.base + nu @ terms.share)
    return kernel(source, cost)


def left_sides(source: Problem, terms: Terms, here: Tilt) -> Any:
    """Float[G], the expected excess of each constraint."""
    if source.several:
        return (terms.share * source.p[None, :] * here.excess).sum(axis=1)
    return terms.share @ (source.p * here.excess)


def price_derivatives(source: Problem, terms: Terms, here: Tilt, q: Any) -> tuple[Any, Any]:
    """-dc_j/dnu_g, Float[m, G], and -dE_g/dnu_h, Float[G, G], of ratios and left sides."""
    xp = namespace(here.posterior)
    used = here.posterior > 0
    weights = terms.share * source.p[None, :]
    deviation = source.excess - here.excess[..., None]
    if source.several:
        deviation = xp.where(used[None], deviation, 0.0)
        moved = here.posterior[None] * deviation
        cross = (weights[:, :, None] * moved).sum(axis=1).T
        joint = xp.sqrt(source.p[:, None] * here.posterior * q[None, :])
        spread = (terms.share[:, :, None] * deviation * joint[None]).reshape(len(weights), -1)
        return cross, spread @ spread.T
    deviation = xp.where(used, deviation, 0.0)
    moved = here.posterior * deviation
    variance = source.p * ((moved * deviation) @ q)
    return (weights @ moved).T, (terms.share * variance[None, :]) @ terms.share.T


def largest_costs(source: Problem, terms: Terms) -> Any:
    """Float[G], the cost at a price of one of the worst pair that a constraint concerns."""
    worst = source.excess.max(axis=-1)
    return (terms.share * namespace(worst).atleast_2d(worst)).max(axis=1)


def slack_side(source: Problem, terms: Terms, nu: Any) -> Any:
    """Bool[G], whether a price is too small to matter: it changes no kernel entry.

    The price is compared with the distortions, not with the level: close to the smallest reachable
    level a price that decides everything multiplies a level of almost nothing.
    """
    return nu * largest_costs(source, terms) <= _settled(source)


def settled(source: Problem, terms: Terms, nu: Any, w: Any, gap: Any) -> Any:
    """Bool[G], whether each price is known: the constraint is slack, or its price is accurate.

    Args:
      source: the source.
      terms: its constraints.
      nu: Float[G], prices, nats per unit.
      w: Float[G], what each constraint leaves unused.
      gap: Float[], duality gap in nats; it has to be small beside what a level is worth.
    """
    enough = _settled(source)
    active = (w <= enough * terms.slack) & (gap <= enough * nu * terms.slack)
    return terms.tight | active | slack_side(source, terms, nu)


def _settled(source: Problem) -> float:
    return _SETTLED if source.p.dtype == np.float64 else _SETTLED_SINGLE
