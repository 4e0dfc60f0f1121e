"""A large empirical source as a small one, and what a bound for the small one says of the large.

Group the letters, and let X' be the centroid of X's group. Then delta = E|X - X'|^2 is known, and

* a code that treats a group alike has E|X - Y|^2 = delta + E|X' - Y|^2 exactly;
* for any Y, I(X;Y) >= I(X';Y), and by the triangle inequality E|X' - Y|^2 is at most
  (sqrt(D) + sqrt(delta))^2, so that R_X(D) >= R_X'((sqrt(D) + sqrt(delta))^2).

The second is what turns a certificate for a few hundred groups into one for a million samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ratedist.problem.constraints import mean_distortion
from ratedist.solvers._certificate import certificate_for_all_codebooks
from ratedist.solvers.solve import solve_fixed
from ratedist.sources import Source, as_points, from_samples, squared_error

_MAX_PASSES = 4
_BLOCK = 1 << 22
_ANY_CODEBOOK_DIMENSION = 3


class Rounded(NamedTuple):
    """Samples in groups.

    Attributes:
      source: centroids of the groups with their probabilities.
      group: Int[N], the group of each sample.
      spread: delta, the mean squared distance of a sample to its centroid.
    """

    source: Source
    group: np.ndarray
    spread: float


class Bound(NamedTuple):
    """A certified bound.

    Attributes:
      rate_bits: no code of the samples' distribution at this distortion spends less, per sample.
      any_codebook: whether it holds for all reconstruction points, or (in four dimensions) for
        those of the groups' centroids only.
      upper_bits: memoryless coding needs no more: that much may be missing from `rate_bits`,
        because samples are grouped. inf where the groups are too coarse to tell.
    """

    rate_bits: float
    any_codebook: bool
    upper_bits: float


def round_samples(samples: Any, groups: int) -> Rounded:
    """At most `groups` groups: every distinct value its own where there are no more.

    In one dimension the groups are equal intervals of the range, in several they are the cells of
    samples drawn evenly from the sorted data, improved by a few passes of Lloyd's iteration.

    Args:
      samples: Float[N] or Float[N, k], finite.
      groups: at most so many; 1 or more.

    Raises:
      ValueError: see `sources.from_samples`.
    """
    points = as_points(samples)
    empirical = from_samples(points)
    if len(empirical.p) <= groups:
        _, group = np.unique(points, axis=0, return_inverse=True)
        return Rounded(empirical, group.reshape(-1), 0.0)
    if points.shape[1] == 1:
        low, high = points.min(), points.max()
        group = np.minimum((points[:, 0] - low) / (high - low) * groups, groups - 1).astype(int)
        return _grouped(points, group)
    even = np.linspace(0, len(empirical.p) - 1, groups).astype(int)
    centres = empirical.points[even]
    for _ in range(_MAX_PASSES):
        rounded = _grouped(points, nearest(points, centres))
        centres = rounded.source.points
    return rounded


def round_kinds(samples: Any, kind: Any, groups: Sequence[int]) -> Rounded:
    """As `round_samples`, and no group has samples of two kinds.

    So a constraint on the samples of a kind is one on the groups of its own.

    Args:
      samples: Float[N] or Float[N, k], finite.
      kind: Int[N], from 0; every kind has a sample.
      groups: at most so many for each kind.

    Raises:
      ValueError: see `sources.from_samples`.
    """
    points, kind = as_points(samples), np.asarray(kind)
    group = np.empty(len(points), int)
    first = 0
    for number, most in enumerate(groups):
        rounded = round_samples(points[kind == number], most)
        group[kind == number] = first + rounded.group
        first += len(rounded.source.p)
    return _grouped(points, group)


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Int[N], the nearest centre of each point; a block at a time to bound memory."""
    found = np.empty(len(points), int)
    size = max(1, _BLOCK // len(centres))
    offset = (centres**2).sum(axis=1)
    for start in range(0, len(points), size):
        part = slice(start, start + size)
        found[part] = np.argmin(offset - 2.0 * points[part] @ centres.T, axis=1)
    return found


def bound(rounded: Rounded, level: float) -> Bound:
    """A lower bound on the rate at mean squared error `level`, certified without the solver."""
    source = rounded.source
    reach = (np.sqrt(level) + np.sqrt(rounded.spread)) ** 2
    rule = mean_distortion(source.p, reach)
    d = squared_error(source.points, source.points)
    point = solve_fixed(source.p, d, rule, tol_bits=1e-6)
    upper = _upper(rounded, level, d, point)
    everywhere = source.points.shape[1] <= _ANY_CODEBOOK_DIMENSION
    if not (everywhere and np.isfinite(point.dual).all()):
        return Bound(float(point.rate_lb), False, upper)
    rate = certificate_for_all_codebooks(
        source.p, source.points, source.points, rule, point.dual, point.q, slack_bits=1e-5
    )
    return Bound(max(rate, 0.0), True, upper)


def _upper(rounded: Rounded, level: float, d: np.ndarray, point: Any) -> float:
    """R(level) of the samples is at most that of the centroids at `level - spread`.

    A code that sees the centroids only adds the spread to their error, because what is rounded off
    is uncorrelated with the centroids.
    """
    if rounded.spread == 0:
        return float(point.rate_ub)
    if level <= rounded.spread:
        return float("inf")
    p = rounded.source.p
    return float(solve_fixed(p, d, level - rounded.spread, tol_bits=1e-4).rate_ub)


def _grouped(points: np.ndarray, group: np.ndarray) -> Rounded:
    """The rounded source of a grouping; empty groups disappear."""
    _, group = np.unique(group, return_inverse=True)
    group = group.reshape(-1)
    counts = np.bincount(group)
    centroids = np.stack([np.bincount(group, axis) for axis in points.T], axis=1) / counts[:, None]
    spread = float(((points - centroids[group]) ** 2).sum(axis=1).mean())
    return Rounded(Source(centroids, counts / counts.sum()), group, spread)
