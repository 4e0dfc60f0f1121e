"""Coreset selectors with one signature: (key, gradients, quota) -> indices and weights.

Distances and products are those of last-layer gradients (`lgc.coresets.gradients`). Where images
stand for clusters, weights are the clusters' sizes; elsewhere each image stands for an equal share
of its class. A distance matrix is made for one class at a time.

A selector is a pure function of one class: (key, its gradients, quota) -> (indices in the order of
selection, weights). `by_class` runs it, compiled once for each size of class and quota.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lgc.coresets import facility_location, gradients, herding, k_center, k_medoids, quotas
from lgc.coresets.gradients import LastLayer
from lgc.coresets.quotas import Subset

Selector = Callable[[Array, LastLayer, int], tuple[Array, Array]]
"""(typed key, gradients of n images, k) -> Int[k] in the order of selection, Float[k] weights."""


def by_class(
    key: Array,
    selector: Selector,
    of_images: LastLayer,
    labels: np.ndarray,
    of_classes: Sequence[int],
) -> Subset:
    """A coreset of every class.

    Args:
      key: typed PRNG key.
      selector: one of this module, for instance.
      of_images: gradients of N images.
      labels: int[N], class numbers.
      of_classes: how many images of each class (`lgc.coresets.quotas`).
    """
    compiled = jax.jit(selector, static_argnums=2)

    def select(number: int, members: np.ndarray, quota: int) -> tuple[np.ndarray, np.ndarray]:
        mine = LastLayer(*(jnp.asarray(np.asarray(part)[:, members]) for part in of_images))
        chosen, weights = compiled(jax.random.fold_in(key, number), mine, quota)
        return np.asarray(chosen), np.asarray(weights)

    return quotas.by_class(labels, of_classes, select)


def at_random(key: Array, mine: LastLayer, quota: int) -> tuple[Array, Array]:
    """Random images: the baseline of coresets."""
    return jax.random.permutation(key, _size(mine))[:quota], _equal(mine, quota)


def facility(key: Array, mine: LastLayer, quota: int) -> tuple[Array, Array]:
    """Facility location (CRAIG, CRUST) by exact greedy; weights are the clusters' sizes."""
    del key
    distances = gradients.pairwise_distances(mine)
    similarity = facility_location.similarities(distances)
    chosen = facility_location.lazy_greedy(similarity, quota).indices
    return chosen, facility_location.cluster_sizes(distances[:, chosen])


def sampled_facility(epsilon: float) -> Selector:
    """The same by stochastic greedy, which may lose `epsilon` of the objective on average."""

    def selector(key: Array, mine: LastLayer, quota: int) -> tuple[Array, Array]:
        distances = gradients.pairwise_distances(mine)
        similarity = facility_location.similarities(distances)
        found = facility_location.stochastic_greedy(key, similarity, quota, epsilon=epsilon)
        return found.indices, facility_location.cluster_sizes(distances[:, found.indices])

    return selector


def medoids(key: Array, mine: LastLayer, quota: int) -> tuple[Array, Array]:
    """FasterPAM from k-medoids++; the largest clusters first, since medoids have no order."""
    distances = gradients.pairwise_distances(mine)
    start = k_medoids.plus_plus(key, distances, quota)
    found = k_medoids.faster_pam(distances, start).indices
    sizes = facility_location.cluster_sizes(distances[:, found])
    order = jnp.argsort(-sizes)
    return found[order], sizes[order]


def centres(key: Array, mine: LastLayer, quota: int) -> tuple[Array, Array]:
    """Farthest first, from a random image."""
    first = jax.random.randint(key, (), 0, _size(mine))
    found = k_center.farthest_first(first, gradients.distances_to(mine), quota)
    return found.indices, _equal(mine, quota)


def herded(key: Array, mine: LastLayer, quota: int) -> tuple[Array, Array]:
    """The mean gradient of the subset near that of the class; nothing is drawn."""
    del key
    return herding.herd(*gradients.kernel(mine), quota), _equal(mine, quota)


def _size(mine: LastLayer) -> int:
    return mine.errors.shape[1]


def _equal(mine: LastLayer, quota: int) -> Array:
    return jnp.full(quota, _size(mine) / quota)
