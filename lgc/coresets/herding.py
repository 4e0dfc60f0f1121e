"""Herding: a subset whose mean stays as near as it can to the mean of all.

Image after image is added that brings (1/t) sum_{s in S} phi(x_s) nearest to where the mean mu of
phi points: the one that maximises <phi(x), w_t>, w_{t+1} = w_t + mu - phi(x_t), w_0 = mu; Welling
(2009), "Herding dynamical weights to learn", with kernels Chen, Welling, Smola (2010),
arXiv:1203.3472. Images are taken once each, as the distillation papers' baseline does.

Only inner products take part, so phi may be a gradient that is never written out
(`lgc.coresets.gradients.kernel`).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int


def herd(
    with_mean: Float[Array, " n"], products_with: Callable[[Array], Array], count: int
) -> Int[Array, " k"]:
    """Int[k]: distinct images in the order of their selection; of equals the first.

    Args:
      with_mean: Float[N], <phi(x_n), mu>.
      products_with: Int[] -> Float[N], <phi(x_n), phi(x_i)> of all images with one.
      count: k, at most N.

    Raises:
      ValueError: a count that cannot be.
    """
    if not 1 <= count <= with_mean.shape[0]:
        raise ValueError(f"{count} of {with_mean.shape[0]} images cannot be chosen")

    def add(step: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        indices, score, free = carry
        best = jnp.argmax(jnp.where(free, score, -jnp.inf))
        score = score + with_mean - products_with(best)
        return indices.at[step].set(best), score, free.at[best].set(False)

    start = jnp.zeros(count, jnp.int32), with_mean, jnp.ones(with_mean.shape, bool)
    return jax.lax.fori_loop(0, count, add, start)[0]


def linear(features: Array) -> tuple[Array, Callable[[Array], Array]]:
    """The arguments of `herd` for phi(x) = the rows of Float[N, d]."""
    return features @ features.mean(axis=0), lambda image: features @ features[image]
