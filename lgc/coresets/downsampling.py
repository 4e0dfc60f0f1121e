"""Downsampling and quantisation: block means, Lloyd-Max grey levels, linear interpolation.

Integer arithmetic, so that every machine decodes the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_FACTOR = 64
_LLOYD_STEPS = 100
MAX_CONTRAST = 1_600
"""Percent."""
_CHUNK = 256
"""Images interpolated at a time."""


@dataclass(frozen=True)
class Downsampling:
    """Resolution and grey levels of stored images.

    Attributes:
      factor: each stored pixel is the mean of a square of this side.
      bits: of each stored value: at most 2^bits grey levels.
    """

    factor: int = 2
    bits: int = 2

    def __post_init__(self):
        if not 1 <= self.factor <= MAX_FACTOR:
            raise ValueError(f"factor is {self.factor}; use 1 to {MAX_FACTOR}")
        if not 1 <= self.bits <= 8:
            raise ValueError(f"bits is {self.bits}; use 1 to 8")


LOSSLESS = Downsampling(1, 8)


def downsample(images: np.ndarray, factor: int) -> np.ndarray:
    """uint8[n, h, w, c] -> uint8[n, ceil(h / factor), ceil(w / factor), c]: rounded means.

    Where a side is no multiple of the factor, the last row or column is repeated.
    """
    n, height, width, channels = images.shape
    margins = (-height % factor, -width % factor)
    padded = np.pad(images, [(0, 0), (0, margins[0]), (0, margins[1]), (0, 0)], mode="edge")
    rows, columns = padded.shape[1] // factor, padded.shape[2] // factor
    blocks = padded.reshape(n, rows, factor, columns, factor, channels)
    sums = blocks.sum(axis=(2, 4), dtype=np.int64)
    return ((2 * sums + factor**2) // (2 * factor**2)).astype(np.uint8)


def interpolate(images: np.ndarray, factor: int, height: int, width: int) -> np.ndarray:
    """uint8[n, ceil(h / factor), ceil(w / factor), c] -> uint8[n, h, w, c], linear interpolation.

    A stored pixel is the value at the centre of its square; beyond the outermost centres the value
    is constant. Rounded once, halves up.
    """
    if factor == 1:
        return images
    rows = _weights(images.shape[1], factor, height)
    columns = _weights(images.shape[2], factor, width)
    whole = (2 * factor) ** 2
    large = np.empty((len(images), height, width, images.shape[3]), np.uint8)
    for first in range(0, len(images), _CHUNK):
        part = images[first : first + _CHUNK].astype(np.int64)
        tall = np.einsum("yr,nrxc->nyxc", rows, part)
        full = np.einsum("xr,nyrc->nyxc", columns, tall)
        large[first : first + _CHUNK] = (2 * full + whole) // (2 * whole)
    return large


def more_contrast(images: np.ndarray, percent: int) -> np.ndarray:
    """uint8 of any shape: every distance from the middle grey times percent / 100, clipped."""
    grey = np.arange(256)
    table = np.clip((255 * 100 + (2 * grey - 255) * percent + 100) // 200, 0, 255)
    return table.astype(np.uint8)[images]


def levels_for_contrast(levels: np.ndarray, percent: int) -> np.ndarray:
    """Uint8, ascending: grey levels that `more_contrast` takes to black, white and given ones.

    The lowest and the highest become 0 and 255 and stay there, so that the interpolated edges
    between them grow steeper; `more_contrast` takes those between about to what they were.

    Args:
      levels: uint8[2 or more], ascending.
      percent: of the contrast, 100 or more.
    """
    found = np.rint(127.5 + (levels.astype(np.float64) - 127.5) * 100 / percent).astype(np.int64)
    found[[0, -1]] = 0, 255
    rank = np.arange(found.size)
    found = np.maximum.accumulate(found - rank) + rank
    return np.minimum(found, 256 - found.size + rank).astype(np.uint8)


def fit_levels(images: np.ndarray, bits: int) -> np.ndarray:
    """Uint8[at most 2^bits] grey levels, ascending, with small squared error.

    Lloyd (1982), "Least squares quantization in PCM", from evenly spaced levels. Where the images
    have no more distinct values than levels, these are the levels.

    Args:
      images: uint8 of any shape, not empty.
      bits: 1 to 8; 8 gives all 256.
    """
    if bits == 8:
        return np.arange(256, dtype=np.uint8)
    counts = np.bincount(images.reshape(-1), minlength=256)
    values = np.flatnonzero(counts)
    size = 1 << bits
    if values.size <= size:
        return values.astype(np.uint8)
    levels = np.rint(np.linspace(values[0], values[-1], size)).astype(np.int64)
    for _ in range(_LLOYD_STEPS):
        nearest = nearest_levels(levels)[values]
        weight = np.bincount(nearest, counts[values], size)
        total = np.bincount(nearest, counts[values] * values, size)
        updated = np.where(weight > 0, np.rint(total / np.maximum(weight, 1)), levels)
        updated = updated.astype(np.int64)
        if np.array_equal(updated, levels):
            break
        levels = updated
    return np.unique(levels).astype(np.uint8)


def nearest_levels(levels: np.ndarray) -> np.ndarray:
    """int64[256]: index of the level nearest to each grey, the darker of two."""
    distance = np.abs(np.arange(256)[:, None] - levels.astype(np.int64)[None])
    return distance.argmin(axis=1)


def _weights(n_stored: int, factor: int, size: int) -> np.ndarray:
    """int64[size, n_stored]: shares of the stored values in each, in 1 / (2 factor)."""
    # In units of half a pixel: centres at factor (2 i + 1), pixels at 2 x + 1.
    place = np.clip(2 * np.arange(size) + 1, factor, factor * (2 * n_stored - 1))
    before = np.minimum((place - factor) // (2 * factor), max(n_stored - 2, 0))
    share = place - factor * (2 * before + 1)
    weights = np.zeros((size, n_stored), np.int64)
    weights[np.arange(size), before] = 2 * factor - share
    weights[np.arange(size), np.minimum(before + 1, n_stored - 1)] += share
    return weights
