"""Images in square cosine blocks: choosing sizes, quantising, and the pixels that result.

Block sizes and quantised values minimise J = squared error + lambda * bits, with bits from a
Laplacian whose scale follows the neighbouring coefficients; the coder's own model is adaptive, so
the estimate serves for decisions only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ratedist.codes.transform import bases
from ratedist.codes.transform import quantise as quantising
from ratedist.codes.transform.images.symbols import SMALLEST, SUPERBLOCK

LEVELS = (4, 8, 16, 32)
TABLE_BITS = 16
STEP_PARTS = 64
_SPLIT_BITS = 1.0
_MEAN_BITS = 4.0
_INSIDE = (
    (0, 1, 2), (1, 0, 2), (0, -1, 2), (-1, 0, 2), (1, 1, 1), (-1, -1, 1), (1, -1, 1), (-1, 1, 1),
    (0, 2, 1), (2, 0, 1), (0, -2, 1), (-2, 0, 1),
)  # fmt: skip
"""Neighbours within a block: down, right, weight."""


class Quantised(NamedTuple):
    """A quantised image.

    Attributes:
      coefficients: Int[C, H, W], padded to multiples of 32.
      sizes: Int[H/4, W/4], log2 of the size of the block over each cell.
      shifts: Int[levels, 3], in 1/64 steps.
    """

    coefficients: np.ndarray
    sizes: np.ndarray
    shifts: np.ndarray


def blocks_of(planes: np.ndarray, n: int) -> np.ndarray:
    """[C, H, W] as [C, H/n, W/n, n, n]."""
    channels, height, width = planes.shape
    return planes.reshape(channels, height // n, n, width // n, n).transpose(0, 1, 3, 2, 4)


def planes_of(blocks: np.ndarray) -> np.ndarray:
    """The inverse of `blocks_of`."""
    channels, rows, columns, n, _ = blocks.shape
    return blocks.transpose(0, 1, 3, 2, 4).reshape(channels, rows * n, columns * n)


def spectra(planes: np.ndarray, levels: tuple[int, ...]) -> dict[int, np.ndarray]:
    """The coefficients of a padded image by block size, each [C, H/n, W/n, n, n]."""
    found = {}
    for level in levels:
        n = LEVELS[level]
        basis = bases.dct(n, TABLE_BITS) / float(1 << TABLE_BITS)
        found[level] = basis @ blocks_of(planes, n) @ basis.T
    return found


def _scale(m: np.ndarray) -> np.ndarray:
    """The mean magnitude that a coefficient's neighbours let one expect; same shape."""
    inside = np.zeros_like(m)
    weight = np.zeros(m.shape[-2:])
    for dy, dx, w in _INSIDE:
        (ty, sy), (tx, sx) = quantising.shifted(dy), quantising.shifted(dx)
        inside[..., ty, tx] += w * m[..., sy, sx]
        weight[ty, tx] += w
    across = quantising.mean_of_neighbours(m, ((1, 1, 1), (1, -1, 1), (2, 1, 1), (2, -1, 1)))
    everywhere = m.mean(axis=(1, 2), keepdims=True)
    return 0.55 * inside / weight + 0.25 * across + 0.2 * everywhere + 0.004


def _quantise(spectrum: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and the cost J of every block, in squared steps."""
    x = np.abs(spectrum) / step
    rough = np.floor(x + 0.4)
    scale = _scale(rough + 0.2 * np.minimum(x, 1) * (rough == 0))
    size, cost = quantising.choose(x, scale)
    signed = np.where(spectrum < 0, -size, size)
    # Means follow the pixels around and are rounded: they cost little and are never dropped.
    mean = np.rint(spectrum[..., 0, 0] / step)
    signed[..., 0, 0] = mean
    cost[..., 0, 0] = (spectrum[..., 0, 0] / step - mean) ** 2
    cost[..., 0, 0] += quantising.BITS_TO_ERROR * _MEAN_BITS
    return signed.astype(np.int64), cost.sum(axis=(0, 3, 4))


def quantise(
    found: dict[int, np.ndarray], step: float, sizes: np.ndarray | None = None
) -> Quantised:
    """Quantises, with the given sizes or the best ones.

    Args:
      found: `spectra`; of one level only, all blocks have that size.
      step: distance of reconstruction points.
      sizes: of `Quantised`, or None to choose.
    """
    present = set(found) if sizes is None else {int(size) - 2 for size in np.unique(sizes)}
    made = {level: _quantise(found[level], step) for level in sorted(present)}
    whole = {level: planes_of(values) for level, (values, _) in made.items()}
    shape = next(iter(whole.values())).shape
    if sizes is None and len(found) == 1:
        cells = (shape[1] // SMALLEST, shape[2] // SMALLEST)
        sizes = np.full(cells, next(iter(found)) + 2, np.int64)
    elif sizes is None:
        sizes = _tree([made[level][1] for level in range(len(LEVELS))])
    planes = np.zeros(shape, np.int64)
    shifts = np.zeros((len(LEVELS), 3), np.int64)
    for level in sorted(present):
        here = np.repeat(np.repeat(sizes == level + 2, SMALLEST, 0), SMALLEST, 1)
        if here.any():
            exact = planes_of(found[level])[:, here] / step
            planes[:, here] = whole[level][:, here]
            shifts[level] = quantising.centroid_shifts(np.abs(exact), np.abs(planes[:, here]))
    return Quantised(planes, sizes, shifts)


def _tree(costs: list[np.ndarray]) -> np.ndarray:
    """The quadtree of least cost, as sizes over cells."""
    best = costs[0] + 0.0
    split: list[np.ndarray] = []
    for level in range(1, len(LEVELS)):
        rows, columns = costs[level].shape
        parts = (
            best.reshape(rows, 2, columns, 2).sum(axis=(1, 3))
            + quantising.BITS_TO_ERROR * _SPLIT_BITS
        )
        split.append(parts < costs[level])
        best = np.minimum(parts, costs[level])
    sizes = np.full(best.shape, len(LEVELS) + 1, np.int64)
    for level in range(len(LEVELS) - 1, 0, -1):
        divided = split[level - 1] & (sizes == level + 2)
        sizes = np.where(divided, level + 1, sizes)
        sizes = np.repeat(np.repeat(sizes, 2, 0), 2, 1)
    return sizes


def pixels(quantised: Quantised) -> np.ndarray:
    """Float[C, H, W] in 1/64 steps: whole-number arithmetic in float64, exact in any order of sums.

    Raises:
      OverflowError: values too large for that.
    """
    coefficients, sizes, shifts = quantised
    largest = int(np.abs(coefficients).max(initial=0))
    if largest * STEP_PARTS * SUPERBLOCK > 1 << 52 - TABLE_BITS:
        raise OverflowError(f"a coefficient of {largest} steps")
    result = np.zeros(coefficients.shape)
    magnitude = np.abs(coefficients)
    for level, n in enumerate(LEVELS):
        here = np.repeat(np.repeat(sizes == level + 2, SMALLEST, 0), SMALLEST, 1)
        if not here.any():
            continue
        value = magnitude * STEP_PARTS - shifts[level][np.minimum(magnitude, 2)]
        blocks = blocks_of(np.where(coefficients < 0, -value, value) * here, n)
        basis = bases.dct(n, TABLE_BITS).astype(np.float64)
        half = np.floor((basis.T @ blocks) / (1 << TABLE_BITS) + 0.5)
        whole = np.floor((half @ basis) / (1 << TABLE_BITS) + 0.5)
        result += planes_of(whole) * here
    return result
