"""Series in frames: cosine blocks, lapped cosines, a learned basis, or the numbers themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ratedist.codes.transform import bases, quantise

TABLE_BITS = 20
KLT_BITS = 12
STEP_PARTS = 64
LARGEST_BLOCK = 2048
LARGEST_KLT = 64
SHIFT_ZONES = 4


class Basis(NamedTuple):
    """How frames become coefficients.

    Attributes:
      kind: "none", "dct", "lapped" or "klt".
      block: numbers of a frame.
      table: Int[block, span], rows are basis functions, in 2^-bits.
      bits: see `table`.
    """

    kind: str
    block: int
    table: np.ndarray
    bits: int


def basis(kind: str, block: int, table: np.ndarray | None = None) -> Basis:
    """The basis of a name; a learned one is given as its `table`."""
    if kind == "none":
        return Basis(kind, block, np.eye(block, dtype=np.int64), 0)
    if kind == "dct":
        return Basis(kind, block, bases.dct(block, TABLE_BITS), TABLE_BITS)
    if kind == "lapped":
        return Basis(kind, block, bases.lapped(block, TABLE_BITS), TABLE_BITS)
    assert table is not None
    return Basis(kind, block, table, KLT_BITS)


def learned(series: np.ndarray, block: int) -> Basis:
    """The Karhunen-Loeve basis of runs of `block` numbers of Float[C, N]; rows by variance."""
    runs = _runs(series, block).reshape(-1, block)
    runs = runs - runs.mean(axis=0)
    _, vectors = np.linalg.eigh(runs.T @ runs)
    table = np.rint(vectors[:, ::-1].T * (1 << KLT_BITS)).astype(np.int64)
    return Basis("klt", block, table, KLT_BITS)


def frame_count(length: int, kind: str, block: int) -> int:
    """Frames of a series of `length` numbers."""
    return -(-length // block) + (1 if kind == "lapped" else 0)


def analyse(series: np.ndarray, using: Basis) -> np.ndarray:
    """Coefficients Float[T, C, M] of a series Float[C, N]."""
    block = using.block
    if using.kind == "none":
        return _runs(series, block).transpose(1, 0, 2)
    table = using.table / float(1 << using.bits)
    if using.kind != "lapped":
        if using.kind == "klt":
            table = np.linalg.inv(table).T  # rounded, it is not quite orthogonal
        return (_runs(series, block) @ table.T).transpose(1, 0, 2)
    length = series.shape[1]
    frames = frame_count(length, "lapped", block)
    mode = "symmetric" if length > 1 else "edge"
    wide = np.pad(series, ((0, 0), (block, frames * block - length)), mode=mode)
    parts = wide.reshape(len(series), frames + 1, block)
    halves = parts[:, :-1] @ table[:, :block].T + parts[:, 1:] @ table[:, block:].T
    return halves.transpose(1, 0, 2)


def synthesise(values: np.ndarray, using: Basis, length: int) -> np.ndarray:
    """The series Float[C, N], in 1/64 steps and whole, of Int[T, C, M] in 1/64 steps.

    Whole-number arithmetic in float64, exact in any order of sums.

    Raises:
      OverflowError: values too large for that.
    """
    largest = float(np.abs(values).max(initial=0))
    if using.kind == "none":
        if largest > 1 << 52:
            raise OverflowError(f"a coefficient of {largest / STEP_PARTS:g} steps")
        return values.transpose(1, 0, 2).reshape(values.shape[1], -1)[:, :length].astype(float)
    table = using.table.astype(np.float64)
    heaviest = float(np.abs(values).sum(axis=2).max(initial=0)) * np.abs(table).max()
    if heaviest > 1 << 51:
        raise OverflowError(f"a frame of coefficients up to {largest / STEP_PARTS:g} steps")
    spread = values.astype(np.float64) @ table
    block = using.block
    if using.kind == "lapped":
        spread = spread[:-1, :, block:] + spread[1:, :, :block]
    whole = np.floor(spread / float(1 << using.bits) + 0.5)
    return whole.transpose(1, 0, 2).reshape(values.shape[1], -1)[:, :length]


def quantised(coefficients: np.ndarray, step: float) -> np.ndarray:
    """Int[T, C, M], by J = squared error + lambda * bits."""
    x = np.abs(coefficients) / step
    rough = np.floor(x + 0.4)
    magnitude = rough + 0.2 * np.minimum(x, 1) * (rough == 0)
    inside = quantise.mean_of_neighbours(magnitude, ((2, 1, 2), (2, -1, 2), (2, 2, 1), (2, -2, 1)))
    across = quantise.mean_of_neighbours(magnitude, ((0, 1, 2), (0, -1, 2), (0, 2, 1), (0, -2, 1)))
    typical = np.quantile(magnitude, 0.95, axis=0, keepdims=True)
    everywhere = np.minimum(magnitude, 8 * typical + 4).mean(axis=0, keepdims=True)
    scale = 0.35 * inside + 0.35 * across + 0.3 * everywhere + 0.004
    if coefficients.shape[2] == 1:
        scale = 0.2 * across + 0.8 * everywhere + 0.004
    values, _ = quantise.choose(x, scale)
    return np.where(coefficients < 0, -values, values).astype(np.int64)


def centroid_shifts(coefficients: np.ndarray, values: np.ndarray, step: float) -> np.ndarray:
    """Int[SHIFT_ZONES, 3]: by zone of frequencies, see `quantise.centroid_shifts`."""
    zones = zone_of(values.shape[2])
    exact, whole = np.abs(coefficients) / step, np.abs(values)
    return np.stack(
        [
            quantise.centroid_shifts(exact[:, :, zones == z], whole[:, :, zones == z])
            for z in range(SHIFT_ZONES)
        ]
    )


def reconstruction(values: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Int[T, C, M], in 1/64 steps."""
    size = np.abs(values)
    below = shifts[zone_of(values.shape[2])[None, None, :], np.minimum(size, 2)]
    points = size * STEP_PARTS - below
    return np.where(values < 0, -points, points)


def zone_of(block: int) -> np.ndarray:
    """Zone of each frequency: quarters of the frame."""
    return np.arange(block) * SHIFT_ZONES // block


def _runs(series: np.ndarray, block: int) -> np.ndarray:
    """[C, N] as [C, N/block, block], continued by the last number."""
    wide = np.pad(series, ((0, 0), (0, -series.shape[1] % block)), mode="edge")
    return wide.reshape(len(series), -1, block)
