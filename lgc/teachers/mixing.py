"""Heavy augmentation: wide ranges, and images mixed with others or cut into them.

Mixup: Zhang, Cisse, Dauphin and Lopez-Paz (2018), "mixup: beyond empirical risk minimization".
CutMix: Yun et al. (2019), "CutMix: regularization strategy to train strong classifiers with
localizable features". Here the teacher labels the result, so labels are not mixed. Of every image
at least half is its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lgc.distillation import augmentation
from lgc.distillation.augmentation import Augmentation


class Mixing(NamedTuple):
    """How images for soft labels are augmented; whole numbers, since a file stores them.

    Attributes:
      ranges: of the geometric transformations and of brightness.
      mixup_percent: images of which a weighted mean with another image is taken.
      cutmix_percent: images into which a rectangle of another image is pasted.
    """

    ranges: Augmentation
    mixup_percent: int = 0
    cutmix_percent: int = 0


def check(mixing: Mixing) -> None:
    """Raises ValueError where a range is out of its limits."""
    augmentation.check(mixing.ranges)
    shares = mixing.mixup_percent, mixing.cutmix_percent
    if min(shares) < 0 or sum(shares) > 100:
        raise ValueError(f"{shares[0]} % mixed and {shares[1]} % cut; use 100 % in all at most")


def mixed(rng: np.random.Generator, images: np.ndarray, mixing: Mixing) -> np.ndarray:
    """Images uint8[n, height, width, channels], some mixed with others of them or cut into.

    Args:
      rng: of all choices.
      images: uint8[n, height, width, channels].
      mixing: its shares are used.
    """
    n, height, width, _ = images.shape
    others = rng.permutation(n)
    chosen = 100 * rng.random(n)
    own = rng.uniform(0.5, 1.0, n)
    found = images.copy()
    rows = np.flatnonzero(chosen < mixing.mixup_percent)
    share = own[rows].astype(np.float32)[:, None, None, None]
    found[rows] = np.rint(share * images[rows] + (1 - share) * images[others[rows]])
    corners = rng.random((n, 2))
    first, last = mixing.mixup_percent, mixing.mixup_percent + mixing.cutmix_percent
    for row in np.flatnonzero((chosen >= first) & (chosen < last)).tolist():
        sides = np.rint(np.sqrt(1 - own[row]) * np.array([height, width])).astype(int)
        top, left = (corners[row] * (np.array([height, width]) - sides + 1)).astype(int)
        window = (slice(top, top + sides[0]), slice(left, left + sides[1]))
        found[row][window] = images[others[row]][window]
    return found
