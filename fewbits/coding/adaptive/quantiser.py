"""Quantisation of a whole network by rate and distortion.

Squared error plus a multiple of the rate is least where all tensors share one step and one
multiple: the error of a weight costs the same wherever it stands. What a level costs depends on the
scale of a weight's row and column; it is learned from the path found before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fewbits.coding.adaptive import tensor_coder, trellis, trellis_search
from fewbits.coding.adaptive.scan_state import LARGEST_VALUE
from fewbits.coding.adaptive.trellis_search import N_CLASSES, N_LEVELS

PENALTY = 0.4
"""Squared steps that a bit is worth: what gives the fewest bytes at an error."""
_FEW_STATES = 3
_FITS = 2
_PRIOR_WEIGHT = 8.0


class Quantised(NamedTuple):
    """Tensors on the paths of a trellis.

    Attributes:
      values: int32[n] for each tensor, in steps.
      squared_errors: of each tensor, summed over its elements, in the tensors' unit squared.
    """

    values: list[np.ndarray]
    squared_errors: list[float]


def quantise(tensors: list[np.ndarray], steps: list[float], states: int) -> Quantised:
    """The path of least error and rate through every tensor.

    Args:
      tensors: float32[...], finite.
      steps: a positive step for each, such that no value has 2^30 of them.
      states: logarithm to base two of the trellis's states, 2 to 8.

    Raises:
      ValueError: a step too fine for its tensor.
    """
    for tensor, step in zip(tensors, steps, strict=True):
        reach = max(float(tensor.max(initial=0)), -float(tensor.min(initial=0))) / step
        if not reach < LARGEST_VALUE - 4:
            raise ValueError(f"a step of {step:.3g} makes {reach:.3g} steps; take a coarser")
    flat = [np.ascontiguousarray(tensor, np.float32).ravel() for tensor in tensors]
    logs = [_logs(x, t.shape, step) for x, t, step in zip(flat, tensors, steps, strict=True)]
    rates = _first_rates()
    values = [np.empty(x.size, np.int32) for x in flat]
    for number in range(_FITS + 1):
        last = number == _FITS
        next_state = trellis.next_states(states if last else min(states, _FEW_STATES))
        counts = np.zeros((N_CLASSES, 2, N_LEVELS))
        errors = []
        for x, step, log, found in zip(flat, steps, logs, values, strict=True):
            error = trellis_search.search(x, step, log, rates, PENALTY, next_state, found, counts)
            errors.append(error * step * step)
        if last:
            return Quantised(values, errors)
        rates = _fitted_rates(counts)
    raise AssertionError


def _logs(
    x: np.ndarray, shape: tuple[int, ...], step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithms that add up to that of the expected magnitude: mean times factors of the axes."""
    axes = tensor_coder.axes(shape)
    sums = tuple(np.zeros(length) for length in axes)
    trellis_search.magnitude_sums(x, axes[1], axes[2], *sums)
    total = sums[0].sum()
    mean = total / max(x.size, 1)
    if mean == 0:
        return tuple(np.full(length, -10.0) for length in axes)  # type: ignore[return-value]
    logs = []
    for one in sums:
        count = x.size / one.size
        logs.append(np.log2((one + 4 * mean) / (count + 4) / mean))
    return (logs[0] + np.log2(mean / step + 1e-3), logs[1], logs[2])


def _first_rates() -> np.ndarray:
    """Rates of Laplace distributions."""
    expected = 2.0 ** ((np.arange(N_CLASSES) - 10) / 3)
    level = np.arange(N_LEVELS)
    rates = np.zeros((N_CLASSES, 2, N_LEVELS))
    for quantiser in range(2):
        values = np.maximum(2 * level - quantiser, 0)
        nats = values / np.maximum(expected, 0.2)[:, None]
        share = np.exp(-nats)
        total = share[:, 0] + 2 * share[:, 1:].sum(axis=1)
        rates[:, quantiser] = nats / np.log(2) + np.log2(total)[:, None]
    return rates


def _fitted_rates(counts: np.ndarray) -> np.ndarray:
    """Ideal lengths of levels by class and quantiser, a bit for the sign included.

    A class borrows from its neighbours, and what was never seen has the length of a geometric
    distribution of the same mean.
    """
    padded = np.pad(counts, ((1, 1), (0, 0), (0, 0)))
    seen = padded[:-2] + padded[1:-1] + padded[2:]
    level = np.arange(N_LEVELS)
    total = seen.sum(axis=2, keepdims=True)
    zero = (seen[..., :1] + 0.25) / (total + 0.5)
    mean = np.maximum((seen * level).sum(axis=2, keepdims=True) / np.maximum(total, 1), 1e-3)
    nonzero_mean = np.maximum(mean / (1 - zero), 1.02)
    ratio = 1 - 1 / nonzero_mean
    geometric = np.where(level == 0, zero, (1 - zero) * (1 - ratio) * ratio ** (level - 1.0))
    share = (seen + _PRIOR_WEIGHT * geometric) / (total + _PRIOR_WEIGHT)
    return -np.log2(np.maximum(share, 1e-9)) + (level > 0)
