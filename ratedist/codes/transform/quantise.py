"""Quantisation that weighs squared error against bits, one coefficient at a time.

Bits come from a Laplacian whose scale is what neighbouring coefficients let one expect. The coder
adapts and knows better; the estimate serves for decisions only, and decoding does not need it.
"""

from __future__ import annotations

import numpy as np

BITS_TO_ERROR = 0.125
"""lambda in squared steps a bit; the slope of uniform quantisation at high rate is 0.1155."""
STEP_PARTS = 64


def choose(x: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best magnitudes, and their cost.

    Args:
      x: magnitudes in steps.
      scale: mean magnitude expected, of the same shape.

    Returns:
      Float whole numbers, and squared error + lambda * bits in squared steps.
    """
    decay = np.exp(-1 / scale)
    none = np.clip(1 - np.exp(-0.6 / scale), 1e-4, 1 - 1e-4)
    zero_bits = -np.log2(none)
    # Of magnitude 1, its sign included; and of every further unit.
    one_bits = 1 - np.log2(1 - none) - np.log2(np.maximum(1 - decay, 1e-9))
    more_bits = np.minimum(1 / (scale * np.log(2)), 6.0)
    lower = np.floor(x)
    best, cost = np.zeros_like(x), x**2 + BITS_TO_ERROR * zero_bits
    for q in (lower, lower + 1):
        growth = np.where(
            q > 12, more_bits * 11 + 2 * np.log2(np.maximum(q - 11, 1)), more_bits * (q - 1)
        )
        bits = np.where(q > 0, one_bits + growth, zero_bits)
        j = (x - q) ** 2 + BITS_TO_ERROR * bits
        better = j < cost
        best = np.where(better, q, best)
        cost = np.where(better, j, cost)
    return best, cost


def mean_of_neighbours(values: np.ndarray, offsets: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Weighted means of neighbours along axes, of those that exist.

    Args:
      values: an array.
      offsets: (axis, step, weight) each.
    """
    total = np.zeros_like(values)
    weight = np.zeros_like(values)
    for axis, step, w in offsets:
        target, source = shifted(step)
        to, of = [slice(None)] * values.ndim, [slice(None)] * values.ndim
        to[axis], of[axis] = target, source
        total[tuple(to)] += w * values[tuple(of)]
        weight[tuple(to)] += w
    return total / np.maximum(weight, 1)


def shifted(step: int) -> tuple[slice, slice]:
    """Where a neighbour's value goes, and where it comes from."""
    if step > 0:
        return slice(None, -step), slice(step, None)
    if step < 0:
        return slice(-step, None), slice(None, step)
    return slice(None), slice(None)


def centroid_shifts(exact: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """How far centroids lie below whole numbers, for magnitudes 0, 1 and more; 1/64 steps."""
    result = np.zeros(3, np.int64)
    for k, here in ((1, whole == 1), (2, (whole > 1) & (whole < 64))):
        if here.sum() > 8:
            result[k] = np.rint(STEP_PARTS * (whole - exact)[here].mean())
    return np.clip(result, -31, 31)
