"""k-center: a subset that no image is far from.

Minimises max_n min_{c in C} d(n, c) over k images C. Taking the farthest image from those chosen so
far, again and again, ends within twice the best radius: Gonzalez (1985), "Clustering to minimize
the maximum intercluster distance". Only distances to the chosen images are ever computed, so the
whole data set can be the candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int


class Centres(NamedTuple):
    """Centres in the order of their selection.

    Attributes:
      indices: Int[k], distinct.
      radii: Float[k], distance of the farthest image after each; not increasing.
    """

    indices: Int[Array, " k"]
    radii: Float[Array, " k"]


def farthest_first(
    first: Array | int, distances_to: Callable[[Array], Array], count: int
) -> Centres:
    """Gonzalez's choice.

    Args:
      first: Int[], the image to begin with; the bound holds for any.
      distances_to: Int[] -> Float[N], distances of all images to one.
      count: k, at most N.

    Returns:
      `Centres`; of images equally far the first. Where all images are copies of centres, more
      copies follow.
    """

    def add(step: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        indices, radii, nearest, last = carry
        nearest = jnp.minimum(nearest, distances_to(last)).at[last].set(-1)
        farthest = jnp.argmax(nearest)
        indices = indices.at[step].set(last)
        return indices, radii.at[step].set(jnp.maximum(nearest[farthest], 0)), nearest, farthest

    last = jnp.asarray(first, jnp.int32)
    like = jax.eval_shape(distances_to, last)
    if not 1 <= count <= like.shape[0]:
        raise ValueError(f"{count} of {like.shape[0]} images cannot be chosen")
    carry = (
        jnp.zeros(count, jnp.int32),
        jnp.zeros(count, like.dtype),
        jnp.full(like.shape, jnp.inf, like.dtype),
        last,
    )
    indices, radii, _, _ = jax.lax.fori_loop(0, count, add, carry)
    return Centres(indices, radii)


def row_distances(features: Array) -> Callable[[Array], Array]:
    """Image number Int[] -> Float[N], Euclidean distances to it between rows of Float[N, d]."""

    def to(image: Array) -> Array:
        return jnp.sqrt(jnp.sum(jnp.square(features - features[image][None]), axis=-1))

    return to
