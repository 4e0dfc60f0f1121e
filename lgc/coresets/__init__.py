"""Coreset selection: subsets of a labelled set by the gradients of a classifier's loss.

Facility location (CRAIG, CRUST), k-medoids (FasterPAM), k-center (Gonzalez) and herding, class by
class. Selectors take distances or products of any features; `last_layer` gives the exact gradients
of the last layer. `Downsampling` is how subsets are stored as files (`lgc.coresets.lossy_subset`).

>>> import jax.numpy as jnp
>>> from lgc import coresets
>>> points = jnp.array([0.0, 0.1, 0.2, 5.0, 5.1])
>>> distances = jnp.abs(points[:, None] - points[None])
>>> coresets.lazy_greedy(distances.max() - distances, 2).indices.tolist()
[2, 3]
>>> coresets.faster_pam(distances, jnp.array([0, 1])).indices.tolist()
[3, 1]
"""

from lgc.coresets.downsampling import Downsampling
from lgc.coresets.facility_location import Selection, cluster_sizes, lazy_greedy, stochastic_greedy
from lgc.coresets.gradients import LastLayer, last_layer, pairwise_distances
from lgc.coresets.herding import herd
from lgc.coresets.k_center import Centres, farthest_first
from lgc.coresets.k_medoids import Medoids, faster_pam, plus_plus
from lgc.coresets.quotas import Subset, balanced, by_class, proportional

__all__ = [
    "Centres",
    "Downsampling",
    "LastLayer",
    "Medoids",
    "Selection",
    "Subset",
    "balanced",
    "by_class",
    "cluster_sizes",
    "farthest_first",
    "faster_pam",
    "herd",
    "last_layer",
    "lazy_greedy",
    "pairwise_distances",
    "plus_plus",
    "proportional",
    "stochastic_greedy",
]
