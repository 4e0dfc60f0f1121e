"""Newton's method on the m-dimensional rate-distortion problem, prices included.

For a source p, excess distortions e and constraints g with price shares b_gx (`terms.Terms`)
this solves the saddle-point problem

    max_{nu >= 0} min_{q >= 0}  -sum_x p_x log u_x(q, nu) + sum_j q_j - 1 - sum_g nu_g D_g,
    u_x = sum_j q_j exp(-(base_x + sum_g nu_g b_gx) e_xj),

(with a table e_g for each constraint, the sum over g of nu_g b_gx e_gxj in the exponent), which is
convex in q and concave in nu, by a primal-dual interior point with Mehrotra's predictor and
corrector. With no constraint (G = 0) it is the problem at fixed prices. The conditions solved are

    1 - c_j = z_j >= 0,  q_j z_j = mu         (c_j = sum_x p_x K_xj / u_x)
    E_g + w_g = D_g,     nu_g w_g = mu        (E_g = expected excess of constraint g).

Cost per iteration: one Cholesky factorisation of size m, and n m^2 to form it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike

from ratedist.problem._arrays import cholesky_solver, namespace, select, while_loop
from ratedist.problem.point import Solution
from ratedist.problem.problem import Kernel, Problem, Tilt, bounds_nats, exceeds_any_rate, tilt
from ratedist.problem.terms import Terms, left_sides, price_derivatives, priced_kernel, settled
from ratedist.solvers._blahut_arimoto import priced_warm_up

MAX_ITERATIONS = 100
WARM_UP_STEPS = 20
_TO_BOUNDARY = 0.99
_PRICE_GROWTH = 4.0
# A step may double the residual, or leave it below this multiple of the complementarity gap: the
# gap must not run ahead of the conditions, or the kernel moves under the next linear model.
_RESIDUAL_GROWTH = 2.0
_NEIGHBOURHOOD = 100.0
_SMALLEST_STEP = 1e-4
_SMALLEST_GAP, _SMALLEST_GAP_SINGLE = 1e-17, 1e-8
# Iterates aim inside the levels by a millionth of them: their residual stays above that.
_SETTLED_RESIDUAL, _SETTLED_RESIDUAL_SINGLE = 3e-6, 1e-4
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

    q: Any
    z: Any
    nu: Any
    w: Any
    here: Tilt
    excess: Any
    residual: Any
    iterations: Any


class _Search(NamedTuple):
    """The iterate, the last one whose gap was certified, and whether and when there was one."""

    it: Iterate
    solution: Solution
    certified: Any
    first: Any


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
    xp = namespace(source.p, terms.slack)
    double = source.p.dtype == np.float64
    smallest_gap = _SMALLEST_GAP if double else _SMALLEST_GAP_SINGLE
    settled_residual = _SETTLED_RESIDUAL if double else _SETTLED_RESIDUAL_SINGLE
    q, nu = priced_warm_up(source, terms, WARM_UP_STEPS)
    q = xp.maximum(q, 1e-3 / q.size)
    fixed = priced_kernel(source, terms, nu)
    here = tilt(source, fixed, q)
    excess = left_sides(source, terms, here)
    z = xp.maximum(1.0 - here.ratio, 1e-2)
    w = xp.maximum(terms.slack - excess, 1e-2 * terms.slack)
    residual = _residual(terms, here, excess, z, w)
    start = Iterate(q, z, nu, w, here, excess, residual, xp.asarray(0))

    def kernel_at(nu: Any) -> Kernel:
        return priced_kernel(source, terms, nu) if nu.size else fixed

    def examined(it: Iterate, before: _Search | None) -> _Search:
        accurate = terms.tight
        if it.nu.size:
            gap = it.q @ it.z + it.nu @ it.w
            accurate = settled(source, terms, it.nu, it.w, gap)
            accurate = accurate & (it.residual <= settled_residual)
        new = Solution(it.q, it.nu, accurate, it.iterations)
        certified, excluded = _certified(source, terms, it, tol_nats)
        new = new._replace(determined=accurate | excluded)
        certified = certified | excluded
        if before is None:
            return _Search(it, new, certified, xp.where(certified, 0, MAX_ITERATIONS))
        take = certified | (~before.certified & xp.isfinite(it.residual))
        solution = select(xp, take, new, before.solution)
        first = xp.where(certified, xp.minimum(before.first, it.iterations), before.first)
        return _Search(it, solution, certified | before.certified, first)

    def unfinished(search: _Search) -> Any:
        it = search.it
        going = (it.iterations < MAX_ITERATIONS) & xp.isfinite(it.residual)
        exhausted = it.q @ it.z + it.nu @ it.w <= smallest_gap
        done = xp.all(search.solution.determined) | exhausted
        late = it.iterations >= search.first + _ITERATIONS_FOR_PRICES
        return going & ~(search.certified & (done | late))

    def step(search: _Search) -> _Search:
        return examined(_newton(source, terms, search.it, tol_nats, kernel_at), search)

    return while_loop(xp, unfinished, step, examined(start, None)).solution


def _newton(
    source: Problem,
    terms: Terms,
    it: Iterate,
    tol_nats: ArrayLike,
    kernel_at: Callable[[Any], Kernel],
) -> Iterate:
    q, z, nu, w, here = it.q, it.z, it.nu, it.w, it.here
    xp = namespace(q)
    scale = xp.sqrt(q / z)
    solve_q = _hessian_solver(source, here, scale)
    priced = nu.size > 0
    if priced:
        cross, price_block = price_derivatives(source, terms, here, q)
        cross = cross * scale[:, None]
        solved_cross = solve_q(cross)
        price_block = price_block + xp.diag(w / nu) + cross.T @ solved_cross
        # Scaled to a unit diagonal: prices differ by many orders of magnitude.
        unit = 1.0 / xp.sqrt(xp.diagonal(price_block))
        solve_nu = cholesky_solver(xp, price_block * unit[:, None] * unit[None, :])
    # Aim a little inside, by what costs a fraction of the tolerance in rate: the last iterate then
    # meets the levels exactly, not up to a residual.
    inside = xp.minimum(0.2 * tol_nats / (max(nu.size, 1) * nu), 1e-6 * terms.slack)
    over = it.excess - (terms.slack - inside)

    def direction(target: Any) -> Any:
        """Newton step in (q, nu, z, w) towards complementarity products `target`, Float[m + G]."""
        target_q, target_nu = target[: q.size], target[q.size :]
        plain = solve_q(scale * (here.ratio - 1.0 + target_q / q))
        if not priced:
            d_q = scale * plain
            return xp.concatenate([d_q, (target_q - q * z - z * d_q) / q])
        pull = over + target_nu / nu + cross.T @ plain
        d_nu = unit * solve_nu(unit * pull)
        d_q = scale * (plain - solved_cross @ d_nu)
        d_z = (target_q - q * z - z * d_q) / q
        d_w = (target_nu - nu * w - w * d_nu) / nu
        return xp.concatenate([d_q, d_nu, d_z, d_w])

    value = xp.concatenate([q, nu, z, w])
    half = value.size // 2
    products = value[:half] * value[half:]
    predictor = direction(xp.zeros_like(products))
    trial = value + xp.minimum(1.0, _reach(value, predictor)) * predictor
    mean = xp.mean(products)
    centring = xp.clip((xp.mean(trial[:half] * trial[half:]) / mean) ** 3, 1e-4, 0.8)
    change = direction(centring * mean - predictor[:half] * predictor[half:])
    reach = xp.minimum(1.0, _TO_BOUNDARY * _reach(value, change))
    # The kernel depends on the prices exponentially: a linear model is not to be trusted further.
    growth = xp.max(change[q.size : half] / nu, initial=0.0)
    reach = xp.where(growth * reach > _PRICE_GROWTH, _PRICE_GROWTH / growth, reach)
    return _backtrack(source, terms, it, kernel_at, value, change, reach)


def _backtrack(
    source: Problem,
    terms: Terms,
    it: Iterate,
    kernel_at: Callable[[Any], Kernel],
    value: Any,
    change: Any,
    reach: Any,
) -> Iterate:
    """The longest of the steps reach, reach/2, ... that does not lead astray."""
    xp = namespace(value)
    size, count = it.q.size, it.nu.size

    def at(step: Any) -> Iterate:
        moved = value + step * change
        q, nu = moved[:size], moved[size : size + count]
        z, w = moved[size + count : 2 * size + count], moved[2 * size + count :]
        here = tilt(source, kernel_at(nu), q)
        excess = left_sides(source, terms, here)
        residual = _residual(terms, here, excess, z, w)
        return Iterate(q, z, nu, w, here, excess, residual, it.iterations + 1)

    def goes_astray(carry: tuple[Any, Iterate]) -> Any:
        step, new = carry
        gap = new.q @ new.z + new.nu @ new.w
        allowed = xp.maximum(_RESIDUAL_GROWTH * it.residual, _NEIGHBOURHOOD * gap)
        untried = new.iterations == it.iterations
        return untried | ((new.residual > allowed) & (step > _SMALLEST_STEP))

    def shorten(carry: tuple[Any, Iterate]) -> tuple[Any, Iterate]:
        step = 0.5 * carry[0]
        return step, at(step)

    # The first pass through the loop tries the whole reach: the kernel is compiled once.
    return while_loop(xp, goes_astray, shorten, (2.0 * reach, it))[1]


def _residual(terms: Terms, here: Tilt, excess: Any, z: Any, w: Any) -> Any:
    xp = namespace(here.ratio)
    constraints = xp.max(xp.abs((excess + w) / terms.slack - 1.0), initial=0.0)
    return xp.maximum(xp.max(xp.abs(1.0 - here.ratio - z)), constraints)


def _hessian_solver(source: Problem, here: Tilt, scale: Any) -> Callable[[Any], Any]:
    """Solver of (I + A^T A) v = r with A_xj = sqrt(p_x) K_xj / u_x scale_j.

    Scaled this way the smallest eigenvalue is one and the factorisation cannot fail.
    """
    xp = namespace(scale)
    half = xp.sqrt(source.p)[:, None] * here.posterior * scale[None, :]
    return cholesky_solver(xp, xp.eye(scale.size) + half.T @ half)


def _reach(value: Any, change: Any) -> Any:
    """The longest step that keeps every value positive."""
    xp = namespace(value)
    return xp.min(xp.where(change < 0, -value / change, np.inf))


def _certified(source: Problem, terms: Terms, it: Iterate, tol_nats: ArrayLike) -> tuple[Any, Any]:
    """Whether the gap is small enough, and whether the levels are proven to exclude each other."""
    xp = namespace(it.q)
    if it.nu.size:
        offered = it.nu @ xp.where(terms.tight, 0.0, terms.slack)
    else:
        offered = source.p @ it.here.paid
    lower, upper = bounds_nats(source, it.q, it.here, offered)
    met = (upper - lower <= 0.9 * tol_nats) & xp.all(it.excess <= terms.slack)
    return met, source.several & exceeds_any_rate(source, lower)
