"""Channels of a signal, made uncorrelated by a learned rotation in whole numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

TABLE_BITS = 14
STEP_PARTS = 64
MOST = 8


class Channels(NamedTuple):
    """A rotation and what it is applied to.

    Attributes:
      offsets: Float[C], means that are taken off first.
      matrix: Int[C, C], rows are the channels that are coded, in 2^-14.
    """

    offsets: np.ndarray
    matrix: np.ndarray


def fit(signal: np.ndarray) -> Channels:
    """Means (medians where these are far) and the Karhunen-Loeve basis of Float[C, N].

    The first channel varies most.
    """
    # A few numbers far out move the mean, and everybody else would be coded far from it.
    middle, mean = np.median(signal, axis=1), signal.mean(axis=1)
    spread = np.quantile(signal, 0.75, axis=1) - np.quantile(signal, 0.25, axis=1)
    offsets = np.where(np.abs(mean - middle) <= spread, mean, middle)
    if len(signal) == 1:
        return Channels(offsets, np.array([[1 << TABLE_BITS]]))
    centred = signal - offsets[:, None]
    largest = np.abs(centred).max()
    centred = centred / largest if largest > 0 else centred
    _, vectors = np.linalg.eigh(centred @ centred.T)
    matrix = vectors[:, ::-1].T
    matrix *= np.where(matrix.sum(axis=1) < 0, -1, 1)[:, None]
    return Channels(offsets, np.rint(matrix * (1 << TABLE_BITS)).astype(np.int64))


def apply(channels: Channels, signal: np.ndarray) -> np.ndarray:
    """The coded channels Float[C, N]."""
    inverse = np.linalg.inv(channels.matrix.T / float(1 << TABLE_BITS))
    return inverse @ (signal - channels.offsets[:, None])


def restore(channels: Channels, parts: np.ndarray, step: float, dtype: np.dtype) -> np.ndarray:
    """The signal [C, N] of `dtype`.

    Args:
      channels: see `fit`.
      parts: Float[C, N], whole numbers, in 1/64 steps.
      step: what one step is in units of the signal.
      dtype: whole numbers are rounded to, floats cast.

    Raises:
      OverflowError: values too large for exact arithmetic.
    """
    if np.abs(parts).max(initial=0) * (1 << TABLE_BITS) * len(parts) > 1 << 53:
        raise OverflowError("values too many steps from their mean")
    mixed = channels.matrix.T.astype(np.float64) @ parts
    # One product and one sum of float64, each rounded as IEEE 754 demands.
    values = mixed * (step / (STEP_PARTS << TABLE_BITS)) + channels.offsets[:, None]
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        top = float(limits.max) if limits.max < 1 << 53 else np.nextafter(float(limits.max), 0)
        return np.clip(np.rint(values), float(limits.min), top).astype(dtype)
    limits = np.finfo(dtype)
    return np.clip(values, float(limits.min), float(limits.max)).astype(dtype)
