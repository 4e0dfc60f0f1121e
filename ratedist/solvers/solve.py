"""Rate-distortion points with certificates: at given prices, and at given distortions.

A short Blahut-Arimoto warm-up, then Newton (`interior_point`). Every point carries a lower and an
upper bound on the rate that hold whatever the solver did; `converged` says that they meet.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from fewbits.coding.units import bits_to_nats
from ratedist.solvers.constraints import Constraints, Terms, mean_distortion, terms
from ratedist.solvers.float64 import in_float64
from ratedist.solvers.interior_point import interior_point
from ratedist.solvers.point import RDPoint, fixed_point, letter_slope, slope_point
from ratedist.solvers.problem import concrete, problem


@in_float64
def solve_slope(
    p: ArrayLike,
    d: ArrayLike,
    s: ArrayLike,
    *,
    tol_bits: ArrayLike = 1e-6,
    mask: ArrayLike | None = None,
) -> RDPoint:
    """Minimise I(X;Y) + sum_x p_x s_x E[d | x] over encoders.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], distortions, not negative; inf forbids a pair.
      s: Float[] or Float[n], price of distortion, bits per unit; one for all letters or one each.
      tol_bits: certified gap at which to stop.
      mask: Bool[m], codewords in use (all if None); a changed mask does not retrace.

    Returns:
      The point of the curve with this slope. For one price, `distortion` and `nu` have one entry:
      the average distortion and `s`. For one price per letter they have n: the distortion of each
      letter, and p_x s_x.

    Raises:
      ValueError: bad source, distortion table, price or tolerance (values that are known only
        while traced are not checked).
    """
    source = problem(p, d, mask)
    tol_nats = _tolerance(tol_bits)
    slope = bits_to_nats(letter_slope(s, source.p.size))
    none = jnp.zeros(0)
    free = Terms(
        share=jnp.zeros((0, source.p.size)),
        slack=none,
        floor=none,
        base=slope,
        tight=none.astype(bool),
        infeasible=none.astype(bool),
    )
    end = interior_point(source, free, tol_nats)
    return slope_point(source, s, end.q, end.iterations, tol_nats)


@in_float64
def sweep(p: ArrayLike, d: ArrayLike, slopes: ArrayLike, *, tol_bits: ArrayLike = 1e-6) -> RDPoint:
    """`solve_slope` at many prices at once.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], distortions.
      slopes: Float[B] or Float[B, n], prices in bits per unit.
      tol_bits: certified gap at which each one stops.

    Returns:
      One `RDPoint` whose fields have a leading axis B.

    Raises:
      ValueError: see `solve_slope`.
    """
    known = concrete(slopes)
    if known is not None and not (known >= 0).all():
        raise ValueError(f"price of distortion {known.min()}; it must not be negative or NaN")
    solve = jax.vmap(lambda s: solve_slope(p, d, s, tol_bits=tol_bits))
    return solve(jnp.asarray(slopes, jnp.float64))


@in_float64
def solve_fixed(
    p: ArrayLike,
    d: ArrayLike,
    constraints: Constraints,
    *,
    tol_bits: ArrayLike = 1e-6,
    mask: ArrayLike | None = None,
) -> RDPoint:
    """The smallest rate at which every constraint holds: R(D), with mixed fidelity.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], distortions, not negative; inf forbids a pair.
      constraints: one `Constraint` or a sequence of G of them.
      tol_bits: certified gap at which to stop.
      mask: Bool[m], codewords in use (all if None); a changed mask does not retrace.

    Returns:
      The point, with a price per constraint. A level below what any encoder reaches is not an
      exception: `infeasible` names the constraint, the rates are inf and `converged` is false.

    Raises:
      ValueError: bad source, distortion table, constraints or tolerance (values that are known
        only while traced are not checked).
    """
    source = problem(p, d, mask)
    tol_nats = _tolerance(tol_bits)
    bound = terms(source, constraints)
    end = interior_point(source, bound, tol_nats)
    return fixed_point(source, bound, end.q, end.nu, end.iterations, tol_nats)


@in_float64
def curve(p: ArrayLike, d: ArrayLike, levels: ArrayLike, *, tol_bits: ArrayLike = 1e-6) -> RDPoint:
    """R(D) at many mean distortions, one after the other.

    Unlike a `vmap`, easy levels do not wait for hard ones.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], distortions.
      levels: Float[B], mean distortions D.
      tol_bits: certified gap at which each one stops.

    Returns:
      One `RDPoint` whose fields have a leading axis B.

    Raises:
      ValueError: see `solve_fixed`.
    """

    def solve(level: jax.Array) -> RDPoint:
        return solve_fixed(p, d, mean_distortion(p, level), tol_bits=tol_bits)

    return jax.lax.map(solve, jnp.asarray(levels, jnp.float64))


def _tolerance(tol_bits: ArrayLike) -> ArrayLike:
    known = concrete(tol_bits)
    if known is not None and not known > 0:
        raise ValueError(f"tolerance {tol_bits} bits; it must be positive")
    return bits_to_nats(tol_bits)
