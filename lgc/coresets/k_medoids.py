"""k-medoids: the images with the smallest sum of distances to their nearest, by swaps.

Minimises sum_n min_{m in M} d(n, m) over k images M. Start: k-medoids++, the seeding of Arthur and
Vassilvitskii (2007) on given distances, with the greedy choice among 2 + ln k candidates. Swaps:
FasterPAM, Schubert and Rousseeuw (2021), "Fast and eager k-medoids clustering", arXiv:2008.05171:
for one image after another, the change of the objective if it replaced each of the medoids
follows in O(N) from the distances to the nearest and the second nearest medoid; the
best swap is made at once if it gains anything. The end is a set that no single swap improves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key

_LEAST_GAIN = 1e-6
"""Of the objective: what a swap must gain, above what rounding may feign."""


class Medoids(NamedTuple):
    """Medoids and what they cost.

    Attributes:
      indices: Int[k], distinct images.
      labels: Int[N], which medoid is nearest.
      objective: Float[], sum of the distances to the nearest.
      swaps: Int[], swaps made.
      converged: Bool[], no swap gains more than a millionth of the objective.
    """

    indices: Int[Array, " k"]
    labels: Int[Array, " n"]
    objective: Float[Array, ""]
    swaps: Int[Array, ""]
    converged: Bool[Array, ""]


class _Nearest(NamedTuple):
    label: Array
    """Int[N], the nearest medoid."""
    near: Array
    """Float[N], its distance."""
    second: Array
    """Float[N], the distance of the second nearest."""


class _State(NamedTuple):
    medoids: Array
    rows: Array
    """Float[k, N], distances from the medoids."""
    nearest: _Nearest
    candidate: Array
    idle: Array
    """Candidates evaluated since the last swap."""
    evaluated: Array
    swaps: Array


def plus_plus(key: Key[Array, ""], distances: Float[Array, "n n"], count: int) -> Int[Array, " k"]:
    """Int[k]: images drawn one after another, with odds as their squared distance to those before.

    Of 2 + ln k draws each time, the one that leaves the smallest sum of squared distances.

    Args:
      key: typed PRNG key.
      distances: Float[N, N].
      count: k.
    """
    key_first, key_rest = jax.random.split(key)
    n_images = distances.shape[0]
    n_draws = 2 + int(math.log(count))
    first = jax.random.randint(key_first, (), 0, n_images)

    def add(step: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        chosen, free, nearest = carry
        # Where copies of the medoids are all that is left, any of them will do.
        odds = jnp.where(free, nearest, 0)
        odds = jnp.where(jnp.sum(odds) > 0, odds, free.astype(odds.dtype))
        draws = jax.random.categorical(
            jax.random.fold_in(key_rest, step), jnp.log(odds), shape=(n_draws,)
        )
        closer = jnp.minimum(nearest[None], jnp.square(distances[draws]))
        best = jnp.argmin(jnp.sum(closer, axis=-1))
        chosen = chosen.at[step].set(draws[best])
        return chosen, free.at[draws[best]].set(False), closer[best]

    start = (
        jnp.zeros(count, jnp.int32).at[0].set(first),
        jnp.ones(n_images, bool).at[first].set(False),
        jnp.square(distances[first]),
    )
    return jax.lax.fori_loop(1, count, add, start)[0]


def faster_pam(
    distances: Float[Array, "n n"],
    medoids: Int[Array, " k"],
    *,
    max_candidates: int | Array | None = None,
) -> Medoids:
    """Swaps until none gains.

    Args:
      distances: Float[N, N], not negative, zero on the diagonal.
      medoids: Int[k], the start; distinct.
      max_candidates: candidates evaluated at most; by default 100 times all images.

    Returns:
      `Medoids`. A candidate takes O(N), a swap O(N k).
    """
    n_images, count = distances.shape[0], medoids.shape[0]
    farthest = distances.max()
    limit = 100 * n_images if max_candidates is None else max_candidates

    def unfinished(state: _State) -> Array:
        return (state.idle < n_images) & (state.evaluated < limit)

    def evaluate(state: _State) -> _State:
        change = swap_changes(distances[state.candidate], *state.nearest, count)
        place = jnp.argmin(change)
        gains = change[place] < -_LEAST_GAIN * jnp.sum(state.nearest.near)
        # A medoid cannot take another's place: it would stand there twice.
        gains &= jnp.all(state.medoids != state.candidate)

        def swap(state: _State) -> _State:
            rows = state.rows.at[place].set(distances[state.candidate])
            return state._replace(
                medoids=state.medoids.at[place].set(state.candidate),
                rows=rows,
                nearest=_two_nearest(rows, farthest),
                idle=jnp.zeros_like(state.idle),
                swaps=state.swaps + 1,
            )

        state = jax.lax.cond(gains, swap, lambda same: same, state)
        return state._replace(
            candidate=(state.candidate + 1) % n_images,
            idle=state.idle + 1,
            evaluated=state.evaluated + 1,
        )

    zero = jnp.zeros((), jnp.int32)
    rows = distances[medoids]
    start = _State(
        medoids.astype(jnp.int32), rows, _two_nearest(rows, farthest), zero, zero, zero, zero
    )
    end = jax.lax.while_loop(unfinished, evaluate, start)
    return Medoids(
        end.medoids,
        end.nearest.label,
        jnp.sum(end.nearest.near),
        end.swaps,
        end.idle >= n_images,
    )


def swap_changes(candidate: Array, label: Array, near: Array, second: Array, count: int) -> Array:
    """Float[k]: what the objective changes by when a candidate takes the place of each medoid.

    Args:
      candidate: Float[N], its distances.
      label: Int[N], the nearest medoid of each image.
      near: Float[N], that one's distance.
      second: Float[N], the distance of the second nearest; the largest distance where k = 1.
      count: k.
    """
    closer = candidate < near
    # An image that loses its medoid falls to its second nearest or to the candidate.
    lost = jnp.where(closer, 0, jnp.minimum(candidate, second) - near)
    shared = jnp.sum(jnp.where(closer, candidate - near, 0))
    return shared + jax.ops.segment_sum(lost, label, count)


def _two_nearest(rows: Array, farthest: Array) -> _Nearest:
    label = jnp.argmin(rows, axis=0)
    itself = label[None] == jnp.arange(rows.shape[0])[:, None]
    second = jnp.min(jnp.where(itself, farthest, rows), axis=0)
    return _Nearest(label, jnp.min(rows, axis=0), second)
