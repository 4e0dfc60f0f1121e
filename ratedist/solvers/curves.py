"""Many points of one rate-distortion function: at given prices, and at given distortions."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Float

from fewbits.coding.units import bits_to_nats
from ratedist.problem.checks import (
    as_array,
    as_mass,
    check_level,
    check_price,
    check_problem,
    check_tolerance,
)
from ratedist.problem.float64 import at_hand, program, single_precision
from ratedist.problem.point import RDPoint, slope_point
from ratedist.problem.problem import problem
from ratedist.solvers.solve import solve_fixed, solve_slope


@program
def sweep(
    p: Float[ArrayLike, " n"],
    d: Float[ArrayLike, "n m"],
    slopes: Float[ArrayLike, " B"] | Float[ArrayLike, "B n"],
    *,
    tol_bits: Float[ArrayLike, ""] = 1e-6,
    precision: Literal["double", "single"] = "double",
) -> RDPoint:
    """`solve_slope` at many prices: one after the other, or `compiled` as one batched program.

    Args:
      p: source probabilities.
      d: distortions.
      slopes: prices in bits per unit.
      tol_bits: certified gap at which each one stops.
      precision: "single" solves all of them as one program in single precision on JAX's default
        device, for accelerators. The bounds are computed on the host in double precision all the
        same; gaps are below 1e-5 bits for 64 letters and wider for more, and `converged` compares
        them with `tol_bits`.

    Returns:
      One `RDPoint` whose fields have a leading axis B.

    Raises:
      ValueError: as `solve_slope`, and for traced values in single precision.

    >>> import numpy as np, ratedist
    >>> points = ratedist.sweep([0.5, 0.5], [[0, 1], [1, 0]], [1.0, 2.0, 3.0])
    >>> np.round(points.rate_ub, 3).tolist()
    [0.082, 0.278, 0.497]
    """
    p, d, slopes = as_array(p), as_array(d), as_array(slopes)
    check_problem(p, d)
    check_tolerance(tol_bits)
    if np.ndim(slopes) not in (1, 2) or np.shape(slopes)[1:] not in ((), np.shape(p)):
        raise ValueError(f"slopes of shape {np.shape(slopes)}; expected (B,) or (B, {np.size(p)})")
    check_price(slopes)
    if precision not in ("double", "single"):
        raise ValueError(f"precision {precision!r}: 'double' or 'single'")
    if precision == "single":
        if any(isinstance(leaf, Tracer) for leaf in (p, d, slopes, tol_bits)):
            raise ValueError("single precision is certified on the host: it needs known values")
        return _certified_sweep(np.asarray(as_mass(p)), np.asarray(d), np.asarray(slopes), tol_bits)
    if at_hand(p, d, slopes, tol_bits):
        return _stacked([solve_slope(p, d, s, tol_bits=tol_bits) for s in np.asarray(slopes)])
    return _sweep(p, d, slopes, tol_bits)


@program
def curve(
    p: Float[ArrayLike, " n"],
    d: Float[ArrayLike, "n m"],
    levels: Float[ArrayLike, " B"],
    *,
    tol_bits: Float[ArrayLike, ""] = 1e-6,
) -> RDPoint:
    """R(D) at many mean distortions, one after the other.

    Also in a program: unlike in a `vmap`, easy levels do not wait for hard ones.

    Args:
      p: source probabilities.
      d: distortions.
      levels: mean distortions D.
      tol_bits: certified gap at which each one stops.

    Returns:
      One `RDPoint` whose fields have a leading axis B.

    Raises:
      ValueError: as `solve_fixed`.

    >>> import numpy as np, ratedist
    >>> points = ratedist.curve([0.5, 0.5], [[0, 1], [1, 0]], [0.1, 0.25, 0.5])
    >>> np.round(points.rate_lb, 3).tolist()
    [0.531, 0.189, 0.0]
    """
    p, d, levels = as_array(p), as_array(d), as_array(levels)
    check_problem(p, d)
    check_tolerance(tol_bits)
    if np.ndim(levels) != 1:
        raise ValueError(f"levels of shape {np.shape(levels)}; expected (B,)")
    if not isinstance(levels, Tracer):
        for level in np.asarray(levels):
            check_level(level)
    if at_hand(p, d, levels, tol_bits):
        return _stacked([solve_fixed(p, d, D, tol_bits=tol_bits) for D in np.asarray(levels)])
    return _curve(p, d, levels, tol_bits)


def _stacked(points: list[RDPoint]) -> RDPoint:
    fields: Any = map(np.stack, zip(*points, strict=True))
    return RDPoint(*fields)


@jax.jit
def _sweep(p: Any, d: Any, slopes: Any, tol_bits: Any) -> RDPoint:
    return jax.vmap(lambda s: solve_slope(p, d, s, tol_bits=tol_bits))(jnp.asarray(slopes, float))


def _certified_sweep(p: Any, d: Any, slopes: Any, tol_bits: Any) -> RDPoint:
    """Marginals from a program in single precision, both bounds from them here, in double."""
    with single_precision():
        found = jax.device_get(_sweep(np.float32(p), np.float32(d), np.float32(slopes), 0.0))
    source = problem(p, d)
    with np.errstate(all="ignore"):
        points = [
            slope_point(source, s, np.float64(q), count, bits_to_nats(tol_bits))
            for s, q, count in zip(slopes, found.q, found.iterations, strict=True)
        ]
    return _stacked([jax.tree.map(np.asarray, point) for point in points])


@jax.jit
def _curve(p: Any, d: Any, levels: Any, tol_bits: Any) -> RDPoint:
    def solve(level: jax.Array) -> RDPoint:
        return solve_fixed(p, d, level, tol_bits=tol_bits)

    return jax.lax.map(solve, jnp.asarray(levels, float))
