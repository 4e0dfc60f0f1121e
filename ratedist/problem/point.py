"""What a solve returns: a rate between two certified bounds, and the encoder that reaches it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from fewbits.coding.units import bits_to_nats, nats_to_bits
from ratedist.problem._arrays import namespace
from ratedist.problem.checks import as_array, check_price, check_problem
from ratedist.problem.constraints import Constraints, check_constraints, constraint_rows, own_tables
from ratedist.problem.float64 import program
from ratedist.problem.problem import (
    Problem,
    bounds_nats,
    costs,
    exceeds_any_rate,
    kernel,
    problem,
    tilt,
)
from ratedist.problem.terms import Terms, left_sides, priced_kernel, slack_side, terms


class RDPoint(NamedTuple):
    """One point of a rate-distortion function, with its certificate.

    `rate_lb <= R <= rate_ub` where R is the rate at the distortion levels asked for (`solve_fixed`)
    or at the distortions reached (`solve_slope`). `encoder` turns the point into the conditional
    distribution that has rate `rate_ub` and distortions `distortion`. G is the number of
    constraints, n of letters, m of codewords; sweeps and curves add a leading axis.

    Attributes:
      rate_lb: certified lower bound, bits per symbol.
      rate_ub: mutual information of the encoder, bits per symbol.
      gap_bits: rate_ub - rate_lb.
      distortion: the left side of each constraint under the encoder.
      nu: price of each constraint, -dR/dD, bits per unit of distortion. It is 0 where the
        constraint is slack, inf where the level is the smallest that can be reached, and NaN (with
        `converged` false) where the solver could not determine it, such as at a corner of R(D); the
        bounds on the rate hold all the same. Of constraints that say the same only the sum of the
        prices is determined: each gets one of several valid prices.
      slope: total price of distortion at each letter, bits per unit; NaN where constraints have
        distortion tables of their own.
      q: output marginal.
      iterations: Newton or Blahut-Arimoto iterations.
      converged: the gap is within tolerance, every constraint holds, every price is determined.
      infeasible: no encoder reaches this level; the rates are then inf.
      vacuous: the constraint is slack at the optimum: without it the rate is the same.
      dual: the dual variables that prove `rate_lb`: what `certificate` takes. They are the prices
        where those are determined, and never NaN.

    >>> import ratedist
    >>> point = ratedist.solve_fixed([0.5, 0.5], [[0, 1], [1, 0]], 0.1)
    >>> bool(point.rate_lb <= 0.531005 <= point.rate_ub + 1e-6), round(float(point.nu[0]), 4)
    (True, 3.1699)
    """

    rate_lb: Float[Array, ""]
    rate_ub: Float[Array, ""]
    gap_bits: Float[Array, ""]
    distortion: Float[Array, " G"]
    nu: Float[Array, " G"]
    slope: Float[Array, " n"]
    q: Float[Array, " m"]
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]
    infeasible: Bool[Array, " G"]
    vacuous: Bool[Array, " G"]
    dual: Float[Array, " G"]


class Solution(NamedTuple):
    """Where a solver ended.

    Attributes:
      q: Float[m], output marginal (unnormalised).
      nu: Float[G], prices, nats per unit.
      determined: Bool[G], the price is accurate, not only good enough for the rate.
      iterations: Int[].
    """

    q: Any
    nu: Any
    determined: Any
    iterations: Any


@program
def encoder(
    p: Float[ArrayLike, " n"],
    d: Float[ArrayLike, "n m"],
    point: RDPoint,
    constraints: Constraints | None = None,
) -> Float[Array, "n m"]:
    """The conditional distribution Q(j|x) that reaches `point.rate_ub` at `point.distortion`.

    Q(j|x) = q_j 2^(-s_x d(x, j)) / sum_k q_k 2^(-s_x d(x, k)) (Berger 1971, chapter 2).

    Args:
      p: source probabilities.
      d: distortions.
      point: from `solve_slope` or `solve_fixed` on the same source; masked codewords have mass 0.
      constraints: those of the point; needed only if they have distortion tables of their own.

    Returns:
      Q, rows summing to one.

    Raises:
      ValueError: as `solve_fixed`.

    >>> import numpy as np, ratedist
    >>> p, d = [0.5, 0.5], [[0, 1], [1, 0]]
    >>> point = ratedist.solve_fixed(p, d, 0.1)
    >>> np.round(ratedist.encoder(p, d, point), 3).tolist()
    [[0.9, 0.1], [0.1, 0.9]]
    """
    p, d = as_array(p), as_array(d)
    check_problem(p, d)
    xp = namespace(p, d, *point)
    q, slope = xp.asarray(point.q), xp.asarray(point.slope)
    rows = () if constraints is None else constraint_rows(p, constraints)
    if any(row.d is not None for row in rows):
        check_constraints(p, rows, d)
        source, bound = terms(problem(p, d, q > 0, own_tables(d, rows)), rows)
        dual = xp.asarray(point.dual)
        priced = priced_kernel(source, bound, bits_to_nats(xp.where(bound.tight, 0.0, dual)))
    else:
        if xp is np and np.isnan(slope).all():
            raise ValueError("constraints with tables of their own: encoder(..., constraints)")
        source = problem(p, d, q > 0)
        priced = kernel(source, costs(source, bits_to_nats(slope)))
    weights = tilt(source, priced, q).posterior * q[None, :]
    return weights / xp.sum(weights, axis=1, keepdims=True)


def letter_slope(s: ArrayLike, size: int) -> Any:
    """A price, or one price per letter, as Float[n] in the unit it came in.

    Raises:
      ValueError: a price that is negative or NaN, or the wrong number of them.
    """
    s = as_array(s)
    if np.shape(s) not in ((), (size,)):
        raise ValueError(f"prices of shape {np.shape(s)}; give one, or one per letter: ({size},)")
    check_price(s)
    xp = namespace(s)
    slope = xp.broadcast_to(xp.asarray(s, float), (size,))
    return xp.where(slope >= 0, slope, np.nan)


def slope_point(
    source: Problem, s: ArrayLike, q: Any, iterations: Any, tol_nats: ArrayLike
) -> RDPoint:
    """The certified point at given prices and a given output marginal.

    Args:
      source: from `problem.problem`.
      s: Float[] or Float[n], price of distortion, bits per unit.
      q: Float[m], output marginal of any positive scale.
      iterations: Int[], carried into the result.
      tol_nats: largest gap that counts as converged.
    """
    xp = namespace(q)
    prices = letter_slope(s, source.p.size)
    slope = bits_to_nats(prices)
    here = tilt(source, kernel(source, costs(source, slope)), q)
    reached = source.nearest + here.excess
    average = np.ndim(s) == 0
    nu = prices[:1] if average else source.p * prices
    nothing = xp.zeros(1 if average else source.p.size, bool)
    return _point(
        source,
        slope,
        q,
        bounds_nats(source, q, here, source.p @ here.paid),
        distortion=(source.p @ reached)[None] if average else reached,
        nu=nu,
        dual=nu,
        iterations=iterations,
        tol_nats=tol_nats,
        holds=xp.asarray(True),
        infeasible=nothing,
        vacuous=nothing,
        sound=~xp.isnan(slope).any(),
    )


def fixed_point(source: Problem, terms: Terms, end: Solution, tol_nats: ArrayLike) -> RDPoint:
    """The certified point of a problem with given levels, at a marginal and prices.

    Args:
      source: from `problem.problem`.
      terms: the constraints.
      end: marginal and prices.
      tol_nats: largest gap that counts as converged.
    """
    xp = namespace(end.q)
    q, nu = end.q, xp.where(terms.tight, 0.0, end.nu)
    here = tilt(source, priced_kernel(source, terms, nu), q)
    excess = left_sides(source, terms, here)
    dual = xp.where(terms.tight, np.inf, nats_to_bits(nu))
    determined = end.determined | terms.tight
    slack = ~terms.tight & slack_side(source, terms, nu)
    bounds = bounds_nats(source, q, here, nu @ terms.slack)
    beyond = exceeds_any_rate(source, bounds[0])
    slope = terms.base + nu @ terms.share
    sound = ~xp.isnan(slope).any()
    if source.several:
        slope = xp.full(slope.shape, np.nan)
    return _point(
        source,
        slope,
        q,
        bounds,
        distortion=terms.smallest + excess,
        nu=xp.where(determined & slack, 0.0, xp.where(determined, dual, np.nan)),
        dual=dual,
        iterations=end.iterations,
        tol_nats=tol_nats,
        holds=xp.all(excess <= terms.slack) & xp.all(determined),
        infeasible=terms.infeasible | (beyond & ~slack),
        vacuous=determined & slack,
        sound=sound,
    )


def _point(
    source: Problem,
    slope: Any,
    q: Any,
    bounds: tuple[Any, Any],
    *,
    distortion: Any,
    nu: Any,
    dual: Any,
    iterations: Any,
    tol_nats: ArrayLike,
    holds: Any,
    infeasible: Any,
    vacuous: Any,
    sound: Any,
) -> RDPoint:
    xp = namespace(q)
    lower, upper = bounds
    impossible = xp.any(infeasible)
    used = xp.where(source.allowed.any(axis=0), q, 0.0)
    # Invalid values that were found while tracing have become NaN.
    sound = sound & xp.isfinite(source.p.sum()) & ~xp.isnan(lower)
    lower = xp.where(impossible, np.inf, xp.maximum(lower, 0.0))
    lower = xp.where(sound, lower, np.nan)
    # Both bounds carry rounding errors; the interval must not turn inside out.
    upper = xp.where(impossible, np.inf, xp.maximum(upper, lower))
    gap = xp.where(impossible, np.inf, upper - lower)
    return RDPoint(
        rate_lb=nats_to_bits(lower),
        rate_ub=nats_to_bits(upper),
        gap_bits=nats_to_bits(gap),
        distortion=xp.where(sound, distortion, np.nan),
        nu=xp.where(sound, nu, np.nan),
        slope=nats_to_bits(slope),
        q=used / used.sum(),
        iterations=iterations,
        converged=(gap <= tol_nats) & holds & sound,
        infeasible=infeasible & sound,
        vacuous=vacuous & sound,
        dual=xp.where(sound, dual, np.nan),
    )
