"""A tensor on a grid with a step of one's own choice, rather than one that spans its range."""

from __future__ import annotations

import numpy as np

from fewbits.coding.weights import uniform_grid
from fewbits.coding.weights.trees.parameter_tree import GRID, Leaf
from fewbits.coding.weights.uniform_grid import Grid


def quantise(path: str, tensor: np.ndarray, step: float) -> tuple[Leaf, Grid]:
    """Description and symbols of a tensor rounded to multiples of `step`.

    Args:
      path: for error messages.
      tensor: float32[...], finite.
      step: delta > 0; rounded to float32, and that is the step.

    Raises:
      ValueError: a step that is 0 or infinite in float32, or so fine that symbols pass 16 bits.
    """
    with np.errstate(over="ignore"):
        exact = np.float32(step)
    if not (np.isfinite(exact) and exact > 0):
        raise ValueError(f"{path}: a step is a number from 1e-45 to 3e38, not {step}")
    largest = max(float(tensor.max(initial=0)), -float(tensor.min(initial=0)))
    reach = np.rint(largest / np.float64(exact))
    if reach > uniform_grid.largest_symbol(uniform_grid.MAX_BITS):
        raise ValueError(
            f"{path}: a step of {step} makes symbols up to {reach:.0f}; take a coarser"
        )
    bits = max(uniform_grid.MIN_BITS, int(reach).bit_length() + 1)
    leaf = Leaf(GRID, tensor.shape, bits, 0, float(exact))
    return leaf, Grid(uniform_grid.multiples(tensor, exact), exact, np.float32(0))
