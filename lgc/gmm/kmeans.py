"""k-means with a k-means++ start: hard labels, the start of EM.

Minimises sum_n min_k |x_n - c_k|^2. Start: Arthur and Vassilvitskii (2007), "k-means++", with
the greedy choice among 2 + log K candidates that scikit-learn makes. Iterations: Lloyd (1982),
to the end scikit-learn uses: centres move by less than 1e-4 of the mean variance, or 300 steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class KMeansResult(NamedTuple):
    """Centres and the labels they give.

    Attributes:
      centres: (K, D).
      labels: (N,) index of the nearest centre.
      inertia: sum of squared distances to the nearest centre, over unmasked samples.
      iterations: Lloyd steps taken.
    """

    centres: Array
    labels: Array
    inertia: Array
    iterations: Array


def _squared_distances(samples: Array, centres: Array) -> Array:
    """(K, N) squared distances, clipped at zero."""
    cross = centres @ samples.T
    sums = jnp.sum(centres**2, axis=-1)[:, None] + jnp.sum(samples**2, axis=-1)[None]
    return jnp.maximum(sums - 2 * cross, 0)


def plus_plus(key: Array, samples: Array, weights: Array, n_centres: int) -> Array:
    """Greedy k-means++ centres, drawn from the samples.

    Args:
      key: typed PRNG key.
      samples: (N, D).
      weights: (N,) 1 for a sample, 0 for padding.
      n_centres: K.

    Returns:
      (K, D). Where fewer than K distinct samples exist, some centres coincide.
    """
    n_candidates = 2 + int(math.log(n_centres))
    draws = jax.random.uniform(key, (n_centres, n_candidates), samples.dtype)

    def draw(odds: Array, uniform: Array) -> Array:
        cumulative = jnp.cumsum(odds)
        # side="right" never lands on a sample of zero odds.
        chosen = jnp.searchsorted(cumulative, uniform * cumulative[-1], side="right")
        return samples[jnp.minimum(chosen, samples.shape[0] - 1)]

    first = draw(weights, draws[0, :1])
    centres = jnp.zeros((n_centres, samples.shape[1]), samples.dtype).at[:1].set(first)
    nearest = weights * _squared_distances(samples, first)[0]

    def add(index, carry):
        centres, nearest = carry
        # All samples on a centre already: any of them will do.
        candidates = draw(jnp.where(jnp.sum(nearest) > 0, nearest, weights), draws[index])
        distances = _squared_distances(samples, candidates)
        closer = jnp.minimum(nearest[None], weights[None] * distances)
        best = jnp.argmin(jnp.sum(closer, axis=-1))
        return centres.at[index].set(candidates[best]), closer[best]

    centres, _ = jax.lax.fori_loop(1, n_centres, add, (centres, nearest))
    return centres


def lloyd(
    key: Array,
    samples: Array,
    weights: Array,
    active: Array,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 300,
) -> KMeansResult:
    """Lloyd's iterations from k-means++ centres.

    Args:
      key: typed PRNG key.
      samples: (N, D).
      weights: (N,) 1 for a sample, 0 for padding.
      active: (K,) False for centres that must not be used. Active ones come first.
      tolerance: stops when the squared movement of the centres falls below this times the
        mean variance of the samples.
      max_iterations: Lloyd steps at most.

    Returns:
      A `KMeansResult`; a centre that lost all samples stays where it was.
    """
    n_centres = active.shape[0]
    total = jnp.maximum(jnp.sum(weights), 1)
    mean = weights @ samples / total
    variance = jnp.mean(weights @ (samples - mean[None]) ** 2 / total)

    def assign(centres: Array) -> tuple[Array, Array]:
        distances = jnp.where(active[:, None], _squared_distances(samples, centres), jnp.inf)
        labels = jnp.argmin(distances, axis=0)
        return labels, jnp.sum(weights * jnp.min(distances, axis=0))

    def unfinished(carry):
        _, _, movement, iterations = carry
        return (movement > tolerance * variance) & (iterations < max_iterations)

    def body(carry):
        centres, labels, _, iterations = carry
        members = weights[None] * (labels[None] == jnp.arange(n_centres)[:, None])
        counts = jnp.sum(members, axis=-1, keepdims=True)
        updated = jnp.where(counts > 0, members @ samples / jnp.maximum(counts, 1), centres)
        return updated, assign(updated)[0], jnp.sum((updated - centres) ** 2), iterations + 1

    centres = plus_plus(key, samples, weights, n_centres)
    labels, _ = assign(centres)
    start = (centres, labels, jnp.array(jnp.inf, samples.dtype), jnp.array(0))
    centres, labels, _, iterations = jax.lax.while_loop(unfinished, body, start)
    labels, inertia = assign(centres)
    return KMeansResult(centres, labels, inertia, iterations)
