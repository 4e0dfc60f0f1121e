"""What a solve returns: a rate between two certified bounds, and the encoder that reaches it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from fewbits.coding.units import bits_to_nats, nats_to_bits
from ratedist.solvers.constraints import Terms
from ratedist.solvers.float64 import in_float64
from ratedist.solvers.problem import Problem, bounds_nats, concrete, problem, tilt


class RDPoint(NamedTuple):
    """One point of a rate-distortion function, with its certificate.

    `rate_lb <= R <= rate_ub` where R is the rate at the distortion levels asked for (`solve_fixed`)
    or at the distortions reached (`solve_slope`). `encoder` turns the point into the conditional
    distribution that has rate `rate_ub` and distortions `distortion`.

    Fields (G constraints, n letters, m codewords; a vmapped solve adds leading axes):
      rate_lb: Float[], certified lower bound, bits per symbol.
      rate_ub: Float[], mutual information of the encoder, bits per symbol.
      gap_bits: Float[], rate_ub - rate_lb.
      distortion: Float[G], the left side of each constraint under the encoder.
      nu: Float[G], price of each constraint, bits per unit of distortion; inf where the level is
        the smallest that can be reached at all.
      slope: Float[n], total price of distortion at each letter, bits per unit.
      q: Float[m], output marginal.
      iterations: Int[], Newton or Blahut-Arimoto iterations.
      converged: Bool[], the gap is within tolerance and every constraint holds.
      infeasible: Bool[G], no encoder reaches this level; the rates are then inf.
      vacuous: Bool[G], the constraint is slack at the optimum: without it the rate is the same.
    """

    rate_lb: jax.Array
    rate_ub: jax.Array
    gap_bits: jax.Array
    distortion: jax.Array
    nu: jax.Array
    slope: jax.Array
    q: jax.Array
    iterations: jax.Array
    converged: jax.Array
    infeasible: jax.Array
    vacuous: jax.Array


@in_float64
def encoder(p: ArrayLike, d: ArrayLike, point: RDPoint) -> jax.Array:
    """The conditional distribution Q(j|x) that reaches `point.rate_ub` at `point.distortion`.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], distortions.
      point: from `solve_slope` or `solve_fixed` on the same source; masked codewords have mass 0.

    Returns:
      Q: Float[n, m], rows summing to one.

    Raises:
      ValueError: see `problem.problem`.
    """
    source = problem(p, d, point.q > 0)
    weights = tilt(source, bits_to_nats(point.slope), point.q).posterior * point.q[None, :]
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def letter_slope(s: ArrayLike, size: int) -> jax.Array:
    """A price, or one price per letter, as Float[n] in the unit it came in.

    Raises:
      ValueError: a price that is negative or NaN, or the wrong number of them.
    """
    if jnp.shape(s) not in ((), (size,)):
        raise ValueError(f"prices of shape {jnp.shape(s)}; give one, or one per letter: ({size},)")
    known = concrete(s)
    if known is not None and not (known >= 0).all():
        raise ValueError(f"price of distortion {known.min()}; it must not be negative or NaN")
    return jnp.broadcast_to(jnp.asarray(s, jnp.float64), (size,))


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
    nothing = jnp.zeros(1 if average else source.p.size, bool)
    return _point(
        source,
        slope,
        q,
        offered,
        distortion=(source.p @ reached)[None] if average else reached,
        nu=prices[:1] if average else source.p * prices,
        iterations=iterations,
        tol_nats=tol_nats,
        holds=jnp.asarray(True),
        infeasible=nothing,
        vacuous=nothing,
    )


def fixed_point(
    source: Problem,
    terms: Terms,
    q: jax.Array,
    nu: jax.Array,
    iterations: jax.Array,
    tol_nats: ArrayLike,
) -> RDPoint:
    """The certified point of a problem with given levels, at a marginal and prices.

    Args:
      source: from `problem.problem`.
      terms: the constraints.
      q: Float[m], output marginal of any positive scale.
      nu: Float[G], prices in nats per unit.
      iterations: Int[], carried into the result.
      tol_nats: largest gap that counts as converged.
    """
    nu = jnp.where(terms.tight, 0.0, nu)
    slope = terms.base + nu @ terms.share
    here = tilt(source, slope, q)
    excess = terms.share @ (source.p * here.excess)
    # Complementary slackness makes one of these vanish; the larger, as pure numbers, says on which
    # side the constraint is.
    spent, slack = nu * terms.slack, 1.0 - excess / terms.slack
    return _point(
        source,
        slope,
        q,
        spent.sum(),
        distortion=terms.floor + excess,
        nu=jnp.where(terms.tight, jnp.inf, nats_to_bits(nu)),
        iterations=iterations,
        tol_nats=tol_nats,
        holds=jnp.all(excess <= terms.slack),
        infeasible=terms.infeasible,
        vacuous=~terms.tight & (spent < slack),
    )


def _point(
    source: Problem,
    slope: jax.Array,
    q: jax.Array,
    offered: jax.Array,
    *,
    distortion: jax.Array,
    nu: jax.Array,
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
    # Both bounds carry rounding errors; the interval must not turn inside out.
    upper = jnp.where(impossible, jnp.inf, jnp.maximum(upper, lower))
    gap = jnp.where(impossible, jnp.inf, upper - lower)
    return RDPoint(
        rate_lb=nats_to_bits(lower),
        rate_ub=nats_to_bits(upper),
        gap_bits=nats_to_bits(gap),
        distortion=distortion,
        nu=nu,
        slope=nats_to_bits(slope),
        q=used / used.sum(),
        iterations=iterations,
        converged=(gap <= tol_nats) & holds,
        infeasible=infeasible,
        vacuous=vacuous,
    )
