"""Distilled images: the most useful training images within a budget of bytes.

`lgc.distill` is the entry; `Augmentation` and `Downsampling` are what a `lgc.DistillConfig` lists.
`best_subset` finds what the same bytes hold without distilling: the best random subset or coreset,
at any of a few resolutions.
"""

from lgc.coresets.downsampling import Downsampling
from lgc.distillation._best_subset import BestSubset, SubsetConfig, best_subset
from lgc.distillation.augmentation import Augmentation

__all__ = ["Augmentation", "BestSubset", "Downsampling", "SubsetConfig", "best_subset"]
