"""Steps for a network about whose data nothing is known.

One step for all matrices gives the least squared error for a size. Where tensors differ much in
scale it would wipe out the small ones, so a tensor's own relative error is bounded as well. Biases,
norm scales and statistics are few and matter much: they have a finer step. Scales ignore the
largest outliers, and zeros, which cost no error.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

RELATIVE_ERROR = 1 / 256
"""Mean squared error over mean square of the nonzero weights of all matrices, by default."""
_WORST = 2.0
"""A matrix's step is at most so many times its scale over the scale of the whole, in steps of the
whole: its relative error is at most about four times the whole's."""
_ERROR_OF_STEP = 0.21
"""Mean squared error of the trellis at moderate rates, in squared steps."""
_FINER = 8.0
_VECTOR_STEPS = 64.0
_SMALLEST_STEPS = 4.0
_MOST_STEPS = float(1 << 16)
_CLIP = 6.0
_CLIPPINGS = 12
_LEAST = 2.0**-149
_LEAST_OF_MEAN = 1e-3


class Scales(NamedTuple):
    """What is known of a network's tensors.

    Attributes:
      of: robust scale of each tensor.
      matrix: whether each is a matrix.
      square: mean square of the nonzero elements of all matrices, from the scales.
      nonzeros: how many there are.
    """

    of: list[float]
    matrix: list[bool]
    square: float
    nonzeros: int


def measure(tensors: list[np.ndarray]) -> Scales:
    """The scales of a network's tensors, float32[...] and finite."""
    scales = [robust_scale(tensor) for tensor in tensors]
    matrix = [is_matrix(tensor) for tensor in tensors]
    counts = [
        np.count_nonzero(tensor) if one else 0 for tensor, one in zip(tensors, matrix, strict=True)
    ]
    nonzeros = int(sum(counts))
    square = sum(n * s * s for n, s in zip(counts, scales, strict=True)) / max(nonzeros, 1)
    return Scales(scales, matrix, square, nonzeros)


def first_step(mean_squared_error: float) -> float:
    """The step from which a search for this error may start."""
    return math.sqrt(mean_squared_error / _ERROR_OF_STEP)


def tensor_steps(tensors: list[np.ndarray], scales: Scales, step: float) -> list[float]:
    """A step for each tensor, float32 numbers, given one for the whole."""
    chosen = []
    for tensor, scale, matrix in zip(tensors, scales.of, scales.matrix, strict=True):
        if matrix:
            relative = scale / math.sqrt(scales.square) if scales.square > 0 else 1.0
            chosen.append(step * min(1.0, _WORST * relative))
        else:
            chosen.append(vector_step(tensor, step, scale))
    return [storable(one) for one in chosen]


def is_matrix(tensor: np.ndarray) -> bool:
    """Whether two axes or more are longer than 1."""
    return sum(length > 1 for length in tensor.shape) > 1


def robust_scale(tensor: np.ndarray) -> float:
    """Root mean square of the nonzero elements, outliers clipped at six times the result.

    Where they lie around a value far from zero, as norm scales do, it is of their distances to it,
    but at least a thousandth of that value: the ones of an identity have no distances.
    """
    sizes = tensor[tensor != 0]
    if sizes.size == 0:
        return 0.0
    largest = max(float(sizes.max()), -float(sizes.min()))
    sizes /= np.float32(largest)
    middle = float(sizes.mean(dtype=np.float64))
    least = 0.0
    if abs(middle) > 2 * float(sizes.std(dtype=np.float64)):
        sizes -= np.float32(middle)
        least = _LEAST_OF_MEAN * abs(middle)
    np.abs(sizes, out=sizes)
    scale = float(sizes.max())
    for _ in range(_CLIPPINGS):
        np.minimum(sizes, np.float32(_CLIP * scale), out=sizes)
        fresh = math.sqrt(float(np.vdot(sizes, sizes)) / sizes.size)
        if fresh > 0.99 * scale:
            break
        scale = fresh
    return max(fresh, least) * largest


def vector_step(tensor: np.ndarray, common: float, scale: float) -> float:
    """The step of biases, norm scales or statistics.

    Where all have one sign, as variances do, the smallest matters too: it spans four steps.
    """
    step = scale / _VECTOR_STEPS
    if common > 0:
        step = min(step, common / _FINER)
    if tensor.size and (tensor.min() > 0 or tensor.max() < 0):
        sizes = np.abs(tensor.astype(np.float64))
        step = min(step, max(sizes.min() / _SMALLEST_STEPS, sizes.max() / _MOST_STEPS))
    return step


def storable(step: float) -> float:
    """The step as a float32 that is positive; 1 where there is nothing but zeros."""
    return float(np.float32(max(step, _LEAST))) if step > 0 else 1.0
