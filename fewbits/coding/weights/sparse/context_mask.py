"""Where a pruned tensor is not zero, and with which signs: bits predicted from rows before them.

A tensor is seen as a matrix, its last axis as columns (a unit's inputs), all others as rows. What
makes a weight likely to survive, measured on pruned networks:

* how many nonzeros its column has so far, and whether its two nearest rows have one there;
* how many of six neighbouring rows have a nonzero there, and how full the two nearest are;
* how full the two nearest rows are, each by itself: rows of pixels at an image's border are empty;
* how many nonzero inputs the row's own unit has in the tensor before: a unit without inputs has no
  use for outputs.

Which rows are near is a matter of geometry: for the first layer of an image network they are the
pixel to the left and the pixel above. The encoder tries what the shape suggests and names its
choice. The sign of a weight is predicted from its neighbours' signs in the same column, which for
pixels agree nearly always.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fewbits.coding import adaptive_bits
from fewbits.coding.adaptive_bits import AdaptiveBits

COLUMN, CROWD, ROWS, INPUTS = range(4)
"""The kinds of context, in the order of the list above."""
N_KINDS = 4
KIND_SETS = (
    (COLUMN, CROWD, ROWS),
    (COLUMN, CROWD, ROWS, INPUTS),
    (COLUMN, INPUTS),
    (COLUMN,),
)
GAINS = (4, 6, 8, 10, 13, 16)
"""Choices of the weight, in sixteenths, with which the contexts' evidence is added up: contexts
that say the same thing in other words must not be believed twice."""
_CLASSES = 24
_KIND_SIZE = _CLASSES * _CLASSES
_SIGN_REACH = 4
_BLOCK = 1 << 16


class Geometry(NamedTuple):
    """How far away a row's neighbours are.

    Attributes:
      near: rows to the neighbour of the first kind, >= 1.
      far: rows to the neighbour of the second kind, >= 1.
    """

    near: int
    far: int


class MaskModel:
    """Odds of one row of the mask after another."""

    def __init__(self, shape: tuple[int, int], ones: int, geometry: Geometry, inputs: np.ndarray):
        """Starts before the first row.

        Args:
          shape: rows and columns.
          ones: how many entries of the mask are one; at least 1 and not all of them.
          geometry: see `Geometry`.
          inputs: int[rows], nonzeros that the row's unit has as inputs; zeros where unknown.
        """
        n_rows, n_columns = shape
        self.bits = AdaptiveBits(N_KINDS * _KIND_SIZE, ones, n_rows * n_columns - ones)
        self._geometry = geometry
        self._reach = 2 * max(geometry)
        # Narrow numbers: tensors may be large, and no sum of neighbours passes 6.
        self._rows = np.zeros((self._reach + n_rows, n_columns), np.int8)
        self._row_counts = np.zeros(self._reach + n_rows, np.int64)
        self._column_counts = np.zeros(n_columns, np.int64)
        self._classes = _count_classes(2 * max(n_rows, n_columns, int(inputs.max(initial=0))))
        self._inputs = self._classes[inputs]
        self._row = 0

    def contexts(self) -> np.ndarray:
        """int64[4, columns]: the contexts of the next row's entries."""
        here, (near, far) = self._row + self._reach, self._geometry
        left, above = self._rows[here - near], self._rows[here - far]
        crowd = left + above + self._rows[here - far - near] + self._rows[here - 2 * near]
        crowd = crowd + self._rows[here - 2 * far]
        if far > near:
            crowd = crowd + self._rows[here - far + near]
        n_left, n_above = self._row_counts[here - near], self._row_counts[here - far]
        found = np.empty((N_KINDS, left.size), np.int64)
        found[COLUMN] = left + 2 * above + 4 * self._classes[self._column_counts]
        found[CROWD] = crowd * _CLASSES + self._classes[n_left + n_above]
        found[ROWS] = self._classes[n_left] * _CLASSES + self._classes[n_above]
        found[INPUTS] = self._inputs[self._row]
        return found + (np.arange(N_KINDS) * _KIND_SIZE)[:, None]

    def learn(self, contexts: np.ndarray, row: np.ndarray) -> None:
        """Takes notice of a row, bool[columns], and goes on to the next."""
        here = self._row + self._reach
        self.bits.learn(contexts, row)
        self._rows[here] = row
        self._row_counts[here] = np.count_nonzero(row)
        self._column_counts += row
        self._row += 1


