"""Codebooks that shrink without a new shape: codewords are masked out, not removed.

A codeword is dropped when hardly any letter uses it, and codewords that have met become one. The
arrays keep their size, so a compiled step serves the codebook from its first size to its last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ratedist.problem.checks import as_array, concrete
from ratedist.problem.float64 import in_float64


class Codebook(NamedTuple):
    """Reconstruction points, some of them out of use.

    Attributes:
      points: Float[m, k].
      mask: Bool[m], true for those in use.
    """

    points: jax.Array
    mask: jax.Array


def as_points(x: Any) -> Any:
    """Float[n] or Float[n, k] as Float[n, k]."""
    x = as_array(x)
    return x[:, None] if x.ndim == 1 else x


def check_points(x: Any, y: Any) -> None:
    """Raise for letters and codewords that do not fit together.

    Raises:
      ValueError: different dimensions, or a number that is known not to be finite.
    """
    if np.ndim(x) != 2 or np.ndim(y) != 2 or np.shape(x)[1] != np.shape(y)[1]:
        raise ValueError(
            f"letters of shape {np.shape(x)} and codewords of shape {np.shape(y)};"
            " expected (n, k) and (m, k)"
        )
    for name, points in (("letter", concrete(x)), ("codeword", concrete(y))):
        if points is not None and not np.isfinite(points).all():
            raise ValueError(f"a {name} is not finite")


@in_float64
def codebook(points: ArrayLike, mask: ArrayLike | None = None) -> Codebook:
    """Points Float[m, k] or Float[m], and a mask (all in use if None)."""
    points = jnp.asarray(points, float)
    points = points[:, None] if points.ndim == 1 else points
    used = jnp.ones(points.shape[0], bool) if mask is None else jnp.asarray(mask, bool)
    return Codebook(points, used)


@in_float64
def squared_distances(x: ArrayLike, points: ArrayLike) -> jax.Array:
    """|x_i - y_j|^2, Float[n, m], traceable and differentiable in both."""
    x, y = jnp.asarray(x, float), jnp.asarray(points, float)
    return jnp.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=2)


@in_float64
def merge(
    book: Codebook, q: ArrayLike, *, least_mass: float = 1e-3, least_distance: float = 1e-3
) -> tuple[Codebook, jax.Array]:
    """Drop light codewords, and let those that are close to one another become one.

    Args:
      book: the codebook.
      q: Float[m], probability of each codeword.
      least_mass: codewords below it are dropped; the heaviest always stays.
      least_distance: codewords no farther apart become their weighted mean. Three codewords in a
        row, each close to the next, become one.

    Returns:
      The smaller codebook, and the probabilities that go with it.
    """
    q = jnp.where(book.mask, jnp.asarray(q, float), 0.0)
    stays = (q >= least_mass) | (jnp.arange(q.size) == jnp.argmax(q))
    q = jnp.where(stays & book.mask, q, 0.0)
    alive = q > 0
    apart = squared_distances(book.points, book.points)
    close = (apart <= least_distance**2) & alive[:, None] & alive[None, :]
    # Each codeword joins the first of those close to it, and then wherever that one went.
    leader = jnp.where(alive, jnp.argmax(close, axis=1), jnp.arange(q.size))
    leader = jax.lax.fori_loop(0, max(q.size - 1, 1).bit_length(), lambda _, a: a[a], leader)
    mass = jax.ops.segment_sum(q, leader, q.size)
    total = jax.ops.segment_sum(q[:, None] * book.points, leader, q.size)
    mask = mass > 0
    points = jnp.where(mask[:, None], total / jnp.where(mask, mass, 1.0)[:, None], book.points)
    return Codebook(points, mask), mass / mass.sum()
