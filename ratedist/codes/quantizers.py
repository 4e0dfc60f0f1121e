"""Deterministic codes: Lloyd-Max, the optimal scalar quantiser by dynamic programming, and ECVQ.

A deterministic code gives each letter x one cell with probability q_j and reconstruction y_j. An
entropy coder then spends H(Y) bits, so at the price s (bits per unit of squared error) the best
code minimises the Lagrangian

    J = H(q) + s E|X - y(X)|^2.

* In one dimension the cells of an optimal code are intervals (Gyorgy and Linder 2002), and the best
  partition into intervals is a shortest path: `scalar_code` finds the global minimum.
* In any dimension `ecvq` descends from a start (Chou, Lookabaugh and Gray 1989): nearest codeword
  with its length added, then centroids and lengths. `lloyd_max` leaves the lengths out.

Everything is traceable; `jax.vmap` runs over prices, starts or masks.

>>> from ratedist import quantizers
>>> p, x = [0.25, 0.25, 0.25, 0.25], [-1.1, -0.9, 0.9, 1.1]
>>> code = quantizers.scalar_code_at(p, x, 0.02)
>>> float(code.rate_bits), round(float(code.distortion), 4), code.cell.tolist()
(1.0, 0.01, [0, 0, 1, 1])
>>> start = quantizers.lloyd_max(p, x, [-1.0, 1.0])
>>> entropy_coded = quantizers.ecvq(p, x, start.points, 2.0)
>>> bool(entropy_coded.rate_bits <= start.rate_bits)
True
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from fewbits.coding.units import entropy_bits, log2
from ratedist.problem.checks import (
    as_array,
    as_mass,
    check_level,
    check_mass,
    check_price,
    concrete,
)
from ratedist.problem.float64 import program

__all__ = ["Code", "ecvq", "lloyd_max", "scalar_code", "scalar_code_at"]

_BISECTIONS = 60
_STEEPEST = 60.0


class Code(NamedTuple):
    """A deterministic code of a source with n letters in k dimensions; m slots for cells.

    Attributes:
      points: reconstruction of each cell; arbitrary where `mass` is zero.
      mass: probability of each cell; zero for a slot that is not used.
      cell: the cell of each letter.
      rate_bits: entropy of the cells, bits per letter.
      distortion: mean squared error, summed over the k dimensions.
    """

    points: Float[Array, "m k"]
    mass: Float[Array, " m"]
    cell: Int[Array, " n"]
    rate_bits: Float[Array, ""]
    distortion: Float[Array, ""]

    @property
    def used(self) -> Bool[Array, " m"]:
        """The slots that some letter uses."""
        return self.mass > 0


@program
def scalar_code(
    p: Float[ArrayLike, " n"], x: Float[ArrayLike, " n"], s: Float[ArrayLike, ""]
) -> Code:
    """The scalar code with the smallest H(q) + s E|X - y|^2 of all: a shortest path.

    With the letters sorted, best(b) = min_{a < b} best(a) + cost(a, b) where a cell of the letters
    a to b - 1 costs s SSE - w log2 w and w is its probability. Cost: n^2.

    Args:
      p: probabilities.
      x: letters, in any order.
      s: price of distortion, bits per unit; 0 gives one cell.

    Returns:
      The code, with n slots; only those in use have mass.

    Raises:
      ValueError: shapes that do not fit, a bad probability vector, a letter that is not finite, or
        a negative price.
    """
    p, x = _source(p, x, 1)
    check_price(s)
    return _scalar(p, x, as_array(s))


@program
def scalar_code_at(
    p: Float[ArrayLike, " n"], x: Float[ArrayLike, " n"], level: Float[ArrayLike, ""]
) -> Code:
    """The optimal scalar code of smallest price whose distortion is at most `level`.

    Prices reach the codes on the lower convex hull of rate and distortion, so the distortion may
    fall short of the level; what lies between two such codes is time sharing.

    Args:
      p: probabilities.
      x: letters.
      level: largest mean squared error allowed.

    Raises:
      ValueError: see `scalar_code`; a level that is negative or not finite.
    """
    p, x = _source(p, x, 1)
    check_level(level)
    known = concrete(level)
    if known is not None and known < 0:
        raise ValueError(f"distortion level {known}; a squared error is not negative")
    return _scalar_at(p, x, as_array(level))


@program
def lloyd_max(
    p: Float[ArrayLike, " n"],
    x: Float[ArrayLike, "n k"] | Float[ArrayLike, " n"],
    y: Float[ArrayLike, "m k"] | Float[ArrayLike, " m"],
    *,
    iterations: int = 300,
    mask: Bool[ArrayLike, " m"] | None = None,
) -> Code:
    """Nearest codeword, then centroids, until no letter moves (Lloyd 1957, Max 1960).

    Args:
      p: probabilities.
      x: letters.
      y: codewords to start from.
      iterations: at most so many.
      mask: codewords in use (all if None).

    Raises:
      ValueError: shapes that do not fit, or a bad probability vector.
    """
    return ecvq(p, x, y, np.inf, iterations=iterations, mask=mask)


@program
def ecvq(
    p: Float[ArrayLike, " n"],
    x: Float[ArrayLike, "n k"] | Float[ArrayLike, " n"],
    y: Float[ArrayLike, "m k"] | Float[ArrayLike, " m"],
    s: Float[ArrayLike, ""],
    *,
    iterations: int = 300,
    mask: Bool[ArrayLike, " m"] | None = None,
) -> Code:
    """Entropy-constrained vector quantiser: a local minimum of H(q) + s E|X - y|^2.

    Args:
      p: probabilities.
      x: letters.
      y: codewords to start from.
      s: price of distortion, bits per unit; inf counts distortion alone.
      iterations: at most so many; it ends when no letter moves.
      mask: codewords in use (all if None); a codeword that loses its last letter is lost.

    Raises:
      ValueError: shapes that do not fit, a bad probability vector, or a negative price.
    """
    start = _as_points(y)
    p, x = _source(p, x, start.shape[1])
    check_price(s)
    mask = np.ones(start.shape[0], bool) if mask is None else as_array(mask)
    return _descend(p, x, start, as_array(s), iterations, mask)


@jax.jit
def _scalar(p: Any, x: Any, s: Any) -> Code:
    p, x = jnp.asarray(as_mass(p)), jnp.asarray(x, jnp.float64)[:, 0]
    order = jnp.argsort(x)
    cell = _shortest_path(x[order], p[order], jnp.asarray(s, jnp.float64))
    return _code(x[:, None], p, jnp.zeros_like(cell).at[order].set(cell), x.size)


@jax.jit
def _scalar_at(p: Any, x: Any, level: Any) -> Code:
    p, x = jnp.asarray(as_mass(p)), jnp.asarray(x, jnp.float64)
    level = jnp.asarray(level, jnp.float64)
    scale = jnp.maximum(p @ (x[:, 0] - p @ x[:, 0]) ** 2, jnp.finfo(jnp.float64).tiny)
    # A level of zero is met by the rounding error of a centroid.
    level = level + 1e-14 * scale

    def halve(_: int, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        enough = _scalar(p, x, jnp.exp2(middle) / scale).distortion <= level
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    bracket = (jnp.asarray(-_STEEPEST), jnp.asarray(_STEEPEST))
    _, high = jax.lax.fori_loop(0, _BISECTIONS, halve, bracket)
    return _scalar(p, x, jnp.exp2(high) / scale)


@jax.jit
def _descend(p: Any, x: Any, y: Any, s: Any, iterations: Any, mask: Any) -> Code:
    """The alternation of both; an infinite price counts distortion alone."""
    p, x = jnp.asarray(as_mass(p)), jnp.asarray(x, jnp.float64)
    y, used = jnp.asarray(y, jnp.float64), jnp.asarray(mask, bool)
    s = jnp.asarray(s, jnp.float64)
    size = y.shape[0]
    distance_price = jnp.where(jnp.isinf(s), 1.0, s)
    length_price = jnp.where(jnp.isinf(s), 0.0, 1.0)

    def assign(points: jax.Array, length: jax.Array) -> jax.Array:
        # |x|^2 is the same for every codeword.
        near = jnp.sum(points**2, axis=1)[None, :] - 2.0 * x @ points.T
        return jnp.argmin(distance_price * near + length[None, :], axis=1)

    def step(
        carry: tuple[jax.Array, jax.Array, jax.Array, jax.Array],
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        points, cell, _, count = carry
        code = _code(x, p, cell, size)
        points = jnp.where(code.used[:, None], code.points, points)
        length = jnp.where(code.used, -length_price * log2(code.mass), jnp.inf)
        moved = assign(points, length)
        return points, moved, jnp.any(moved != cell), count + 1

    first = assign(y, jnp.where(used, 0.0, jnp.inf))
    start = (y, first, jnp.asarray(True), jnp.asarray(0))
    end = jax.lax.while_loop(lambda c: c[2] & (c[3] < iterations), step, start)
    return _code(x, p, end[1], size)


def _code(x: jax.Array, p: jax.Array, cell: jax.Array, size: int) -> Code:
    """The code with these cells: centroids and masses."""
    mass = jax.ops.segment_sum(p, cell, size)
    total = jax.ops.segment_sum(p[:, None] * x, cell, size)
    points = total / jnp.where(mass > 0, mass, 1.0)[:, None]
    distortion = p @ jnp.sum((x - points[cell]) ** 2, axis=1)
    return Code(points, mass, cell, entropy_bits(mass), distortion)


def _shortest_path(x: jax.Array, p: jax.Array, s: jax.Array) -> jax.Array:
    """Int[n], the interval of each sorted letter, counted from the left."""
    size = x.size
    # Prefix sums around the mean, for the sake of their digits.
    x = x - p @ x
    mass, first, second = (
        jnp.concatenate([jnp.zeros(1), jnp.cumsum(moment)]) for moment in (p, p * x, p * x**2)
    )
    places = jnp.arange(size + 1)

    def shortest(best: jax.Array, end: jax.Array) -> tuple[jax.Array, jax.Array]:
        weight = jnp.maximum(mass[end] - mass, 0.0)
        safe = jnp.where(weight > 0, weight, 1.0)
        spread = jnp.maximum(second[end] - second - (first[end] - first) ** 2 / safe, 0.0)
        total = jnp.where(places < end, best + s * spread - weight * log2(weight), jnp.inf)
        start = jnp.argmin(total)
        return best.at[end].set(total[start]), start

    start_best = jnp.full(size + 1, jnp.inf).at[0].set(0.0)
    _, starts = jax.lax.scan(shortest, start_best, places[1:])

    def back(boundary: jax.Array, end: jax.Array) -> tuple[jax.Array, jax.Array]:
        here = boundary == end
        return jnp.where(here, starts[end - 1], boundary), here

    _, ends = jax.lax.scan(back, jnp.asarray(size), places[1:], reverse=True)
    return jnp.cumsum(ends) - ends


def _source(p: ArrayLike, x: ArrayLike, dimensions: int) -> tuple[Any, Any]:
    p, points = as_array(p), _as_points(x)
    if points.shape != (np.size(p), dimensions) or np.ndim(p) != 1:
        raise ValueError(
            f"letters of shape {np.shape(x)} and probabilities of shape {np.shape(p)};"
            f" expected (n, {dimensions}) and (n,)"
        )
    mass, known = concrete(p), concrete(points)
    if mass is not None:
        check_mass(mass)
    if known is not None and not np.isfinite(known).all():
        raise ValueError("a letter is not finite")
    return p, points


def _as_points(x: ArrayLike) -> Any:
    points = as_array(x)
    return points[:, None] if points.ndim == 1 else points
