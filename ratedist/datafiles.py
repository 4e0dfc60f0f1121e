"""What a user's .npz file holds, checked: samples or a pmf with points, a subset, a codebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import InputError
from fewbits.io.arrays import read_arrays
from fewbits.io.image_sets import folders
from fewbits.io.npy import read_npy
from ratedist.problem.checks import check_mass
from ratedist.sources import Source, as_points, from_samples

_PICTURES = (*folders.SUFFIXES, ".ppm", ".pgm")


class UserSource(NamedTuple):
    """A source from a file.

    Attributes:
      source: letters and probabilities.
      subset: Bool[n], the letters of the fidelity subset; None where the file has none.
      codebook: Float[m, k], the only reconstruction points allowed; None for any.
      arrays: all that the file holds, by name.
    """

    source: Source
    subset: np.ndarray | None
    codebook: np.ndarray | None
    arrays: dict[str, np.ndarray]


def read_source(path: Path) -> UserSource:
    """Arrays `samples`, or `points` and `p`; `subset` and `codebook` may come with them.

    A subset of samples must not divide equal samples: a letter is inside or outside.

    Raises:
      InputError: arrays that are missing or do not fit together.
      OSError: the file cannot be opened.
    """
    arrays = read_arrays(path)
    samples = None
    if "samples" in arrays:
        samples = _points(arrays["samples"], "samples", path)
        source = from_samples(samples)
    elif {"points", "p"} <= arrays.keys():
        points = _points(arrays["points"], "points", path)
        source = Source(points, _mass(arrays["p"], len(points), path))
    else:
        raise InputError(
            f"{path} holds {', '.join(arrays) or 'nothing'}; save samples=..., or points=... and "
            "p=..."
        )
    subset = None
    if "subset" in arrays:
        subset = _subset(arrays["subset"], source, samples, path)
    codebook = None
    if "codebook" in arrays:
        codebook = _points(arrays["codebook"], "codebook", path)
        if codebook.shape[1] != source.points.shape[1]:
            raise InputError(
                f"{path}: codewords of {codebook.shape[1]} numbers for letters of "
                f"{source.points.shape[1]}"
            )
    return UserSource(source, subset, codebook, arrays)


def table(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: Path
) -> np.ndarray:
    """The distortion table of that name among a file's arrays; inf forbids a pair.

    Raises:
      InputError: there is none, it is of another shape than letters x codewords, or it holds
        something else than numbers and inf.
    """
    if name not in arrays:
        raise InputError(f"{path} has no array {name!r}; it holds {', '.join(arrays)}")
    found = arrays[name]
    if "samples" in arrays:
        raise InputError(f"{path}: a table belongs to letters; give points and p, not samples")
    if found.dtype.kind not in "biuf" or found.shape != shape:
        raise InputError(
            f"{path}: {name} is {found.dtype} of shape {found.shape}; a table is {shape}, "
            "letters x codewords"
        )
    found = found.astype(np.float64)
    if np.isnan(found).any() or np.isneginf(found).any():
        raise InputError(f"{path}: {name} holds NaN or -inf; a distortion is a number or inf")
    return found


def read_numbers(path: Path, name: str | None) -> np.ndarray:
    """One array of finite numbers, in its own shape and type; of a picture, its pixels.

    Args:
      path: .npz, .npy, or a picture (.png, .jpg, .bmp, .gif, .webp, .tif, .ppm, .pgm).
      name: of the array; None for `samples`, or the only one there is.

    Raises:
      InputError: there is no such array, it is empty, or it holds something else.
      OSError: the file cannot be opened.
    """
    if path.suffix.lower() in _PICTURES:
        return _picture(path)
    if path.suffix.lower() == ".npy":
        return _numbers(read_npy(path), "its array", path, keep=True)
    arrays = read_arrays(path)
    if name is None:
        name = next(iter(arrays)) if len(arrays) == 1 else "samples"
    if name not in arrays:
        raise InputError(f"{path} holds {', '.join(arrays) or 'nothing'}; choose with --array NAME")
    return _numbers(arrays[name], name, path, keep=True)


def _picture(path: Path) -> np.ndarray:
    def pixels(picture: Any) -> np.ndarray:
        grey = picture.mode in ("1", "L", "I", "I;16", "F")
        return np.asarray(picture if grey else picture.convert("RGB"))

    return folders.opened(path, pixels)


def _numbers(values: np.ndarray, name: str, path: Path, keep: bool = False) -> np.ndarray:
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name} must be real numbers, not {values.dtype}; save such")
    if not values.size:
        raise InputError(f"{path}: {name} of shape {values.shape} is empty; give one at least")
    finite = np.isfinite(values)
    if not finite.all():
        count = int((~finite).sum())
        raise InputError(f"{path}: {name} holds {count} NaN or infinite; remove them")
    return values if keep else values.astype(np.float64)


def _points(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    values = _numbers(values, name, path)
    if values.ndim not in (1, 2):
        raise InputError(f"{path}: {name} of shape {values.shape}; expected (n,) or (n, k)")
    return as_points(values)


def _mass(p: np.ndarray, size: int, path: Path) -> np.ndarray:
    p = _numbers(p, "p", path)
    if p.shape != (size,):
        raise InputError(f"{path}: p of shape {p.shape} for {size} points; give one for each")
    try:
        check_mass(p)
    except ValueError as error:
        raise InputError(f"{path}: {error}; give probabilities that sum to 1") from error
    return p


def _subset(
    subset: np.ndarray, source: Source, samples: np.ndarray | None, path: Path
) -> np.ndarray:
    size = len(source.p) if samples is None else len(samples)
    if subset.shape != (size,) or subset.dtype.kind not in "bui":
        raise InputError(
            f"{path}: subset of shape {subset.shape} and type {subset.dtype}; expected {size} "
            "booleans"
        )
    inside = subset.astype(bool)
    if samples is not None:
        _, group = np.unique(samples, axis=0, return_inverse=True)
        share = np.bincount(group.reshape(-1), inside) / np.bincount(group.reshape(-1))
        if ((share > 0) & (share < 1)).any():
            raise InputError(f"{path}: equal samples are partly inside and partly outside subset")
        inside = share > 0
    if not source.p[inside].sum() > 0:
        raise InputError(f"{path}: the subset is empty or has probability 0")
    return inside
