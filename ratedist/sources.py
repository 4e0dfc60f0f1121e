"""Finite sources: the grids of a published project, and a user's samples.

Nasser, "Convex Relaxations for Entropy-Constrained Compression", builds each source by evaluating
an unnormalised density on a grid and dividing by the sum. Its mixture components have no 1/sigma,
so its "weights" are heights, not probabilities; it stays so, because its numbers depend on it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Source(NamedTuple):
    """Points with probabilities.

    Attributes:
      points: Float[n, k].
      p: Float[n], positive or zero, sum one.
    """

    points: np.ndarray
    p: np.ndarray


def squared_error(x: Any, y: Any) -> np.ndarray:
    """Squared Euclidean distances |x_i - y_j|^2 between points, Float[n, m].

    Args:
      x: Float[n, k] or Float[n].
      y: Float[m, k] or Float[m].
    """
    x, y = as_points(x), as_points(y)
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)


def as_points(x: Any) -> np.ndarray:
    """Float[n] or Float[n, k] as Float[n, k]."""
    points = np.asarray(x, np.float64)
    return points[:, None] if points.ndim == 1 else points


def gaussian(size: int = 50, reach: float = 3.0) -> Source:
    """Nasser's 1-D Gaussian: exp(-x^2/2) on `size` points of [-reach, reach]."""
    x = np.linspace(-reach, reach, size)
    return _from_density(x, np.exp(-0.5 * x**2))


def gaussian_2d(side: int = 25, reach: float = 3.0) -> Source:
    """Nasser's 2-D Gaussian on a side x side grid of [-reach, reach]^2."""
    points = square_grid(side, reach)
    return _from_density(points, np.exp(-0.5 * (points**2).sum(axis=1)))


def three_bumps(size: int = 200) -> Source:
    """Nasser's trimodal curve: .3 N(-2, .2) + .4 N(0, 1) + .3 N(2, .5) on [-3, 3]."""
    x = np.linspace(-3.0, 3.0, size)
    density = 0.3 * _bump(x, -2.0, 0.2) + 0.4 * _bump(x, 0.0, 1.0) + 0.3 * _bump(x, 2.0, 0.5)
    return _from_density(x, density)


def trimodal(size: int = 100) -> Source:
    """Nasser's refinement source: N(-5, .3) + N(-1, .6) + N(2.5, .4) + uniform, on [-8, 8].

    This is the one of the comparison with Lloyd's quantiser. The bumps are
    heights, the uniform part is a density (1/16).
    """
    x = np.linspace(-8.0, 8.0, size)
    bumps = _bump(x, -5.0, 0.3) + _bump(x, -1.0, 0.6) + _bump(x, 2.5, 0.4)
    return _from_density(x, 0.25 * bumps + 0.25 / 16.0)


def spike(size: int = 200) -> Source:
    """Nasser's spike: .2 N(0, .2) + .8 (N(-4, 3) + N(5, 4)) on [-10, 10]."""
    x = np.linspace(-10.0, 10.0, size)
    wide = _bump(x, -4.0, 3.0) + _bump(x, 5.0, 4.0)
    return _from_density(x, 0.2 * _bump(x, 0.0, 0.2) + 0.8 * wide)


def four_clusters(side: int = 40) -> Source:
    """Nasser's four clusters: N((+-4, +-4), I) + .1 on a side x side grid of [-8, 8]^2."""
    points = square_grid(side, 8.0)
    centres = np.array([(a, b) for a in (-4.0, 4.0) for b in (-4.0, 4.0)])
    return _from_density(points, np.exp(-0.5 * squared_error(points, centres)).sum(axis=1) + 0.1)


def square_grid(side: int, reach: float) -> np.ndarray:
    """Float[side^2, 2]: a grid of side x side points on [-reach, reach]^2, row by row."""
    axis = np.linspace(-reach, reach, side)
    return np.stack([a.ravel() for a in np.meshgrid(axis, axis, indexing="ij")], axis=1)


def laplacian(size: int, reach: float, scale: float = 1.0) -> Source:
    """exp(-|x|/scale) on `size` points of [-reach, reach]."""
    x = np.linspace(-reach, reach, size)
    return _from_density(x, np.exp(-np.abs(x) / scale))


def from_samples(samples: Any) -> Source:
    """The empirical source of a user's samples; repeated samples share their mass.

    Args:
      samples: Float[n] or Float[n, k], finite.

    Raises:
      ValueError: no sample, or a value that is not finite.
    """
    points = as_points(samples)
    if points.ndim != 2 or not points.size:
        raise ValueError(
            f"samples of shape {np.shape(samples)}; expected (n,) or (n, k), not empty"
        )
    if not np.isfinite(points).all():
        raise ValueError(f"{int((~np.isfinite(points)).sum())} sample values are not finite")
    unique, counts = np.unique(points, axis=0, return_counts=True)
    return Source(unique, counts / counts.sum())


def patches(images: Any, side: int) -> np.ndarray:
    """Float[N, side^2]: the square patches of images, side by side; what is left over is cut off.

    Args:
      images: Float[n, height, width].
      side: of a patch, pixels.

    >>> from ratedist import sources
    >>> sources.patches([[[1, 2, 5, 6], [3, 4, 7, 8]]], 2).tolist()
    [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    """
    images = np.asarray(images, np.float64)
    n, rows, columns = images.shape[0], images.shape[1] // side, images.shape[2] // side
    cut = images[:, : rows * side, : columns * side].reshape(n, rows, side, columns, side)
    return cut.transpose(0, 1, 3, 2, 4).reshape(-1, side**2)


def standardised_normal(length: int, seed: int = 0) -> np.ndarray:
    """Float[length], normal samples shifted and scaled to mean 0 and variance 1 exactly.

    For a code on a file of these, the closed form of the unit Gaussian is the file's bound.

    Args:
      length: how many.
      seed: of the draw.
    """
    samples = np.random.default_rng(seed).normal(size=length)
    return (samples - samples.mean()) / samples.std()


def shuffled(source: Source, length: int, seed: int = 0) -> np.ndarray:
    """Float[length, k], letters in random order, each with its exact share up to rounding.

    For a code on a file of these, the source's probabilities are those of the file.

    Args:
      source: points and their probabilities.
      length: of the sequence.
      seed: of the order.
    """
    counts = np.floor(length * source.p).astype(int)
    short = length - counts.sum()
    counts[np.argsort(counts - length * source.p, kind="stable")[:short]] += 1
    sequence = np.repeat(source.points, counts, axis=0)
    return np.random.default_rng(seed).permutation(sequence)


def _from_density(points: np.ndarray, density: np.ndarray) -> Source:
    return Source(as_points(points), density / density.sum())


def _bump(x: np.ndarray, mean: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((x - mean) / width) ** 2)
