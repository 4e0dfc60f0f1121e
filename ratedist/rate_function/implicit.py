"""Derivatives of the rate-distortion optimum, by the implicit function theorem.

At the optimum the codewords in use and the constraints that bind satisfy

    c_j(q, nu) = 1  (j in use),     E_g(q, nu) = D_g  (g binding),      c_j = sum_x p_x K_xj / u_x,

all other q_j and nu_g are zero. Write these as F(v, theta) = 0 with unknowns v = (q, nu) and data
theta = (p, d, tables, weights, levels, prices). Then a change of the data moves the solution by

    dv = -(dF/dv)^-1 (dF/dtheta) dtheta,

one linear solve of size m + G, forwards or (transposed) backwards, and differentiable again.

The derivative exists where the set of codewords in use does not change with theta; a codebook so
dense that several marginals are optimal has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from fewbits.coding.units import bits_to_nats, nats_to_bits
from ratedist.problem.constraints import (
    Constraint,
    Constraints,
    constraint_rows,
    own_tables,
    stacked,
)
from ratedist.problem.float64 import in_float64
from ratedist.problem.point import letter_slope
from ratedist.solvers.solve import solve_fixed, solve_slope

_TOL_BITS = 1e-9
_POLISHING_STEPS = 6


class Optimum(NamedTuple):
    """The solution, differentiable with respect to everything it was made from.

    Attributes:
      q: Float[m], output marginal.
      nu: Float[G], prices, bits per unit of distortion; 0 where the constraint is slack, NaN where
        it is not determined.
    """

    q: jax.Array
    nu: jax.Array


class _Data(NamedTuple):
    """theta. Prices in nats per unit; `mask` is carried as Float so that it has a cotangent."""

    p: jax.Array
    d: jax.Array
    tables: jax.Array | None
    weights: jax.Array
    levels: jax.Array
    base: jax.Array
    mask: jax.Array


@in_float64
def optimal_marginal(
    p: ArrayLike, d: ArrayLike, s: ArrayLike, mask: ArrayLike | None = None
) -> jax.Array:
    """The output marginal that minimises I(X;Y) + s E d, differentiable in p, d and s.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], finite distortions.
      s: Float[] or Float[n], price of distortion, bits per unit.
      mask: Bool[m], codewords in use.

    Returns:
      q: Float[m].

    Raises:
      ValueError: see `solve.solve_slope`.
    """
    base = bits_to_nats(letter_slope(s, jnp.shape(p)[0]))
    empty = jnp.zeros((0, base.size))
    return _optimum(_data(p, d, None, empty, jnp.zeros(0), base, mask))[0]


@in_float64
def optimum(
    p: ArrayLike, d: ArrayLike, constraints: Constraints, mask: ArrayLike | None = None
) -> Optimum:
    """Marginal and prices of R(D), differentiable in p, d, and the constraints.

    A level that is the smallest reachable one has an infinite price and no derivative.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], finite distortions.
      constraints: one `Constraint` or a sequence of G.
      mask: Bool[m], codewords in use.

    Raises:
      ValueError: see `solve.solve_fixed`.
    """
    rows = constraint_rows(p, constraints)
    weights, levels = map(jnp.asarray, stacked(rows))
    base = jnp.zeros(jnp.shape(p)[0])
    q, nu = _optimum(_data(p, d, own_tables(d, rows), weights, levels, base, mask))
    return Optimum(q, nats_to_bits(nu))


@jax.custom_jvp
def _optimum(data: _Data) -> tuple[jax.Array, jax.Array]:
    return _solve(data)


@_optimum.defjvp
def _tangent(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (data,), (change,) = primals, tangents
    unknowns = _optimum(data)
    flat = jnp.concatenate(unknowns)
    # Unknowns that are not in use are zero, and stay zero.
    active = flat > 0
    jacobian = jax.jacfwd(lambda v: _conditions(v, active, data))(flat)
    _, pushed = jax.jvp(lambda theta: _conditions(flat, active, theta), (data,), (change,))
    moved = -jnp.linalg.solve(jacobian, pushed)
    return unknowns, tuple(jnp.split(moved, [unknowns[0].size]))


@jax.jit
def _solve(data: _Data) -> tuple[jax.Array, jax.Array]:
    """Unknowns (q, nu), zero where they are not in use, polished by Newton's method."""
    mask = data.mask > 0
    count = data.levels.size
    if count:
        own = [None] * count if data.tables is None else data.tables
        rows = tuple(map(Constraint, data.weights, data.levels, own))
        point = solve_fixed(data.p, data.d, rows, tol_bits=_TOL_BITS, mask=mask)
        prices, binds = bits_to_nats(point.nu), ~point.vacuous
    else:
        point = solve_slope(data.p, data.d, nats_to_bits(data.base), tol_bits=_TOL_BITS, mask=mask)
        prices, binds = jnp.zeros(0), jnp.zeros(0, bool)
    flat = jnp.concatenate([point.q, jnp.where(binds, prices, 0.0)])
    # Interior points keep q_j (1 - c_j) equal: the larger of the two says which one is positive.
    everything = jnp.ones(flat.size, bool)
    slack = -_conditions(flat, everything, data)[: point.q.size]
    active = jnp.concatenate([(point.q > slack) & mask, binds])
    flat = jnp.where(active, flat, 0.0)
    is_price = jnp.arange(flat.size) >= point.q.size

    def polish(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        v, active = carry
        residual = _conditions(v, active, data)
        jacobian = jax.jacfwd(lambda w: _conditions(w, active, data))(v)
        moved = v - jnp.linalg.solve(jacobian, residual)
        # What Newton's step makes negative was not positive at the optimum.
        fewer = active & ((moved >= 0) | is_price)
        moved = jnp.where(fewer, moved, 0.0)
        better = jnp.abs(_conditions(moved, fewer, data)).max() < jnp.abs(residual).max()
        # A step that turns a price around has left the neighbourhood where Newton's is right.
        sound = jnp.all(jnp.isfinite(moved)) & jnp.all(~is_price | ~active | (moved > 0))
        accept = sound & (better | jnp.any(fewer != active))
        return jnp.where(accept, moved, v), jnp.where(accept, fewer, active)

    polished, used = jax.lax.fori_loop(0, _POLISHING_STEPS, polish, (flat, active))
    # On fine grids the equations are nearly singular: then the interior point is the better one.
    before = jnp.abs(_conditions(flat, active, data)).max()
    after = jnp.abs(_conditions(polished, used, data)).max()
    flat = jnp.where(after <= before, polished, flat)
    q, nu = jnp.split(flat, [point.q.size])
    # The polish must not turn an undetermined price into a number.
    nu = jnp.where(jnp.isnan(prices), jnp.nan, nu)
    return q, nu


def _conditions(v: jax.Array, active: jax.Array, data: _Data) -> jax.Array:
    """F(v, theta), Float[m + G]."""
    q, nu = jnp.split(v, [data.d.shape[1]])
    mass = jnp.where(data.p > 0, data.p, jnp.inf)
    share = data.weights / mass[None, :]
    # Not `problem.tilt`, which is constant in the smallest distortion of each row.
    tables: Any = data.tables
    several = tables is not None
    used = (data.mask[None, :] > 0) & jnp.isfinite(data.d)
    if several:
        used = used & jnp.all(jnp.isfinite(tables), axis=0)
    d = jnp.where(used[None], tables, 0.0) if several else jnp.where(used, data.d, 0.0)
    above = jnp.where(used[None], d, jnp.inf) if several else jnp.where(used, d, jnp.inf)
    nearest = jax.lax.stop_gradient(jnp.min(above, axis=-1, keepdims=True))
    excess = d - jnp.where(jnp.isfinite(nearest), nearest, 0.0)
    if several:
        cost = jnp.sum((nu[:, None] * share)[:, :, None] * excess, axis=0)
        least = jax.lax.stop_gradient(jnp.min(jnp.where(used, cost, jnp.inf), axis=1))
        cost = cost - jnp.where(jnp.isfinite(least), least, 0.0)[:, None]
    else:
        cost = (data.base + nu @ share)[:, None] * excess
    table = jnp.where(used, jnp.exp(-jnp.where(used, cost, 0.0)), 0.0)
    posterior = table / (table @ q)[:, None]
    if several:
        paid = jnp.sum(data.weights * ((posterior[None] * d) @ q), axis=1)
    else:
        paid = data.weights @ ((posterior * d) @ q)
    conditions = jnp.concatenate([data.p @ posterior - 1.0, paid - data.levels])
    return jnp.where(active, conditions, v)


def _data(
    p: ArrayLike,
    d: ArrayLike,
    tables: Any,
    weights: jax.Array,
    levels: jax.Array,
    base: jax.Array,
    mask: ArrayLike | None,
) -> _Data:
    p, d = jnp.asarray(p, float), jnp.asarray(d, float)
    used = jnp.ones(d.shape[1]) if mask is None else jnp.asarray(mask, float)
    tables = None if tables is None else jnp.asarray(tables, float)
    return _Data(p, d, tables, weights, levels, base, used)
