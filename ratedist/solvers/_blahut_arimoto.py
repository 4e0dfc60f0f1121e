"""Blahut-Arimoto, with prices that follow: the warm-up of the interior point, and a plain solver.

One step maps the output marginal q to q c (Blahut 1972, Arimoto 1972; `ratio` of `problem.tilt`).
It is the EM algorithm of the m-dimensional problem: robust, quick at first, and slow to close its
certificate whenever the codebook is finer than the support of the optimum.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from fewbits.coding.units import bits_to_nats
from ratedist.problem._arrays import fori_loop, namespace
from ratedist.problem.checks import as_array, check_problem, check_tolerance
from ratedist.problem.float64 import program
from ratedist.problem.point import RDPoint, letter_slope, slope_point
from ratedist.problem.problem import Problem, bounds_nats, costs, kernel, problem, tilt
from ratedist.problem.terms import Terms, left_sides, price_derivatives, priced_kernel

_LARGEST_EXPONENT = 64.0
_LEAST_MASS = 1e-12
_TINY = 1e-30


class _State(NamedTuple):
    q: jax.Array
    gap_nats: jax.Array
    iterations: jax.Array


@program
def blahut_arimoto(
    p: Float[ArrayLike, " n"],
    d: Float[ArrayLike, "n m"],
    s: Float[ArrayLike, ""] | Float[ArrayLike, " n"],
    *,
    tol_bits: Float[ArrayLike, ""] = 1e-6,
    max_iterations: int = 10_000,
    mask: Bool[ArrayLike, " m"] | None = None,
) -> RDPoint:
    """Minimise I(X;Y) + s E[d] by Blahut-Arimoto alone, stopping on the certified gap.

    The published algorithm (Blahut 1972, Arimoto 1972), for comparison: `solve_slope` solves the
    same problem, and is faster wherever the codebook is finer than the optimal output needs.

    Args:
      p: source probabilities.
      d: distortions: any finite numbers; inf forbids a pair.
      s: price of distortion, bits per unit; one for all letters or one each.
      tol_bits: stop when the certified gap is this small.
      max_iterations: give up (`converged` false) after this many steps.
      mask: codewords in use.

    Returns:
      As `solve_slope`.

    Raises:
      ValueError: as `solve_slope`.

    >>> import ratedist
    >>> point = ratedist.blahut_arimoto([0.5, 0.3, 0.2], [[0, 1], [1, 0], [1, 1]], 2.0)
    >>> bool(point.converged), float(point.gap_bits) <= 1e-6
    (True, True)
    """
    p, d, s = as_array(p), as_array(d), as_array(s)
    check_problem(p, d, mask)
    letter_slope(s, np.size(p))
    check_tolerance(tol_bits)
    return _blahut_arimoto(p, d, s, tol_bits, max_iterations, mask)


@jax.jit
def _blahut_arimoto(
    p: Any, d: Any, s: Any, tol_bits: Any, max_iterations: Any, mask: Any
) -> RDPoint:
    source = problem(p, d, mask)
    slope = bits_to_nats(letter_slope(s, source.p.size))
    priced, tolerance = kernel(source, costs(source, slope)), bits_to_nats(tol_bits)

    def unfinished(state: _State) -> jax.Array:
        return (state.gap_nats > tolerance) & (state.iterations < max_iterations)

    def step(state: _State) -> _State:
        here = tilt(source, priced, state.q)
        lower, upper = bounds_nats(source, state.q, here, jnp.zeros(()))
        gap = upper + source.p @ here.paid - lower
        moved = state.q * here.ratio
        q = jnp.where(gap > tolerance, moved / moved.sum(), state.q)
        return _State(q, gap, state.iterations + 1)

    start = _State(uniform(source), jnp.asarray(jnp.inf), jnp.asarray(0))
    end = jax.lax.while_loop(unfinished, step, start)
    return slope_point(source, s, end.q, end.iterations, tolerance)


def uniform(source: Problem) -> Any:
    """Equal mass on every codeword in use, Float[m]."""
    used = source.allowed.any(axis=0)
    return used / used.sum()


def priced_warm_up(source: Problem, terms: Terms, steps: int) -> tuple[Any, Any]:
    """Blahut-Arimoto on q, with one damped Newton step on each price between its steps.

    Args:
      source: from `problem.problem`.
      terms: constraints, possibly none.
      steps: how many of each.

    Returns:
      q: Float[m], normalised.
      nu: Float[G], nats per unit, positive.
    """
    xp = namespace(source.p, terms.slack)
    count = terms.slack.size
    if not count:
        table = priced_kernel(source, terms, terms.slack).table

        def plain(q: Any) -> Any:
            # What comes out sums to one if what goes in does.
            return q * ((source.p / xp.maximum(table @ q, _TINY)) @ table)

        return fori_loop(xp, steps, plain, uniform(source)), terms.slack

    def step(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        q, nu = carry
        here = tilt(source, priced_kernel(source, terms, nu), q)
        moved = q * here.ratio
        if source.several:
            # What is useless at one pair of prices may be all that a letter has at another.
            moved = xp.maximum(moved, _LEAST_MASS)
        over = left_sides(source, terms, here) - terms.slack
        curvature = xp.diagonal(price_derivatives(source, terms, here, q)[1])
        # Where the kernel underflows there is no curvature: the price is far too large.
        flat = curvature <= 0
        move = xp.where(flat, -nu, over / xp.where(flat, 1.0, count * curvature))
        return moved / moved.sum(), nu + xp.clip(move, -0.5 * nu, nu)

    # Beyond this the kernel underflows for every letter a constraint touches.
    smallest = xp.min(xp.where(source.excess > 0, source.excess, np.inf), axis=-1)
    paid = xp.where(terms.share > 0, terms.share * xp.atleast_2d(smallest), np.inf)
    largest = _LARGEST_EXPONENT / xp.min(paid, axis=1)
    start = xp.minimum(0.5 / terms.slack, xp.where(largest > 0, largest, np.inf))
    return fori_loop(xp, steps, step, (uniform(source), start))
