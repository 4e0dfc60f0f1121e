"""Configuration of the search for the best file within a budget of bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from lgc.coresets.downsampling import Downsampling
from lgc.coresets.strategies import CORESETS
from lgc.distillation import distilled_file
from lgc.distillation.augmentation import MILD, NONE, Augmentation

DOWNSAMPLINGS = (
    Downsampling(1, 1), Downsampling(1, 2), Downsampling(1, 3), Downsampling(1, 5),
    Downsampling(2, 1), Downsampling(2, 2), Downsampling(2, 3), Downsampling(2, 5),
    Downsampling(3, 2), Downsampling(3, 3), Downsampling(4, 3),
)  # fmt: skip
WIDE = Augmentation(rotation=12, shear=10, scale=12, translation=6, elastic=20)
AUGMENTATIONS = (
    NONE,
    MILD,
    WIDE,
    Augmentation(rotation=18, shear=15, scale=18, translation=8, elastic=35),
)
"""From none to wide ranges."""
BRIGHTNESS_PERCENT = (15, 30)


@dataclass(frozen=True)
class DistillConfig:
    """What `lgc.distill` tries, and for how long.

    Candidates are compared on a held-out part of the user's images by *proxy evaluations*:
    classifiers that are trained on what the candidate's file would give. `lgc.distill` asks three
    (`lgc.distillation.search.panel`), the search behind the published curves only a ConvNet.

    Attributes:
      downsamplings: resolutions and numbers of grey levels to try; None for what suits the images'
        size.
      augmentations: ranges to try with the best downsampling, each with and without flips.
      candidate_upsampler_steps: optimiser steps of the upsampler of each candidate.
      upsampler_steps: optimiser steps of the upsampler that is written.
      screening_steps: optimiser steps of the ConvNet.
      final_steps: of a finalist's ConvNet; for the published curves only.
      finalists: downsamplings that get a long proxy evaluation.
      proxy_images_per_class: training images of a proxy evaluation.
      proxy_width: channels of its ConvNet.
      proxy_batch_size: of its training.
      strategies: coreset selection strategies to try beside random images; of
        `lgc.coresets.strategies.CORESETS`.
      distillation_steps: optimiser steps of kernel ridge distillation; 0 leaves it out.
      evaluation_seeds: proxy evaluations, each with its own seed, that decide about brightness
        augmentation and distillation; for the published curves only.
      brightness_percent: ranges of brightness augmentation to try with the best augmentation.
      contrast_percent: contrasts of interpolated images to try.
      draws: random selections of images to try where few fit, and one differs from another.
      blur_tenths: Gaussian filters for half of the images to try with it, tenths of a pixel.
      teacher: whether the file holds a small classifier that gives its images soft labels: "auto"
        if that teaches more, "none", or about how many bytes it takes.
      teacher_steps: optimiser steps of its training.
      teacher_bits_weight: nats of cross-entropy that one bit of its weights may save; 1e-4 suits
        sets of many images.
    """

    downsamplings: tuple[Downsampling, ...] | None = None
    augmentations: tuple[Augmentation, ...] = AUGMENTATIONS
    candidate_upsampler_steps: int = 500
    upsampler_steps: int = distilled_file.UPSAMPLER_STEPS
    screening_steps: int = 300
    final_steps: int = 1_000
    finalists: int = 3
    proxy_images_per_class: int = 1_500
    proxy_width: int = 16
    proxy_batch_size: int = 64
    strategies: tuple[str, ...] = ("medoids",)
    distillation_steps: int = 600
    evaluation_seeds: int = 3
    brightness_percent: tuple[int, ...] = BRIGHTNESS_PERCENT
    contrast_percent: tuple[int, ...] = (100, 200, 400)
    draws: int = 24
    blur_tenths: tuple[int, ...] = (8, 12)
    teacher: int | Literal["auto", "none"] = "auto"
    teacher_steps: int = 4_000
    teacher_bits_weight: float = 0.0

    def __post_init__(self):
        for name in ("distillation_steps", "teacher_bits_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; use 0 or more")
        for name in (
            "candidate_upsampler_steps", "upsampler_steps", "screening_steps", "final_steps",
            "finalists", "proxy_images_per_class", "proxy_width", "proxy_batch_size",
            "evaluation_seeds", "teacher_steps", "draws",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        for name in ("downsamplings", "augmentations"):
            if getattr(self, name) == ():
                raise ValueError(f"{name} is empty; give at least one")
        if self.teacher not in ("auto", "none") and (
            type(self.teacher) is not int or self.teacher < 1
        ):
            raise ValueError(
                f"teacher is {self.teacher!r}; use 'auto', 'none' or a number of bytes"
            )
        for name in self.strategies:
            if name not in CORESETS:
                raise ValueError(f"strategy {name!r} is not one of {', '.join(CORESETS)}")

    @classmethod
    def quick(cls) -> DistillConfig:
        """A search of seconds, to try things out; its files are not the best for their bytes."""
        return cls(
            downsamplings=(Downsampling(1, 2),),
            augmentations=(NONE,),
            candidate_upsampler_steps=5,
            upsampler_steps=20,
            screening_steps=5,
            final_steps=5,
            finalists=1,
            proxy_images_per_class=20,
            proxy_width=4,
            proxy_batch_size=16,
            strategies=(),
            distillation_steps=0,
            evaluation_seeds=1,
            brightness_percent=(),
            contrast_percent=(),
            draws=1,
            blur_tenths=(),
            teacher="none",
        )
