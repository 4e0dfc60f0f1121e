"""In which form a tree is coded: of dense weights or of mostly zeros, and with which axis last."""

from __future__ import annotations

import math

import numpy as np

from fewbits.coding.adaptive import steps

_MOST_NONZEROS = 0.5


def is_pruned(tensors: list[np.ndarray]) -> bool:
    """Whether most elements of the matrices are zero, but not all."""
    matrices = [tensor for tensor in tensors if steps.is_matrix(tensor)]
    size = sum(tensor.size for tensor in matrices)
    nonzeros = sum(int(np.count_nonzero(tensor)) for tensor in matrices)
    return 0 < nonzeros < _MOST_NONZEROS * size


def has_outputs_first(shapes: list[tuple[int, ...]]) -> bool:
    """Whether a kernel's first axis is its outputs, as in PyTorch, and not its last one.

    Told by which of them fits the next kernel's inputs; the last one where both do.
    """
    kernels = [shape for shape in shapes if sum(length > 1 for length in shape) > 1]
    pairs = list(zip(kernels, kernels[1:], strict=False))
    last = sum(math.prod(after[:-1]) % before[-1] == 0 for before, after in pairs)
    first = sum(math.prod(after[1:]) % before[0] == 0 for before, after in pairs)
    return first > last


def outputs_last(tensor: np.ndarray) -> np.ndarray:
    """(out, in, places...) as (places..., in, out)."""
    if tensor.ndim < 2:
        return tensor
    return np.transpose(tensor, (*range(2, tensor.ndim), 1, 0))


def coded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """That of `outputs_last`."""
    return shape if len(shape) < 2 else (*shape[2:], shape[1], shape[0])


def outputs_back(tensor: np.ndarray) -> np.ndarray:
    """The inverse of `outputs_last`."""
    if tensor.ndim < 2:
        return tensor
    return np.transpose(tensor, (tensor.ndim - 1, tensor.ndim - 2, *range(tensor.ndim - 2)))
