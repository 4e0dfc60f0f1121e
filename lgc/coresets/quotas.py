"""Numbers of images per class, and selection class by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Subset(NamedTuple):
    """A subset of a labelled set.

    Attributes:
      indices: int64[k], distinct, classes mixed evenly: any prefix has fair shares of all.
      weights: float64[k], what each image stands for; adds up to the number of images.
    """

    indices: np.ndarray
    weights: np.ndarray


def balanced(class_sizes: Sequence[int], count: int) -> list[int]:
    """Equal quotas, as far as the classes' sizes allow; of what cannot be split the first get more.

    Raises:
      ValueError: a count that cannot be.
    """
    _check(class_sizes, count)
    quotas = [0] * len(class_sizes)
    open_classes = [c for c, size in enumerate(class_sizes) if size]
    while (left := count - sum(quotas)) > 0:
        share = max(1, left // len(open_classes))
        for c in open_classes[: left // share]:
            quotas[c] += min(share, class_sizes[c] - quotas[c])
        open_classes = [c for c in open_classes if quotas[c] < class_sizes[c]]
    return quotas


def proportional(class_sizes: Sequence[int], count: int) -> list[int]:
    """Quotas in proportion to the classes' sizes, by largest remainders; of equal ones the first.

    Raises:
      ValueError: a count that cannot be.
    """
    _check(class_sizes, count)
    total = sum(class_sizes)
    quotas = [size * count // total for size in class_sizes]
    remainders = [size * count % total for size in class_sizes]
    by_remainder = sorted(range(len(quotas)), key=lambda c: -remainders[c])
    for c in by_remainder[: count - sum(quotas)]:
        quotas[c] += 1
    return quotas


def by_class(
    labels: np.ndarray,
    quotas: Sequence[int],
    select: Callable[[int, np.ndarray, int], tuple[np.ndarray, np.ndarray]],
) -> Subset:
    """One selection for each class.

    Args:
      labels: int[N], class numbers.
      quotas: images of each class; classes without are left out.
      select: (class number, its images int[n], quota k) -> (int[k] places among those images in
        the order of selection, float[k] weights); called once for each class.
    """
    indices, weights, places = [], [], []
    for number, quota in enumerate(quotas):
        if not quota:
            continue
        members = np.flatnonzero(labels == number)
        chosen, weight = select(number, members, quota)
        indices.append(members[np.asarray(chosen)])
        weights.append(np.asarray(weight, np.float64))
        places.append((np.arange(quota) + 0.5) / quota)
    order = np.argsort(np.concatenate(places), kind="stable")
    return Subset(np.concatenate(indices)[order], np.concatenate(weights)[order])


def _check(class_sizes: Sequence[int], count: int) -> None:
    if not 1 <= count <= sum(class_sizes):
        raise ValueError(f"{count} of {sum(class_sizes)} images cannot be chosen")
