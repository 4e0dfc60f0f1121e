"""Subsets that stand for a whole image set: what a compressed set is to be measured against."""

from lgc.coresets.facility_location import Selection, cluster_sizes, lazy_greedy, stochastic_greedy
from lgc.coresets.gradients import LastLayer, last_layer, pairwise_distances
from lgc.coresets.herding import herd
from lgc.coresets.k_center import Centres, farthest_first
from lgc.coresets.k_medoids import Medoids, faster_pam, plus_plus
from lgc.coresets.quotas import Subset, balanced, by_class, proportional

__all__ = [
    "Centres",
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
