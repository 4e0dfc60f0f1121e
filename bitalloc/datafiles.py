"""A user's .npz files: images or feature vectors, with labels for fitting."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from bitalloc.fitting.fit import Problem, Sample
from fewbits.coding import InputError


def read_features(path: Path) -> tuple[np.ndarray, tuple[int, int] | None, np.ndarray | None]:
    """Features [N, M], the images' (height, width) or None, and the labels if there are any.

    The file holds `images`, N x height x width, or `features`, N x M, and may hold `labels`.

    Raises:
      InputError: for a file or an array that is no such thing.
    """
    arrays = _load(path)
    names = [name for name in ("images", "features") if name in arrays]
    if len(names) != 1:
        raise InputError(
            f"{path} holds {', '.join(arrays) or 'nothing'}; it needs one array 'images' "
            "(N x height x width) or 'features' (N x M), saved with numpy.savez"
        )
    features, labels = arrays[names[0]], arrays.get("labels")
    if features.dtype.kind not in "uifb":
        raise InputError(f"{path}: {names[0]} must be numbers, got {features.dtype}")
    if names[0] == "images" and features.ndim == 4 and features.shape[3] == 1:
        features = features[..., 0]
    expected = 3 if names[0] == "images" else 2
    if features.ndim != expected or 0 in features.shape:
        raise InputError(f"{path}: {names[0]} has shape {features.shape}")
    if labels is not None and labels.shape != (len(features),):
        raise InputError(f"{path}: {len(features)} {names[0]} but labels of shape {labels.shape}")
    if labels is not None and labels.dtype.kind not in "uibU":
        raise InputError(f"{path}: labels must be whole numbers or text, got {labels.dtype}")
    if not np.isfinite(features).all():
        image = int(np.argwhere(~np.isfinite(features))[0][0])
        raise InputError(f"{path}: NaN or infinity in example {image}; remove or replace it")
    image_shape = None if expected == 2 else (features.shape[1], features.shape[2])
    flat = features.reshape(len(features), -1)
    return flat if flat.dtype == np.uint8 else flat.astype(np.float64), image_shape, labels


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise InputError(f"{path} is not an .npz file; save with numpy.savez")
            return {name: stored[name] for name in stored}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as an .npz file: {error}") from error


def number_classes(labels: np.ndarray) -> tuple[tuple[int | str, ...], np.ndarray]:
    """The classes' names in order, and each example's class number."""
    classes, numbers = np.unique(labels, return_inverse=True)
    return tuple(classes.tolist()), numbers.reshape(-1).astype(np.int32)


def cut(
    rng: np.random.Generator, features: np.ndarray, labels: np.ndarray, shares: tuple[float, ...]
) -> list[Sample]:
    """Disjoint random parts with the given shares of every class; the first takes what is left.

    Args:
      rng: source of the shuffle.
      features: [N, M].
      labels: Int[N].
      shares: of the second, third, ... part.
    """
    part = np.zeros(len(labels), int)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        start = 0
        for number, share in enumerate(shares, start=1):
            n = int(round(share * len(members)))
            part[members[start : start + n]] = number
            start += n
    return [Sample(features[part == k], labels[part == k]) for k in range(len(shares) + 1)]


def problem_from(
    rng: np.random.Generator,
    features: np.ndarray,
    labels: np.ndarray,
    sensor_of: np.ndarray,
    image_shape: tuple[int, int] | None,
    held_out_share: float = 0.0,
) -> tuple[Problem, Sample]:
    """A problem with a sixth of the fitting data as validation, and what was held out of it all.

    Raises:
      InputError: if there are fewer examples than classes, or one class only.
    """
    classes, numbers = number_classes(labels)
    if len(classes) < 2:
        raise InputError(f"there is one class only, {labels[0]!s}: nothing to tell apart")
    parts = 3 if held_out_share else 2
    if np.bincount(numbers).min() < parts or len(labels) < 12:
        raise InputError(
            f"{len(labels)} examples of {len(classes)} classes are too few: give at least 12, and "
            f"{parts} of every class"
        )
    shares = ((1 - held_out_share) / 6,) + ((held_out_share,) if held_out_share else ())
    samples = cut(rng, features, numbers, shares)
    problem = Problem(samples[0], samples[1], sensor_of, image_shape, classes)
    return problem, samples[2] if held_out_share else samples[1]
