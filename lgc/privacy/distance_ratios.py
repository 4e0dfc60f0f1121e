"""Do decoded images lie closer to the training images than chance allows?

Take a pool of images, of which one half, drawn at random, was compressed. If the archive held
only what all such images have in common, an image drawn from it would be as close to the
half that was compressed (the *members*) as to the other. Two statistics test this:

    r = nearest member distance / nearest held-out distance     of each drawn image,
    share of drawn images whose nearest pool image is a member.

Drawn images depend on one another through the archive, so neither has a textbook null law. But
which half was compressed was a random choice: under the null hypothesis every other half would
have given the same law, and comparing with other halves is an exact test at any sample size.

An archive of mixtures and a decoder is what these measure. A subset, explicit latents of chosen
images, and a bitmap of accepted draws are functions of single training images and are not private
by construction; nothing here bounds what an archive reveals (that takes differential privacy).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from fewbits.training import evaluation

QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
_TINY = 1e-6
"""Beside a distance of zero, in whose place it stands under a logarithm."""


class Neighbours(NamedTuple):
    """The nearest references of each query, nearest first.

    Attributes:
      distances: Float[n, k], Euclidean.
      indices: Int[n, k], among the references.
    """

    distances: Float[Array, "n k"]
    indices: Int[Array, "n k"]


def nearest(
    queries: Shaped[Array, "n d"],
    references: Shaped[Array, "m d"],
    count: int = 1,
    *,
    block: int = 250,
    reference_block: int = 5_000,
) -> Neighbours:
    """Exact nearest neighbours in Euclidean distance, block by block.

    Memory is of order block * (reference_block + count * d). Squared distances that choose are
    |q|^2 - 2 q r + |r|^2; those returned are computed anew from the differences, so that a copy is
    at distance zero.

    Args:
      queries: Float or UInt8[n, d].
      references: Float or UInt8[m, d].
      count: k, at most m.
      block: queries at a time.
      reference_block: references at a time.

    Raises:
      ValueError: more neighbours wanted than there are references.
    """
    references = jnp.asarray(references)
    total = references.shape[0]
    if not 1 <= count <= total:
        raise ValueError(f"{count} neighbours among {total} references")
    size = max(min(reference_block, total), count)
    # The last block reaches back over the one before it; what it sees twice is masked.
    starts = jnp.minimum(jnp.arange(-(-total // size)) * size, total - size)
    first_new = jnp.arange(-(-total // size)) * size

    def of_block(queried: jax.Array) -> Neighbours:
        queried = queried.astype(jnp.float32)

        def merge(best: tuple[jax.Array, jax.Array], place: tuple[jax.Array, jax.Array]):
            start, first_new = place
            part = jax.lax.dynamic_slice_in_dim(references, start, size).astype(jnp.float32)
            products = jnp.matmul(queried, part.T, precision=jax.lax.Precision.HIGHEST)
            scores = jnp.sum(part**2, axis=1)[None] - 2 * products
            indices = start + jnp.arange(size)
            scores = jnp.where((indices >= first_new)[None], scores, jnp.inf)
            joined = jnp.concatenate([best[0], scores], axis=1)
            named = jnp.concatenate(
                [best[1], jnp.broadcast_to(indices[None], (len(queried), size))], axis=1
            )
            top, places = jax.lax.top_k(-joined, count)
            return (-top, jnp.take_along_axis(named, places, axis=1)), None

        start = (
            jnp.full((len(queried), count), jnp.inf),
            jnp.zeros((len(queried), count), starts.dtype),
        )
        (_, indices), _ = jax.lax.scan(merge, start, (starts, first_new))
        found = references[indices].astype(jnp.float32)
        distances = jnp.sqrt(jnp.sum((found - queried[:, None]) ** 2, axis=-1))
        order = jnp.argsort(distances, axis=1)
        return Neighbours(
            jnp.take_along_axis(distances, order, axis=1),
            jnp.take_along_axis(indices, order, axis=1),
        )

    return evaluation.map_batches(of_block, queries, block)


def log_distance_ratios(
    neighbours: Neighbours, members: Bool[Array, " pool"]
) -> Float[Array, " n"]:
    """Log r of each query, r = nearest member distance / nearest held-out distance; Float[n].

    Where all k neighbours are of one kind, the other kind's distance is taken to be the k-th: r is
    then nearer to one than it is, in either direction.

    Args:
      neighbours: of drawn images among the pool, with k large enough that both kinds are there
        (under the null one kind is missing with probability 2^(1 - k)).
      members: Bool[pool].
    """
    inside = members[neighbours.indices]
    farthest = neighbours.distances[:, -1:]
    member = jnp.min(jnp.where(inside, neighbours.distances, farthest), axis=1)
    held_out = jnp.min(jnp.where(inside, farthest, neighbours.distances), axis=1)
    return jnp.log(member + _TINY) - jnp.log(held_out + _TINY)


def closer_to_members(neighbours: Neighbours, members: Bool[Array, " pool"]) -> Float[Array, ""]:
    """Share of queries whose nearest reference is a member, Float[]; the null's mean is 1/2."""
    return jnp.mean(members[neighbours.indices[:, 0]])


class Memorisation(NamedTuple):
    """What the distances say.

    Attributes:
      ratio_quantiles: Float[len(QUANTILES)], of r over the drawn images.
      mean_log_ratio: Float[], the test's statistic; negative where members are closer.
      closer_share: Float[], of drawn images, whose nearest pool image is a member.
      p_value: Float[], one-sided: probability of so small a statistic had any other half been
        compressed, by permutation; at least 1 / (permutations + 1).
    """

    ratio_quantiles: jax.Array
    mean_log_ratio: jax.Array
    closer_share: jax.Array
    p_value: jax.Array


def memorisation(
    key: Key[Array, ""],
    neighbours: Neighbours,
    members: Bool[Array, " pool"],
    classes: Int[Array, " pool"] | None = None,
    *,
    permutations: int = 999,
) -> Memorisation:
    """Test whether what was drawn lies closer to the members than to the rest of the pool.

    Args:
      key: typed PRNG key, of the permutations.
      neighbours: of the drawn images among the pool.
      members: Bool[pool], which half was compressed, chosen uniformly (within classes, if given).
      classes: Int[pool]: halves were drawn class by class, and so are the permuted ones.
      permutations: other halves to compare with.
    """
    stratum = jnp.zeros(members.shape, jnp.int32) if classes is None else classes
    in_order = jnp.argsort(stratum, stable=True)

    def statistic(chosen: jax.Array) -> jax.Array:
        return jnp.mean(log_distance_ratios(neighbours, chosen))

    def permuted(key: jax.Array) -> jax.Array:
        # Sorted by (stratum, noise): a random order within each stratum.
        noise = jax.random.uniform(key, members.shape)
        shuffled = jnp.lexsort((noise, stratum))
        return statistic(jnp.zeros_like(members).at[in_order].set(members[shuffled]))

    observed = statistic(members)
    others = jax.lax.map(permuted, jax.random.split(key, permutations))
    ratios = jnp.exp(log_distance_ratios(neighbours, members))
    return Memorisation(
        jnp.quantile(ratios, jnp.array(QUANTILES)),
        observed,
        closer_to_members(neighbours, members),
        (1 + jnp.sum(others <= observed)) / (permutations + 1),
    )
