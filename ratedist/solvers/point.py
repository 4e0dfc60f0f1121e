"""What a solve returns: a rate between two certified bounds, and the encoder that reaches it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from fewbits.coding.units import bits_to_nats, nats_to_bits
from ratedist.solvers.checks import as_array, check_price, check_problem
from ratedist.solvers.constraints import Terms, slack_side
from ratedist.solvers.float64 import program
from ratedist.solvers.problem import Problem, bounds_nats, problem, tilt


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
        bounds on the rate hold all the same.
      slope: total price of distortion at each letter, bits per unit.
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

    q: jax.Array
    nu: jax.Array
    determined: jax.Array
    iterations: jax.Array


@program
def encoder(
    p: Float[ArrayLike, " n"], d: Float[ArrayLike, "n m"], point: RDPoint
) -> Float[Array, "n m"]:
    """The conditional distribution Q(j|x) that reaches `point.rate_ub` at `point.distortion`.

    Q(j|x) = q_j 2^(-s_x d(x, j)) / sum_k q_k 2^(-s_x d(x, k)) (Berger 1971, chapter 2).

    Args:
      p: source probabilities.
      d: distortions.
      point: from `solve_slope` or `solve_fixed` on the same source; masked codewords have mass 0.

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
    return _encoder(p, d, point.slope, point.q)


@jax.jit
def _encoder(p: jax.Array, d: jax.Array, slope: jax.Array, q: jax.Array) -> jax.Array:
    source = problem(p, d, q > 0)
    weights = tilt(source, bits_to_nats(slope), q).posterior * q[None, :]
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def letter_slope(s: ArrayLike, size: int) -> jax.Array:
    """A price, or one price per letter, as Float[n] in the unit it came in.

    Raises:
      ValueError: a price that is negative or NaN, or the wrong number of them.
    """
    s = as_array(s)
    if jnp.shape(s) not in ((), (size,)):
        raise ValueError(f"prices of shape {jnp.shape(s)}; give one, or one per letter: ({size},)")
    check_price(s)
    slope = jnp.broadcast_to(jnp.asarray(s, jnp.float64), (size,))
    return jnp.where(slope >= 0, slope, jnp.nan)


def slope_point(
    source: Problem, s: ArrayLike, q: jax.Array, iterations: jax.Array, tol_nats: ArrayLike
) -> RDPoint:
    """The certified point at given prices and a given output marginal.

    Args:
      source: from `problem.problem`.
      s: Float[] or Float[n], price of distortion, bits per unit.
      q: Float[m], output marginal of any positive scale.
      iterations: Int[], carried into the result.
      tol_nats: largest gap that counts as converged.
    """
    prices = letter_slope(s, source.p.size)
    slope = bits_to_nats(prices)
    here = tilt(source, slope, q)
    offered = source.p @ jnp.where(jnp.isinf(slope), 0.0, slope * here.excess)
    reached = source.nearest + here.excess
    average = jnp.ndim(s) == 0
    nu = prices[:1] if average else source.p * prices
    nothing = jnp.zeros(1 if average else source.p.size, bool)
    return _point(
        source,
        slope,
        q,
        offered,
        distortion=(source.p @ reached)[None] if average else reached,
        nu=nu,
        dual=nu,
        iterations=iterations,
        tol_nats=tol_nats,
        holds=jnp.asarray(True),
        infeasible=nothing,
        vacuous=nothing,
    )


def fixed_point(
    source: Problem,
    terms: Terms,
    end: Solution,
    tol_nats: ArrayLike,
) -> RDPoint:
    """The certified point of a problem with given levels, at a marginal and prices.

    Args:
      source: from `problem.problem`.
      terms: the constraints.
      end: marginal and prices.
      tol_nats: largest gap that counts as converged.
    """
    q, nu = end.q, jnp.where(terms.tight, 0.0, end.nu)
    slope = terms.base + nu @ terms.share
    here = tilt(source, slope, q)
    excess = terms.share @ (source.p * here.excess)
    dual = jnp.where(terms.tight, jnp.inf, nats_to_bits(nu))
    determined = end.determined | terms.tight
    vacuous = determined & ~terms.tight & slack_side(source, terms, nu)
    return _point(
        source,
        slope,
        q,
        nu @ terms.slack,
        distortion=terms.smallest + excess,
        nu=jnp.where(vacuous, 0.0, jnp.where(determined, dual, jnp.nan)),
        dual=dual,
        iterations=end.iterations,
        tol_nats=tol_nats,
        holds=jnp.all(excess <= terms.slack) & jnp.all(determined),
        infeasible=terms.infeasible,
        vacuous=vacuous,
    )


def _point(
    source: Problem,
    slope: jax.Array,
    q: jax.Array,
    offered: jax.Array,
    *,
    distortion: jax.Array,
    nu: jax.Array,
    dual: jax.Array,
    iterations: jax.Array,
    tol_nats: ArrayLike,
    holds: jax.Array,
    infeasible: jax.Array,
    vacuous: jax.Array,
) -> RDPoint:
    lower, upper = bounds_nats(source, slope, q, tilt(source, slope, q), offered)
    impossible = jnp.any(infeasible)
    used = jnp.where(source.allowed.any(axis=0), q, 0.0)
    lower = jnp.where(impossible, jnp.inf, jnp.maximum(lower, 0.0))
    # Invalid values that were found while tracing have become NaN.
    sound = jnp.isfinite(source.p.sum()) & ~jnp.any(jnp.isnan(slope)) & ~jnp.isnan(offered)
    lower = jnp.where(sound, lower, jnp.nan)
    # Both bounds carry rounding errors; the interval must not turn inside out.
    upper = jnp.where(impossible, jnp.inf, jnp.maximum(upper, lower))
    gap = jnp.where(impossible, jnp.inf, upper - lower)
    return RDPoint(
        rate_lb=nats_to_bits(lower),
        rate_ub=nats_to_bits(upper),
        gap_bits=nats_to_bits(gap),
        distortion=jnp.where(sound, distortion, jnp.nan),
        nu=jnp.where(sound, nu, jnp.nan),
        slope=nats_to_bits(slope),
        q=used / used.sum(),
        iterations=iterations,
        converged=(gap <= tol_nats) & holds & sound,
        infeasible=infeasible & sound,
        vacuous=vacuous & sound,
        dual=jnp.where(sound, dual, jnp.nan),
    )
