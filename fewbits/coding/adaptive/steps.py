"""Steps for a network about whose data nothing is known.

One step for all matrices gives the least squared error for a size. Where tensors differ much in
scale it would wipe out the small ones, so a tensor's own relative error is bounded as well. Biases,
norm scales and statistics are few and matter much: they have a finer step. Scales ignore the
largest outliers, and zeros, which cost no error.
"""

from __future__ import annotations

import math

import numpy as np

RELATIVE_ERROR = 1 / 256
"""Mean squared error over mean square of the nonzero weights of all matrices, by default."""
_WORST = 4.0
"""A matrix has at most so many times the relative error of the whole."""
_ERROR_OF_STEP = 0.21
"""Mean squared error of the trellis at moderate rates, in squared steps."""
_FINER = 8.0
_VECTOR_STEPS = 64.0
_SMALLEST_STEPS = 4.0
_MOST_STEPS = float(1 << 16)
_CLIP = 6.0
_CLIPPINGS = 12
_LEAST = 2.0**-126


def default_steps(tensors: list[np.ndarray], relative_error: float) -> list[float]:
    """A step for each tensor, float32 numbers.

    Args:
      tensors: float32[...], finite.
      relative_error: of the matrices, see `RELATIVE_ERROR`.
    """
    scales = [robust_scale(tensor) for tensor in tensors]
    matrices = [is_matrix(tensor) for tensor in tensors]
    counts = [np.count_nonzero(tensor) if matrix else 0
              for tensor, matrix in zip(tensors, matrices, strict=True)]  # fmt: skip
    square = sum(n * s * s for n, s in zip(counts, scales, strict=True)) / max(sum(counts), 1)
    relative_step = math.sqrt(relative_error / _ERROR_OF_STEP)
    common = relative_step * math.sqrt(square)
    steps = []
    for tensor, scale, matrix in zip(tensors, scales, matrices, strict=True):
        step = min(common, relative_step * math.sqrt(_WORST) * scale)
        steps.append(step if matrix else vector_step(tensor, common, scale))
    return [storable(step) for step in steps]


def common_steps(tensors: list[np.ndarray], step: float) -> list[float]:
    """One step for all matrices, finer ones for vectors, float32 numbers."""
    return [
        storable(step if is_matrix(one) else vector_step(one, step, robust_scale(one)))
        for one in tensors
    ]


def is_matrix(tensor: np.ndarray) -> bool:
    """Whether two axes or more are longer than 1."""
    return sum(length > 1 for length in tensor.shape) > 1


def robust_scale(tensor: np.ndarray) -> float:
    """Root mean square of the nonzero elements, outliers clipped at six times the result."""
    nonzero = tensor[tensor != 0]
    if nonzero.size == 0:
        return 0.0
    largest = float(np.abs(nonzero).max())
    sizes = np.abs(nonzero) / np.float32(largest)
    scale = 1.0
    for _ in range(_CLIPPINGS):
        clipped = np.minimum(sizes, np.float32(_CLIP * scale))
        fresh = math.sqrt(float(np.mean(np.square(clipped), dtype=np.float64)))
        if fresh > 0.99 * scale:
            return fresh * largest
        scale = fresh
    return scale * largest


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
