"""Greedy facility location: a subset in which every image has one that is like it.

Maximises F(S) = sum_i max_{j in S} s_ij over subsets S of a given size, where s_ij = d_max - d_ij
and d is a distance; of gradients for CRAIG (Mirzasoleiman, Bilmes, Leskovec 2020) and CRUST
(Mirzasoleiman, Cao, Leskovec 2020). F is monotone and submodular, so adding the image of largest
*gain* F(S + e) - F(S), again and again, reaches (1 - 1/e) of the best: Nemhauser, Wolsey, Fisher
(1978). Gains never grow, so an image whose old gain is not above another's current one need not be
evaluated: lazy greedy, Minoux (1978), which selects the same images. Stochastic greedy evaluates a
random sample of (N / k) ln(1 / eps) images in each step and reaches (1 - 1/e - eps) on average:
Mirzasoleiman et al. (2015), arXiv:1409.7938.

The published program of CRUST stores totals F(S + e) in place of gains: its old totals are *below*
the current ones, every image that is evaluated is taken, and the subset is the most central images.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key


class Selection(NamedTuple):
    """A subset in the order of its selection.

    Attributes:
      indices: Int[k], distinct.
      gains: Float[k], what each added to F, not increasing (but for `stochastic_greedy`).
      objective: Float[], F of them all: the sum of the gains.
      evaluations: Int[], gains that were computed.
    """

    indices: Int[Array, " k"]
    gains: Float[Array, " k"]
    objective: Float[Array, ""]
    evaluations: Int[Array, ""]


def similarities(distances: Array) -> Array:
    """S = d_max - d, Float[N, M] >= 0."""
    return distances.max() - distances


def lazy_greedy(similarity: Float[Array, "n m"], count: int) -> Selection:
    """The greedy subset; of equal gains the first.

    Args:
      similarity: Float[N, M] >= 0 of N images to M candidates.
      count: k, at most M.

    Returns:
      A `Selection`. Each gain takes O(N), and each maximum over the old gains O(M).

    Raises:
      ValueError: a count that cannot be.
    """
    _check(similarity, count)
    columns = similarity.T

    def choose(step: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        nearest, old, indices, gains, evaluations = carry

        def stale(state: tuple[Array, Array, Array]) -> Array:
            old, current, _ = state
            return ~current[jnp.argmax(old)]

        def evaluate(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            old, current, evaluations = state
            best = jnp.argmax(old)
            gain = jnp.sum(jnp.maximum(columns[best] - nearest, 0))
            # Rounding must not let a current gain overtake the bound that it replaces.
            gain = jnp.minimum(gain, old[best])
            return old.at[best].set(gain), current.at[best].set(True), evaluations + 1

        state = (old, jnp.zeros(old.shape, bool), evaluations)
        old, _, evaluations = jax.lax.while_loop(stale, evaluate, state)
        best = jnp.argmax(old)
        return (
            jnp.maximum(nearest, columns[best]),
            old.at[best].set(-jnp.inf),
            indices.at[step].set(best),
            gains.at[step].set(old[best]),
            evaluations,
        )

    return _run(choose, similarity, count, jnp.full(columns.shape[:1], jnp.inf, columns.dtype))


def stochastic_greedy(
    key: Key[Array, ""], similarity: Float[Array, "n m"], count: int, *, epsilon: float
) -> Selection:
    """Greedy among a random sample of candidates in each step.

    Args:
      key: typed PRNG key.
      similarity: Float[N, M] >= 0.
      count: k, at most M.
      epsilon: loss of the mean objective at most, as a share; below 1.

    Raises:
      ValueError: a count or an epsilon that cannot be.
    """
    _check(similarity, count)
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon is {epsilon}; use a number between 0 and 1")
    columns = similarity.T
    n_candidates = columns.shape[0]
    sample_size = min(n_candidates, math.ceil(n_candidates / count * math.log(1 / epsilon)))

    def choose(step: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        nearest, free, indices, gains, evaluations = carry
        # The largest of random numbers are a sample without replacement; chosen images have none.
        odds = jax.random.uniform(jax.random.fold_in(key, step), free.shape)
        _, sample = jax.lax.top_k(jnp.where(free > 0, odds, -1.0), sample_size)
        gain = jnp.sum(jnp.maximum(columns[sample] - nearest[None], 0), axis=-1)
        gain = jnp.where(free[sample] > 0, gain, -jnp.inf)
        best = sample[jnp.argmax(gain)]
        return (
            jnp.maximum(nearest, columns[best]),
            free.at[best].set(0),
            indices.at[step].set(best),
            gains.at[step].set(gain.max()),
            evaluations + sample_size,
        )

    return _run(choose, similarity, count, jnp.ones(n_candidates, columns.dtype))


def objective(similarity: Array, subset: Array) -> Array:
    """F(S), Float[], of the candidates Int[k]."""
    return jnp.sum(similarity[:, subset].max(axis=-1))


def cluster_sizes(distances_to_subset: Float[Array, "n k"]) -> Float[Array, " k"]:
    """CRAIG's weights: how many images each chosen one stands for.

    Args:
      distances_to_subset: Float[N, k].

    Returns:
      Float[k], adding up to N. An image at equal distances counts for the first.
    """
    nearest = jnp.argmin(distances_to_subset, axis=-1)
    n_chosen = distances_to_subset.shape[1]
    ones = jnp.ones(nearest.shape, distances_to_subset.dtype)
    return jax.ops.segment_sum(ones, nearest, n_chosen)


def _run(choose, similarity: Array, count: int, candidates: Array) -> Selection:
    carry = (
        jnp.zeros(similarity.shape[:1], similarity.dtype),
        candidates,
        jnp.zeros(count, jnp.int32),
        jnp.zeros(count, similarity.dtype),
        jnp.zeros((), jnp.int32),
    )
    _, _, indices, gains, evaluations = jax.lax.fori_loop(0, count, choose, carry)
    return Selection(indices, gains, jnp.sum(gains), evaluations)


def _check(similarity: Array, count: int) -> None:
    if not 1 <= count <= similarity.shape[1]:
        raise ValueError(f"{count} of {similarity.shape[1]} candidates cannot be chosen")
