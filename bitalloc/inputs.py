"""A user's arrays: images or feature vectors, and labels of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from fewbits.coding import InputError

ImageShape = tuple[int, ...] | None
"""(height, width) or (height, width, channels) of images, None for feature vectors."""

Label = int | float | str | bool

_FEATURE_KINDS = "uifb"


def as_features(array: Any, name: str = "features") -> tuple[np.ndarray, ImageShape]:
    """Features [N, M] and the images' shape, from images or feature vectors.

    Args:
      array: N x M features, or images of N x H x W or N x H x W x C; numbers. uint8 stays uint8,
        everything else becomes float64.
      name: what messages call it.

    Raises:
      InputError: another shape, not numbers, NaN or infinity.
    """
    array = np.asarray(array)
    if array.dtype.kind not in _FEATURE_KINDS:
        raise InputError(f"{name} must be numbers, got {array.dtype}")
    if array.ndim not in (2, 3, 4) or 0 in array.shape[1:]:
        raise InputError(
            f"{name} has shape {array.shape}; use N x M features, or images of N x H x W or "
            "N x H x W x C"
        )
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim == 4 and array.shape[3] > 4 >= array.shape[1]:
        raise InputError(
            f"{name} has shape {array.shape}; channels come last: use N x H x W x C "
            "(numpy.moveaxis(images, 1, -1))"
        )
    if not np.isfinite(array).all():
        example = int(np.argwhere(~np.isfinite(array))[0][0])
        raise InputError(f"NaN or infinity in example {example} of {name}; remove or replace it")
    image_shape = None if array.ndim == 2 else array.shape[1:]
    flat = array.reshape(len(array), int(np.prod(array.shape[1:])))
    return flat if flat.dtype == np.uint8 else flat.astype(np.float64), image_shape


def as_labels(labels: Any, n_examples: int, name: str = "labels") -> np.ndarray:
    """Labels as one array of integers, booleans, text, or floats that are whole numbers.

    Args:
      labels: N of them, as an array or a list.
      n_examples: N.
      name: what messages call them.

    Raises:
      InputError: another shape, or values that name no classes.
    """
    labels = np.asarray(labels)
    if labels.shape != (n_examples,):
        raise InputError(f"{n_examples} examples but {name} of shape {labels.shape}")
    if labels.dtype == object and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind not in "uibUf":
        raise InputError(f"{name} must be whole numbers, booleans or text, got {labels.dtype}")
    if labels.dtype.kind == "f":
        broken = labels[~(np.isfinite(labels) & (labels == np.round(labels)))]
        if len(broken):
            raise InputError(
                f"{name} must be whole numbers, booleans or text, one value per class; {broken[0]} "
                "is none: for a quantity, bin it into classes first (numpy.digitize)"
            )
    return labels


def number_classes(labels: np.ndarray) -> tuple[tuple[Label, ...], np.ndarray]:
    """The classes' own names in ascending order, and each example's class number."""
    classes, numbers = np.unique(labels, return_inverse=True)
    return tuple(classes.tolist()), numbers.reshape(-1).astype(np.int32)


def class_numbers(labels: np.ndarray, classes: tuple[Label, ...]) -> np.ndarray:
    """Each label's place in `classes`, Int[N].

    Raises:
      InputError: naming a label that is no class.
    """
    place = {name: number for number, name in enumerate(classes)}
    unknown = [label for label in np.unique(labels).tolist() if label not in place]
    if unknown:
        raise InputError(
            f"validation label {unknown[0]!r} is none of the {len(classes)} training classes"
        )
    return np.array([place[label] for label in labels.tolist()], np.int32)


def cut(
    rng: np.random.Generator, labels: np.ndarray, shares: tuple[float, ...]
) -> list[np.ndarray]:
    """Disjoint random parts with the given shares of every class; the first takes what is left.

    Args:
      rng: source of the shuffle.
      labels: [N].
      shares: of the second, third, ... part.

    Returns:
      The examples of each part, ascending.
    """
    part = np.zeros(len(labels), int)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        start = 0
        for number, share in enumerate(shares, start=1):
            n = int(round(share * len(members)))
            part[members[start : start + n]] = number
            start += n
    return [np.flatnonzero(part == k) for k in range(len(shares) + 1)]


def stratified_folds(rng: np.random.Generator, labels: np.ndarray, n_folds: int) -> np.ndarray:
    """The fold of each example, Int[N]; every class is spread over the folds evenly.

    Args:
      rng: source of the shuffle.
      labels: [N].
      n_folds: how many folds.
    """
    fold = np.zeros(len(labels), int)
    start = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = (start + np.arange(len(members))) % n_folds
        start += len(members)
    return fold
