"""Codebooks refined through the convex step: solve for the encoder, step the codewords, merge.

R(D; y) is convex in the encoder and not in the codewords y. So alternate: (1) the convex problem
at the codebook as it is, certified; (2) a gradient step on the codewords; (3) drop and merge. The
gradient of a functional Phi(y, q*(y)) can be had in three ways, which differ only in how the
output marginal q* is obtained, so each is a function `(p, d, s, mask) -> q`:

* `envelope`: q* held still. Right for the rate, for which q* is a minimiser; of nothing else.
* `implicit.optimal_marginal`: the implicit function theorem, in JAX alone.
* `convex_layer.ConvexLayer`: the same through cvxpylayers, on the host.

With prices s_x the rate's gradient is dL/dy_j = sum_x p_x Q(j|x) s_x d'(x, y_j). For squared error
a step of 1 / (2 sum_x p_x Q(j|x) s_x) takes y_j to its (price-weighted) centroid, the update of
Nasser, "Convex Relaxations for Entropy-Constrained Compression": `move` scales every codeword's
step so, whatever gradient it is given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from ratedist.codebooks.functionals import Functional, lagrangian, posterior
from ratedist.codebooks.merging import (
    Codebook,
    as_points,
    check_points,
    codebook,
    merge,
    squared_distances,
)
from ratedist.problem.checks import as_array, as_mass, check_problem
from ratedist.problem.constraints import Constraint, Constraints, check_constraints, constraint_rows
from ratedist.problem.float64 import in_float64, program
from ratedist.problem.point import RDPoint
from ratedist.rate_function.implicit import optimal_marginal
from ratedist.solvers.solve import solve_fixed, solve_slope

Marginal = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]
"""(p Float[n], d Float[n, m], s, mask Bool[m]) -> q Float[m], the minimiser of `lagrangian`."""

_TOL_BITS = 1e-9


@in_float64
def envelope(p: ArrayLike, d: ArrayLike, s: ArrayLike, mask: ArrayLike | None = None) -> jax.Array:
    """The optimal marginal as a constant: its derivative is zero, as the envelope theorem allows.

    Args:
      p: Float[n], source probabilities.
      d: Float[n, m], distortions.
      s: Float[] or Float[n], prices, bits per unit.
      mask: Bool[m], codewords in use.
    """
    still = jax.lax.stop_gradient
    point = solve_slope(still(p), still(d), still(s), tol_bits=_TOL_BITS, mask=mask)
    return still(point.q)


@in_float64
def value_and_gradient(
    functional: Functional,
    marginal: Marginal,
    p: ArrayLike,
    x: ArrayLike,
    book: Codebook,
    s: ArrayLike,
) -> tuple[jax.Array, jax.Array]:
    """Phi(y, q*(y)) and its total derivative with respect to the codewords.

    Args:
      functional: Phi, from `functionals`.
      marginal: q*, one of the three above; `envelope` only for `functionals.lagrangian`.
      p: Float[n], source probabilities.
      x: Float[n, k], letters.
      book: the codebook.
      s: Float[] or Float[n], prices, bits per unit.

    Returns:
      The value in bits, and Float[m, k] in bits per unit of length; zero outside the mask.
    """
    p, s = jnp.asarray(p, float), jnp.asarray(s, float)

    def value(points: jax.Array) -> jax.Array:
        d = squared_distances(x, points)
        return functional(p, d, marginal(p, d, s, book.mask), s)

    found, gradient = jax.value_and_grad(value)(jnp.asarray(book.points))
    return found, jnp.where(jnp.asarray(book.mask)[:, None], gradient, 0.0)


@in_float64
def move(
    p: ArrayLike,
    x: ArrayLike,
    book: Codebook,
    q: ArrayLike,
    s: ArrayLike,
    gradient: ArrayLike,
    rate: ArrayLike = 1.0,
) -> Codebook:
    """y_j - rate gradient_j / (2 sum_x p_x s_x Q(j|x)); the centroid at rate 1 on the Lagrangian.

    Args:
      p: Float[n], source probabilities.
      x: Float[n, k], letters.
      book: the codebook.
      q: Float[m], output marginal.
      s: Float[] or Float[n], prices, bits per unit.
      gradient: Float[m, k].
      rate: Float[], 1 for the centroid; below 2 the rate cannot rise to first order.
    """
    p, q = jnp.asarray(p, float), jnp.asarray(q, float)
    letter = posterior(squared_distances(x, book.points), q, jnp.asarray(s, float))
    weight = 2.0 * (p * s) @ letter
    step = jnp.where(weight > 0, rate / jnp.where(weight > 0, weight, 1.0), 0.0)
    return Codebook(book.points - step[:, None] * jnp.asarray(gradient), book.mask)


@in_float64
def convex_step(
    p: ArrayLike, x: ArrayLike, book: Codebook, constraints: Constraints, *, tol_bits: float = 1e-6
) -> RDPoint:
    """The certified point of R(D) at this codebook: `solve_fixed` on its squared distances."""
    d = squared_distances(x, book.points)
    return solve_fixed(p, d, constraints, tol_bits=tol_bits, mask=book.mask)


@program
def refine_codebook(
    p: Float[ArrayLike, " n"],
    x: Float[ArrayLike, "n k"] | Float[ArrayLike, " n"],
    book: Codebook | Float[ArrayLike, "m k"] | Float[ArrayLike, " m"],
    constraints: Constraints,
    *,
    steps: int = 20,
    gradient: Literal["envelope", "implicit", "cvxpylayers"] = "envelope",
    marginal: Marginal | None = None,
    rate: Float[ArrayLike, ""] = 1.0,
    least_mass: Float[ArrayLike, ""] = 1e-3,
    least_distance: Float[ArrayLike, ""] = 1e-3,
) -> tuple[Codebook, RDPoint]:
    """A codebook refined for squared error: `steps` times convex step, gradient step, merge.

    Args:
      p: source probabilities.
      x: letters.
      book: codewords to start from: points, or a `Codebook` with some of them out of use.
      constraints: what every point has to satisfy: constraints, or a number, the mean squared
        error.
      steps: how many.
      gradient: how the output marginal is differentiated: held still (the envelope theorem), by
        the implicit function theorem in JAX, or through a cvxpylayers layer on the host. All three
        give the same codebooks; the last takes a second and more for each step.
      marginal: a traceable function of one's own instead (module docstring).
      rate: see `move`.
      least_mass: codewords below this probability are dropped.
      least_distance: codewords no farther apart are merged.

    Returns:
      The codebook after the last step (`points` and the `mask` of those in use), and the points
      *before* each step, stacked. A codebook that has become too small for the constraints shows
      as `infeasible`.

    Raises:
      ValueError: as `solve_fixed`; letters or codewords that are not finite or do not fit; a
        marginal that runs on the host.

    >>> import numpy as np, ratedist
    >>> p, x = np.full(8, 1 / 8), np.arange(8.0)
    >>> book, points = ratedist.refine_codebook(p, x, [0.0, 3.0, 7.0], 1.5, steps=10)
    >>> bool(points.converged.all()), bool(points.rate_ub[-1] < points.rate_ub[0])
    (True, True)
    """
    letters = as_points(x)
    book = book if isinstance(book, Codebook) else codebook(as_array(book))
    check_points(letters, book.points)
    p = as_array(p)
    check_problem(p, np.zeros((letters.shape[0], 1)))
    rows = constraint_rows(p, constraints)
    check_constraints(p, rows)
    rows = tuple(Constraint(as_array(row.weights), row.level) for row in rows)
    numbers = (rate, least_mass, least_distance)
    if steps < 1:
        raise ValueError(f"{steps} steps; at least one")
    start = Codebook(*map(jnp.asarray, book))
    if marginal is None:
        if gradient not in ("envelope", "implicit", "cvxpylayers"):
            raise ValueError(f"gradient {gradient!r}: 'envelope', 'implicit' or 'cvxpylayers'")
        if gradient == "cvxpylayers":
            return _refine_on_host(p, letters, start, rows, numbers, steps)
        marginal = envelope if gradient == "envelope" else optimal_marginal
    try:
        return _refine(p, letters, start, rows, numbers, steps, marginal)
    except jax.errors.TracerArrayConversionError as error:
        raise ValueError(
            "the marginal runs on the host and cannot be compiled: call convex_step, "
            "value_and_gradient, move and merging.merge in turn"
        ) from error


@functools.partial(jax.jit, static_argnames=("steps", "marginal"))
def _refine(
    p: Any, x: Any, book: Codebook, rows: Any, numbers: Any, steps: int, marginal: Marginal
) -> tuple[Codebook, RDPoint]:
    p, x = jnp.asarray(as_mass(p)), jnp.asarray(x, float)

    def step(book: Codebook, nothing: None) -> tuple[Codebook, RDPoint]:
        del nothing
        return _step(p, x, book, rows, numbers, marginal)

    return jax.lax.scan(step, book, None, length=steps)


def _step(
    p: jax.Array, x: jax.Array, book: Codebook, rows: Any, numbers: Any, marginal: Marginal
) -> tuple[Codebook, RDPoint]:
    rate, least_mass, least_distance = numbers
    point = convex_step(p, x, book, rows)
    _, gradient = value_and_gradient(lagrangian, marginal, p, x, book, point.slope)
    moved = move(p, x, book, point.q, point.slope, gradient, rate)
    merged, _ = merge(moved, point.q, least_mass=least_mass, least_distance=least_distance)
    return merged, point


def _refine_on_host(
    p: Any, x: Any, book: Codebook, rows: Any, numbers: Any, steps: int
) -> tuple[Codebook, RDPoint]:
    """The same steps one after another: a layer of cvxpylayers cannot be compiled."""
    from ratedist.codebooks.convex_layer import ConvexLayer

    p, x = jnp.asarray(as_mass(p)), jnp.asarray(x, float)
    layer = ConvexLayer(np.asarray(p), book.points.shape[0])

    def marginal(p: Any, d: Any, s: Any, mask: Any) -> jax.Array:
        del p  # the layer's own
        return layer(d, s, mask)

    points = []
    for _ in range(steps):
        book, point = _step(p, x, book, rows, numbers, marginal)
        points.append(point)
    return book, jax.tree.map(lambda *parts: jnp.stack(parts), *points)
