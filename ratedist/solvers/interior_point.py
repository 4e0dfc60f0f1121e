"""Newton's method on the m-dimensional rate-distortion problem, prices included.

For a source p, excess distortions e and constraints g with price shares b_gx (`constraints.Terms`)
this solves the saddle-point problem

    max_{nu >= 0} min_{q >= 0}  -sum_x p_x log u_x(q, nu) + sum_j q_j - 1 - sum_g nu_g D_g,
    u_x = sum_j q_j exp(-(base_x + sum_g nu_g b_gx) e_xj),

convex in q and concave in nu, by a primal-dual interior point with Mehrotra's predictor and
corrector. With no constraint (G = 0) it is the problem at fixed prices. The conditions solved are

    1 - c_j = z_j >= 0,  q_j z_j = mu         (c_j = sum_x p_x K_xj / u_x)
    E_g + w_g = D_g,     nu_g w_g = mu        (E_g = expected excess of constraint g).

Cost per iteration: one Cholesky factorisation of size m, and n m^2 to form it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jax.typing import ArrayLike

from ratedist.solvers._blahut_arimoto import priced_warm_up
from ratedist.solvers.constraints import Terms, settled
from ratedist.solvers.point import Solution
from ratedist.solvers.problem import Problem, Tilt, bounds_nats, tilt

MAX_ITERATIONS = 100
WARM_UP_STEPS = 20
_TO_BOUNDARY = 0.99
_PRICE_GROWTH = 4.0
# A step may double the residual, or leave it below this multiple of the complementarity gap: the
# gap must not run ahead of the conditions, or the kernel moves under the next linear model.
_RESIDUAL_GROWTH = 2.0
_NEIGHBOURHOOD = 100.0
_SMALLEST_STEP = 1e-4
_SMALLEST_GAP = 1e-17
# Iterates aim inside the levels by a millionth of them: their residual stays above that.
_SETTLED_RESIDUAL = 3e-6
_ITERATIONS_FOR_PRICES = 70


class Iterate(NamedTuple):
    """One primal-dual iterate, and what was seen there.

    Attributes:
      q: Float[m], output marginal (unnormalised).
      z: Float[m], slack of c_j <= 1.
      nu: Float[G], prices, nats per unit.
      w: Float[G], slack of each constraint.
      here: the kernel at (q, nu).
      excess: Float[G], the left side of each constraint, as excess.
      residual: Float[], largest violation of c + z = 1 and (E + w) / D = 1.
      iterations: Int[].
    """

    q: jax.Array
    z: jax.Array
    nu: jax.Array
    w: jax.Array
    here: Tilt
    excess: jax.Array
    residual: jax.Array
    iterations: jax.Array


class _Search(NamedTuple):
    """The iterate, the last one whose gap was certified, and whether and when there was one."""

    it: Iterate
    solution: Solution
    certified: jax.Array
    first: jax.Array


def interior_point(source: Problem, terms: Terms, tol_nats: ArrayLike) -> Solution:
    """Solve for the output marginal and the prices to a certified gap.

    A rate is known long before its price close to the smallest reachable level, where the rate
    hardly changes. So the iterations go on until the prices are accurate too, or it proves to be
    impossible: at a corner of R(D), several prices are optimal.

    Args:
      source: from `problem.problem`.
      terms: constraints; G = 0 rows and a finite `base` for the problem at fixed prices.
      tol_nats: certified gap at which to stop.

    Returns:
      The last certified iterate if there is one, else the last.
    """
    q, nu = priced_warm_up(source, terms, WARM_UP_STEPS)
    q = jnp.maximum(q, 1e-3 / q.size)
    here = tilt(source, terms.base + nu @ terms.share, q)
    excess = terms.share @ (source.p * here.excess)
    z = jnp.maximum(1.0 - here.ratio, 1e-2)
    w = jnp.maximum(terms.slack - excess, 1e-2 * terms.slack)
    residual = _residual(terms, here, excess, z, w)
    start = Iterate(q, z, nu, w, here, excess, residual, jnp.asarray(0))

    def examined(it: Iterate, before: _Search | None) -> _Search:
        gap = it.q @ it.z + it.nu @ it.w
        accurate = settled(source, terms, it.nu, it.w, gap) & (it.residual <= _SETTLED_RESIDUAL)
        new = Solution(it.q, it.nu, accurate, it.iterations)
        certified = _certified(source, terms, it, tol_nats)
        if before is None:
            return _Search(it, new, certified, jnp.where(certified, 0, MAX_ITERATIONS))
        take = certified | ~before.certified
        solution = jax.tree.map(lambda a, b: jnp.where(take, a, b), new, before.solution)
        first = jnp.where(certified, jnp.minimum(before.first, it.iterations), before.first)
        return _Search(it, solution, certified | before.certified, first)

    def unfinished(search: _Search) -> jax.Array:
        it = search.it
        going = (it.iterations < MAX_ITERATIONS) & jnp.isfinite(it.residual)
        exhausted = it.q @ it.z + it.nu @ it.w <= _SMALLEST_GAP
        done = jnp.all(search.solution.determined) | exhausted
        late = it.iterations >= search.first + _ITERATIONS_FOR_PRICES
        return going & ~(search.certified & (done | late))

    def step(search: _Search) -> _Search:
        return examined(_newton(source, terms, search.it, tol_nats), search)

    return jax.lax.while_loop(unfinished, step, examined(start, None)).solution


def _newton(source: Problem, terms: Terms, it: Iterate, tol_nats: ArrayLike) -> Iterate:
    q, z, nu, w, here = it.q, it.z, it.nu, it.w, it.here
    scale = jnp.sqrt(q / z)
    solve_q = _hessian_solver(source, here, scale)

    # Cross derivatives between q and nu, and the variance that makes nu's block.
    deviation = jnp.where(here.posterior > 0, source.excess - here.excess[:, None], 0.0)
    cross = ((terms.share * source.p[None, :]) @ (here.posterior * deviation)).T * scale[:, None]
    variance = source.p * ((here.posterior * deviation**2) @ q)
    solved_cross = solve_q(cross)
    price_block = (terms.share * variance[None, :]) @ terms.share.T + jnp.diag(w / nu)
    # Scaled to a unit diagonal: prices differ by many orders of magnitude.
    price_block = price_block + cross.T @ solved_cross
    unit = 1.0 / jnp.sqrt(jnp.diagonal(price_block))
    price_factor = cho_factor(price_block * unit[:, None] * unit[None, :])
    # Aim a little inside, by what costs a fraction of the tolerance in rate: the last iterate then
    # meets the levels exactly, not up to a residual.
    inside = jnp.minimum(0.2 * tol_nats / (max(nu.size, 1) * nu), 1e-6 * terms.slack)
    over = it.excess - (terms.slack - inside)

    def direction(target: jax.Array) -> jax.Array:
        """Newton step in (q, nu, z, w) towards complementarity products `target`, Float[m + G]."""
        target_q, target_nu = jnp.split(target, [q.size])
        plain = solve_q(scale * (here.ratio - 1.0 + target_q / q))
        pull = over + target_nu / nu + cross.T @ plain
        d_nu = unit * cho_solve(price_factor, unit * pull)
        d_q = scale * (plain - solved_cross @ d_nu)
        d_z = (target_q - q * z - z * d_q) / q
        d_w = (target_nu - nu * w - w * d_nu) / nu
        return jnp.concatenate([d_q, d_nu, d_z, d_w])

    value = jnp.concatenate([q, nu, z, w])
    primal, dual = jnp.split(value, 2)
    predictor = direction(jnp.zeros_like(primal))
    trial = value + jnp.minimum(1.0, _reach(value, predictor)) * predictor
    mean = jnp.mean(primal * dual)
    centring = jnp.clip((jnp.mean(jnp.multiply(*jnp.split(trial, 2))) / mean) ** 3, 1e-4, 0.8)
    change = direction(centring * mean - jnp.multiply(*jnp.split(predictor, 2)))
    reach = jnp.minimum(1.0, _TO_BOUNDARY * _reach(value, change))
    # The kernel depends on the prices exponentially: a linear model is not to be trusted further.
    growth = jnp.max(change[q.size : primal.size] / nu, initial=0.0)
    reach = jnp.where(growth * reach > _PRICE_GROWTH, _PRICE_GROWTH / growth, reach)
    return _backtrack(source, terms, it, value, change, reach)


def _backtrack(
    source: Problem,
    terms: Terms,
    it: Iterate,
    value: jax.Array,
    change: jax.Array,
    reach: jax.Array,
) -> Iterate:
    """The longest of the steps reach, reach/2, ... that does not lead astray."""
    size, count = it.q.size, it.nu.size

    def at(step: jax.Array) -> Iterate:
        q, nu, z, w = jnp.split(value + step * change, [size, size + count, 2 * size + count])
        here = tilt(source, terms.base + nu @ terms.share, q)
        excess = terms.share @ (source.p * here.excess)
        residual = _residual(terms, here, excess, z, w)
        return Iterate(q, z, nu, w, here, excess, residual, it.iterations + 1)

    def goes_astray(carry: tuple[jax.Array, Iterate]) -> jax.Array:
        step, new = carry
        gap = new.q @ new.z + new.nu @ new.w
        allowed = jnp.maximum(_RESIDUAL_GROWTH * it.residual, _NEIGHBOURHOOD * gap)
        untried = new.iterations == it.iterations
        return untried | ((new.residual > allowed) & (step > _SMALLEST_STEP))

    def shorten(carry: tuple[jax.Array, Iterate]) -> tuple[jax.Array, Iterate]:
        step = 0.5 * carry[0]
        return step, at(step)

    # The first pass through the loop tries the whole reach: the kernel is compiled once.
    return jax.lax.while_loop(goes_astray, shorten, (2.0 * reach, it))[1]


def _residual(terms: Terms, here: Tilt, excess: jax.Array, z: jax.Array, w: jax.Array) -> jax.Array:
    constraints = jnp.max(jnp.abs((excess + w) / terms.slack - 1.0), initial=0.0)
    return jnp.maximum(jnp.max(jnp.abs(1.0 - here.ratio - z)), constraints)


def _hessian_solver(
    source: Problem, here: Tilt, scale: jax.Array
) -> Callable[[jax.Array], jax.Array]:
    """Solver of (I + A^T A) v = r with A_xj = sqrt(p_x) K_xj / u_x scale_j.

    Scaled this way the smallest eigenvalue is one and the factorisation cannot fail.
    """
    half = jnp.sqrt(source.p)[:, None] * here.posterior * scale[None, :]
    factor = cho_factor(jnp.eye(scale.size) + half.T @ half)
    return lambda r: cho_solve(factor, r)


def _reach(value: jax.Array, change: jax.Array) -> jax.Array:
    """The longest step that keeps every value positive."""
    return jnp.min(jnp.where(change < 0, -value / change, jnp.inf))


def _certified(source: Problem, terms: Terms, it: Iterate, tol_nats: ArrayLike) -> jax.Array:
    slope = terms.base + it.nu @ terms.share
    if it.nu.size:
        offered = it.nu @ jnp.where(terms.tight, 0.0, terms.slack)
    else:
        offered = source.p @ jnp.where(jnp.isinf(slope), 0.0, slope * it.here.excess)
    lower, upper = bounds_nats(source, slope, it.q, it.here, offered)
    return (upper - lower <= 0.9 * tol_nats) & jnp.all(it.excess <= terms.slack)
