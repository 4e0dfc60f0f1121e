"""Distilled images: the most useful training images within a budget of bytes.

`lgc.distill` is the entry; `Augmentation` and `Downsampling` are what a `lgc.DistillConfig` lists.
"""

from lgc.coresets.downsampling import Downsampling
from lgc.distillation.augmentation import Augmentation

__all__ = ["Augmentation", "Downsampling"]
