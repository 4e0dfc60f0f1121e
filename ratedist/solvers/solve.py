"""Rate-distortion points with certificates: at given prices, and at given distortions.

A short Blahut-Arimoto warm-up, then Newton (`interior_point`). Every point carries a lower and an
upper bound on the rate that hold whatever the solver did; `converged` says that they meet.

Calls with known values run in NumPy; inside a program, or as one (`compiled`), in JAX. Programs are
compiled once for each set of shapes, to which small problems are padded (`_padding`).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from fewbits.coding.units import bits_to_nats
from ratedist.problem.checks import (
    as_array,
    check_problem,
    check_tolerance,
)
from ratedist.problem.constraints import (
    Constraint,
    Constraints,
    check_constraints,
    constraint_rows,
    own_tables,
)
from ratedist.problem.float64 import at_hand, is_single, program
from ratedist.problem.point import RDPoint, fixed_point, letter_slope, slope_point
from ratedist.problem.problem import problem
from ratedist.problem.terms import free_terms, terms
from ratedist.solvers._padding import Shape
from ratedist.solvers.interior_point import interior_point

_SMALLEST_SINGLE_NATS = 2e-6


@program
def solve_slope(
    p: Float[ArrayLike, " n"],
    d: Float[ArrayLike, "n m"],
    s: Float[ArrayLike, ""] | Float[ArrayLike, " n"],
    *,
    tol_bits: Float[ArrayLike, ""] = 1e-6,
    mask: Bool[ArrayLike, " m"] | None = None,
) -> RDPoint:
    """Minimise I(X;Y) + sum_x p_x s_x E[d | x] over encoders: the point of R(D) with slope -s.

    Solved in the output marginal q alone, min_{q >= 0} -sum_x p_x log (K q)_x + sum_j q_j with
    K_xj = 2^(-s_x d_xj) (Csiszar 1974; Berger 1971, chapter 2).

    Args:
      p: source probabilities; arrays or lists.
      d: distortions: any finite numbers; inf forbids a pair.
      s: price of distortion, bits per unit; one for all letters or one each.
      tol_bits: certified gap at which to stop.
      mask: codewords in use (all if None); a changed mask does not compile again.

    Returns:
      The point. For one price, `distortion` and `nu` have one entry: the average distortion and
      `s`. For one price per letter they have n: the distortion of each letter, and p_x s_x.

    Raises:
      ValueError: bad source, distortion table, price or tolerance. Values that are being traced
        cannot raise: invalid ones give NaN and `converged=False`.

    >>> import ratedist
    >>> point = ratedist.solve_slope([0.5, 0.5], [[0, 1], [1, 0]], 3.1699)
    >>> round(float(point.rate_ub), 4), round(float(point.distortion[0]), 4)
    (0.531, 0.1)
    """
    p, d, s = as_array(p), as_array(d), as_array(s)
    check_problem(p, d, mask)
    letter_slope(s, np.size(p))
    check_tolerance(tol_bits)
    if at_hand(p, d, mask, s, tol_bits):
        return _on_host(_slope, p, d, s, tol_bits, mask)
    shape = Shape.of(p, d, mask, s, tol_bits)
    if np.ndim(s):
        s = shape.letters(s)
    point = _at_slope(shape.letters(p), shape.table(d), s, tol_bits, shape.used(mask))
    return shape.cut(point, each_letter=np.ndim(s) > 0)


@program
def solve_fixed(
    p: Float[ArrayLike, " n"],
    d: Float[ArrayLike, "n m"],
    constraints: Constraints,
    *,
    tol_bits: Float[ArrayLike, ""] = 1e-6,
    mask: Bool[ArrayLike, " m"] | None = None,
) -> RDPoint:
    """The smallest rate at which every constraint holds: R(D), with mixed fidelity.

    min_Q I(X;Y) subject to sum_x a_gx sum_j Q(j|x) d(x, j) <= D_g for every constraint g
    (Shannon 1959; several constraints: Nasser, "Convex Relaxations for Entropy-Constrained
    Compression"), as a saddle point in the output marginal and the dual variables.

    Args:
      p: source probabilities; arrays or lists.
      d: distortions: any finite numbers; inf forbids a pair.
      constraints: one `Constraint`, a sequence of G of them, or a number: the mean distortion D.
      tol_bits: certified gap at which to stop.
      mask: codewords in use (all if None); a changed mask does not compile again.

    Returns:
      The point, with a price per constraint. A level below what any encoder reaches is not an
      exception: `infeasible` names the constraint, the rates are inf and `converged` is false.

    Raises:
      ValueError: bad source, distortion table, constraints or tolerance. Values that are being
        traced cannot raise: invalid ones give NaN and `converged=False`.

    >>> import ratedist
    >>> p, d = [0.5, 0.3, 0.2], [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    >>> rare = ratedist.subset_mean(p, [False, False, True], 0.05)
    >>> point = ratedist.solve_fixed(p, d, (ratedist.mean_distortion(p, 0.2), rare))
    >>> bool(point.converged), float(point.gap_bits) <= 1e-6, point.vacuous.tolist()
    (True, True, [False, False])
    """
    p, d = as_array(p), as_array(d)
    check_problem(p, d, mask)
    rows = constraint_rows(p, constraints)
    check_constraints(p, rows, d)
    check_tolerance(tol_bits)
    if at_hand(p, d, mask, rows, tol_bits):
        return _on_host(_levels, p, d, rows, tol_bits, mask)
    shape = Shape.of(p, d, mask, rows, tol_bits)
    wide = tuple(
        Constraint(
            shape.letters(as_array(row.weights)),
            row.level,
            None if row.d is None else shape.table(as_array(row.d)),
        )
        for row in rows
    )
    point = _at_levels(shape.letters(p), shape.table(d), wide, tol_bits, shape.used(mask))
    return shape.cut(point)


def _slope(p: Any, d: Any, s: Any, tol_bits: Any, mask: Any) -> RDPoint:
    source = problem(p, d, mask)
    free = free_terms(source, bits_to_nats(letter_slope(s, source.p.size)))
    end = interior_point(source, free, _nats(tol_bits))
    return slope_point(source, s, end.q, end.iterations, _nats(tol_bits))


def _levels(p: Any, d: Any, rows: Any, tol_bits: Any, mask: Any) -> RDPoint:
    source, bound = terms(problem(p, d, mask, own_tables(d, rows)), rows)
    end = interior_point(source, bound, _nats(tol_bits))
    return fixed_point(source, bound, end, _nats(tol_bits))


def _nats(tol_bits: Any) -> Any:
    """In single precision, no tolerance below the rounding errors of the bounds."""
    nats = bits_to_nats(tol_bits)
    return jnp.maximum(nats, _SMALLEST_SINGLE_NATS) if is_single() else nats


def _on_host(solve: Any, *values: Any) -> RDPoint:
    """In NumPy. Iterations may overflow on the way; what comes of it is examined."""
    with np.errstate(all="ignore"):
        return jax.tree.map(np.asarray, solve(*jax.tree.map(np.asarray, values)))


_at_slope, _at_levels = jax.jit(_slope), jax.jit(_levels)
