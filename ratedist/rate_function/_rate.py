"""R(D) in one call, and its derivatives.

By the envelope theorem the derivatives of R are those of the Lagrangian

    L = -sum_x p_x log u_x - nu D,     u_x = sum_j q_j exp(-nu d(x, j))

with the optimal q and nu held still (Berger 1971, chapter 2); second derivatives differentiate
those too, by the implicit function theorem (`implicit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from fewbits.coding.units import bits_to_nats, nats_to_bits
from ratedist.problem.checks import as_array, as_mass, check_level, check_problem, sum_tolerance
from ratedist.problem.constraints import Constraint, Constraints, check_constraints, constraint_rows
from ratedist.problem.float64 import is_single, program
from ratedist.problem.point import RDPoint
from ratedist.rate_function import implicit
from ratedist.solvers.solve import solve_fixed

_TOL_BITS = 1e-9
_LARGEST_GAP_BITS, _LARGEST_GAP_SINGLE = 1e-6, 3e-5


@program
def rate(p: Float[ArrayLike, " n"], d: Float[ArrayLike, "n m"], D: Constraints) -> Float[Array, ""]:
    """R(D) = min I(X;Y) subject to E d(X, Y) <= D, in bits per symbol (Shannon 1959).

    Differentiable, also twice, in p (tangent to the simplex), d and D, wherever R is: the set of
    codewords that the optimal output uses does not change, none are duplicates, and D is above the
    smallest distortion that can be reached. Elsewhere derivatives are NaN, one-sided, or (of two
    equal constraints) one of several subgradients.

    Args:
      p: source probabilities; arrays or lists.
      d: distortions: any finite numbers; inf forbids a pair.
      D: largest mean distortion; or one `Constraint`, or a sequence of them, whose levels, weights
        and tables are arguments to differentiate too.

    Returns:
      The middle of certified bounds that are at most 1e-6 (mostly 1e-9) bits apart. Where values
      are traced by JAX: NaN for invalid ones, inf where D cannot be reached, and single precision
      if theirs is (use `compiled`, or the flag `jax_enable_x64`, for derivatives in double).

    Raises:
      ValueError: bad probabilities, distortions or D, or a D that no encoder reaches.

    >>> import jax, ratedist
    >>> p, d = [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]]
    >>> round(float(ratedist.rate(p, d, 0.1)), 6)
    0.531004
    >>> slope = ratedist.compiled(jax.grad(ratedist.rate, argnums=2))
    >>> round(float(slope(p, d, 0.1)), 4)
    -3.1699
    """
    p, d = as_array(p), as_array(d)
    # A mean distortion is weighted by p, of which derivatives must know.
    rows = isinstance(D, Constraint | Sequence)
    limits: Any = constraint_rows(p, D) if rows else as_array(D)
    given = (p, d, limits)
    if not _known(given):
        traced = [value for value in jax.tree.leaves(given) if isinstance(value, Tracer)]
        narrow = all(jnp.finfo(value.dtype).bits < 64 for value in map(_floating, traced))
        return _single(*jax.tree.map(_floating, given)) if narrow else _traced_rate(*given)
    if not rows:
        check_level(limits)
    return _value(_reached(*given, _TOL_BITS))


@program
def rate_point(
    p: Float[ArrayLike, " n"],
    d: Float[ArrayLike, "n m"],
    D: Constraints,
    *,
    tol_bits: Float[ArrayLike, ""] = 1e-6,
) -> RDPoint:
    """R(D) with its certificate, prices and optimal output; the level has to be within reach.

    Args:
      p: source probabilities; arrays or lists.
      d: distortions: any finite numbers; inf forbids a pair.
      D: largest mean distortion; or one `Constraint`, or a sequence of them.
      tol_bits: certified gap at which to stop.

    Returns:
      The point: bounds, prices, output marginal.

    Raises:
      ValueError: as `solve_fixed`, and for a level that no encoder reaches. Values that are being
        traced cannot raise: invalid ones give NaN and `converged=False`.

    >>> import ratedist
    >>> point = ratedist.rate_point([0.5, 0.5], [[0, 1], [1, 0]], 0.1)
    >>> bool(point.converged), round(float(point.rate_lb), 5), round(float(point.nu[0]), 4)
    (True, 0.531, 3.1699)
    """
    p, d = as_array(p), as_array(d)
    if not _known(p, d, D):
        return solve_fixed(p, d, D, tol_bits=tol_bits)
    return _reached(p, d, D, tol_bits)


def _known(*values: Any) -> bool:
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def _reached(p: Any, d: Any, constraints: Any, tol_bits: Any) -> RDPoint:
    point = solve_fixed(p, d, constraints, tol_bits=tol_bits)
    known = np.asarray(point.infeasible)
    rows = constraint_rows(p, constraints)
    for g, infeasible in enumerate(known):
        if infeasible:
            if any(row.d is not None for row in rows) and known.sum() > 1:
                both = ", ".join(map(str, np.flatnonzero(known)))
                raise ValueError(f"constraints {both}: no encoder reaches these levels together")
            which = "" if point.infeasible.size == 1 else f"constraint {g}: "
            raise ValueError(
                f"{which}no encoder reaches this distortion; the smallest is "
                f"{float(point.distortion[g]):.9g}"
            )
    return point


def _value(point: RDPoint) -> Any:
    xp = jnp if isinstance(point.rate_lb, Tracer) else np
    middle = 0.5 * (point.rate_lb + point.rate_ub)
    largest = _LARGEST_GAP_SINGLE if is_single() else _LARGEST_GAP_BITS
    known = (point.gap_bits <= largest) | xp.isinf(point.rate_lb)
    return xp.where(known, middle, xp.nan)


def _floating(value: Any) -> Any:
    value = as_array(value)
    return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(jnp.float32)


@jax.custom_jvp
def _single(p: Any, d: Any, limits: Any) -> jax.Array:
    """`_traced_rate` in single precision: so that it can be differentiated with 64 bits off."""
    return _traced_rate(p, d, limits).astype(jnp.float32)


@_single.defjvp
def _single_tangent(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # Whole gradients, because what is left to transpose must be in single precision.
    gradients = jax.grad(_traced_rate, argnums=(0, 1, 2))(*primals)
    terms = [
        jnp.sum(gradient.astype(jnp.float32) * change.astype(jnp.float32))
        for gradient, change in zip(
            jax.tree.leaves(gradients), jax.tree.leaves(tangents), strict=True
        )
    ]
    return _single(*primals), sum(terms[1:], terms[0])


def _traced_rate(p: Any, d: Any, limits: Any) -> jax.Array:
    """The same inside a program: differentiable, and NaN for what cannot be."""
    check_problem(p, d)
    off = jnp.abs(jnp.sum(jnp.asarray(p, float)) - 1.0) > sum_tolerance(p)
    mass = jnp.where(off, jnp.nan, jnp.asarray(as_mass(p)))
    if isinstance(limits, tuple):
        check_constraints(p, limits, d)
        wide = jax.tree.map(lambda value: jnp.asarray(value, float), limits)
        return _rate_within(mass, jnp.asarray(d, float), wide)
    check_level(limits)
    return _rate(mass, jnp.asarray(d, float), jnp.asarray(limits, float))


@jax.custom_jvp
def _rate(p: jax.Array, d: jax.Array, level: jax.Array) -> jax.Array:
    return _value(solve_fixed(p, d, Constraint(p, level), tol_bits=_TOL_BITS))


@_rate.defjvp
def _rate_tangent(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, d, level = primals
    q, nu = implicit.optimum(p, d, Constraint(p, level))
    price = bits_to_nats(nu[0])

    def lagrangian(p: jax.Array, d: jax.Array, level: jax.Array) -> jax.Array:
        # Also for letters of probability zero, to which a mean distortion gives the same price.
        return nats_to_bits(_free_energy(p, d, price * d, q) - price * level)

    _, tangent = jax.jvp(lagrangian, primals, tangents)
    return _rate(p, d, level), tangent


@jax.custom_jvp
def _rate_within(p: jax.Array, d: jax.Array, rows: tuple[Constraint, ...]) -> jax.Array:
    return _value(solve_fixed(p, d, rows, tol_bits=_TOL_BITS))


@_rate_within.defjvp
def _rate_within_tangent(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    p, d, rows = primals
    q, nu = implicit.optimum(p, d, rows)
    prices = bits_to_nats(nu)

    def lagrangian(p: jax.Array, d: jax.Array, rows: tuple[Constraint, ...]) -> jax.Array:
        mass = jnp.where(p > 0, p, jnp.inf)
        cost, offered = jnp.zeros_like(d), jnp.zeros(())
        for price, row in zip(prices, rows, strict=True):
            table = d if row.d is None else row.d
            cost = cost + (price * row.weights / mass)[:, None] * table
            offered = offered + price * row.level
        return nats_to_bits(_free_energy(p, d, cost, q) - offered)

    _, tangent = jax.jvp(lagrangian, primals, tangents)
    return _rate_within(p, d, rows), tangent


def _free_energy(p: jax.Array, d: jax.Array, cost: jax.Array, q: jax.Array) -> jax.Array:
    """-sum_x p_x log sum_j q_j exp(-cost_xj), in nats."""
    allowed = jnp.isfinite(d) & jnp.isfinite(cost)
    cost = jnp.where(allowed, cost, 0.0)
    least = jnp.min(jnp.where(allowed & (q > 0)[None, :], cost, jnp.inf), axis=1)
    least = jax.lax.stop_gradient(jnp.where(jnp.isfinite(least), least, 0.0))
    u = jnp.where(allowed, jnp.exp(least[:, None] - cost), 0.0) @ q
    return p @ (least - jnp.log(jnp.where(u > 0, u, 1.0)))