def mask_levels(base: int, evidence: np.ndarray, kinds: Sequence[int], gain: int) -> np.ndarray:
    """Levels of the odds, int64[n], from the evidence, int64[4, n], of the kinds in use."""
    total = evidence[list(kinds)].sum(axis=0)
    return adaptive_bits.levels(base + (total * gain >> 4))


def mask_evidence(
    mask: np.ndarray, geometry: Geometry, inputs: np.ndarray
) -> Iterator[tuple[slice, int, np.ndarray]]:
    """For an encoder, who knows the mask: rows, base and evidence int64[4, rows * columns].

    Some rows at a time, since the evidence of all takes eight times the memory of the tensor.
    """
    model = MaskModel(mask.shape, int(np.count_nonzero(mask)), geometry, inputs)
    n_rows, n_columns = mask.shape
    step = max(1, _BLOCK // n_columns)
    for start in range(0, n_rows, step):
        rows = slice(start, min(start + step, n_rows))
        evidence = np.empty((N_KINDS, rows.stop - start, n_columns), np.int64)
        for number, row in enumerate(mask[rows]):
            contexts = model.contexts()
            evidence[:, number] = model.bits.evidence(contexts)
            model.learn(contexts, row)
        yield rows, model.bits.base, evidence.reshape(N_KINDS, -1)


class SignModel:
    """Odds that the next row's weights are positive, given the signs of the rows before."""

    def __init__(self, shape: tuple[int, int], geometry: Geometry | None):
        """Starts before the first row; without a geometry one context serves all."""
        self.bits = AdaptiveBits(2 * _SIGN_REACH + 1, 1, 1)
        self._geometry = geometry
        self._reach = 2 * max(geometry) if geometry else 0
        self._signs = np.zeros((self._reach + shape[0], shape[1]), np.int8)
        self._row = 0

    def contexts(self, columns: np.ndarray) -> np.ndarray:
        """int64[1, n]: the contexts of the next row's nonzeros, which are in `columns`."""
        if self._geometry is None:
            return np.zeros((1, columns.size), np.int64)
        here, (near, far) = self._row + self._reach, self._geometry
        sum_of_signs = 2 * (self._signs[here - near, columns] + self._signs[here - far, columns])
        for offset in (far + near, 2 * near, 2 * far):
            sum_of_signs += self._signs[here - offset, columns]
        if far > near:
            sum_of_signs += self._signs[here - far + near, columns]
        return np.clip(sum_of_signs, -_SIGN_REACH, _SIGN_REACH)[None] + _SIGN_REACH

    def levels(self, contexts: np.ndarray) -> np.ndarray:
        """int64[n]: levels of the odds that the weights are positive."""
        return adaptive_bits.levels(self.bits.evidence(contexts)[0])

    def learn(self, contexts: np.ndarray, columns: np.ndarray, positive: np.ndarray) -> None:
        """Takes notice of a row's signs, bool[n], and goes on to the next row."""
        self.bits.learn(contexts, positive)
        self._signs[self._row + self._reach, columns] = np.where(positive, 1, -1)
        self._row += 1


def sign_levels(signs: np.ndarray, geometry: Geometry | None) -> np.ndarray:
    """For an encoder: levels of the nonzeros of `signs`, int[rows, columns], uint8 in order."""
    model = SignModel(signs.shape, geometry)
    found = []
    for row in signs:
        columns = np.flatnonzero(row)
        contexts = model.contexts(columns)
        found.append(model.levels(contexts).astype(np.uint8))
        model.learn(contexts, columns, row[columns] > 0)
    return np.concatenate(found)


def geometries(shape: tuple[int, ...], n_inputs: int) -> list[Geometry]:
    """What the shape of a tensor suggests about which rows are near.

    Args:
      shape: the tensor's; four axes are taken for height, width, inputs, outputs.
      n_inputs: columns of the tensor before, or 0: channels of a picture that was flattened.
    """
    n_rows = math.prod(shape[:-1])
    if len(shape) == 4:
        _, width, channels, _ = shape
        return [Geometry(channels, max(width, 1) * channels), Geometry(1, channels)]
    found = []
    for channels in sorted({1, 3, n_inputs} - {0}):
        side = math.isqrt(n_rows // channels)
        if side > 1 and side * side * channels == n_rows:
            found.append(Geometry(channels, side * channels))
    return found or [Geometry(1, 2)]


def _count_classes(largest: int) -> np.ndarray:
    """int64[largest + 1]: half octaves of count + 1, at most `_CLASSES` - 1."""
    half_octaves = 2 * adaptive_bits.log2(np.arange(1, largest + 2)) // adaptive_bits.ONE
    return np.minimum(half_octaves, _CLASSES - 1)
