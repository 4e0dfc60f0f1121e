"""The scan over one tensor of a pruned network: mostly zeros, whose places are most of the file.

Beside magnitudes expected from the means along each axis, as in `tensor_scan`, the contexts are
what makes a weight likely to survive: nonzeros in its column, in neighbouring rows (the pixel to
the left, the pixel above) and in the unit that the row reads; and for units in lexicographic order
whether the column was so far like the one before it. FORMAT.md has every formula.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fewbits.coding.adaptive.level_code import code_level
from fewbits.coding.adaptive.logistic import Tables
from fewbits.coding.adaptive.scan_state import (
    CLIP,
    FAILED,
    INDEX,
    RECENT,
    STATE,
    count_magnitude,
    expected_magnitudes,
    log_class,
    next_value,
    sign,
)
from fewbits.coding.compiled import compiled

SIZES = (1024, 96, 1152, 576, 168, 576, 576, 144, 81)
"""Contexts of each kind."""
STARTS = np.concatenate([[0], np.cumsum(SIZES)[:-1]])


class Surroundings(NamedTuple):
    """What is known of a tensor before its first number.

    Attributes:
      inputs: int64[rows], class of how many nonzeros the unit has that the row reads; 0 unknown.
      outputs: int64[columns], 1 and 2 for a unit whose bias is zero and not; 0 unknown.
      near: rows to the neighbour of the first kind, at least 1.
      far: rows to that of the second kind, at least `near`.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    near: int
    far: int


class Coded(NamedTuple):
    """A tensor that is known to both sides: its shape and which elements are not zero."""

    shape: tuple[int, ...]
    nonzero: np.ndarray
    """bool[n]."""


def surroundings(
    before: list[Coded], shape: tuple[int, ...], axes: tuple[int, int, int]
) -> Surroundings:
    """What earlier tensors and the shape say.

    Args:
      before: tensors in the order of the file.
      shape: of this one.
      axes: likewise, see `tensor_coder.axes`.
    """
    rows, columns = axes[0] * axes[1], axes[2]
    inputs, outputs = np.zeros(rows, np.int64), np.zeros(columns, np.int64)
    long = [length for length in shape if length != 1]
    near, far = 1, 2
    if len(long) < 2:
        return Surroundings(inputs, outputs, near, far)
    read = next((one for one in reversed(before) if _reads(rows, one)), None)
    if read is not None:
        width = read.shape[-1]
        counts = np.count_nonzero(read.nonzero.reshape(-1, width), axis=0)
        classes = np.array([1 + log_class(8 * int(count), 1, 22) for count in counts], np.int64)
        inputs = np.tile(classes, rows // width)
    if before and before[-1].nonzero.size == columns and len(_long(before[-1].shape)) < 2:
        outputs = 1 + before[-1].nonzero.astype(np.int64)
    if len(long) == 4:
        near, far = axes[1], axes[1] * long[1]
    elif read is None:
        for channels in (1, 3):
            side = math.isqrt(rows // channels)
            if side > 1 and channels * side * side == rows:
                near, far = channels, channels * side
                break
    return Surroundings(inputs, outputs, near, far)


def _reads(rows: int, one: Coded) -> bool:
    return len(_long(one.shape)) > 1 and one.shape[-1] > 1 and rows % one.shape[-1] == 0


def _long(shape: tuple[int, ...]) -> list[int]:
    return [length for length in shape if length != 1]


@compiled
def scan_pruned(
    encode: bool,
    values: np.ndarray,
    last: int,
    shape: tuple[int, int, int],
    number: int,
    next_state: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray, np.ndarray],
    counts: tuple[np.ndarray, np.ndarray, np.ndarray],
    known: tuple[np.ndarray, np.ndarray, int, int],
    scan: np.ndarray,
    starts: np.ndarray,
    slots: np.ndarray,
    weights: np.ndarray,
    coder: np.ndarray,
    data: np.ndarray,
    tables: Tables,
) -> None:
    """Codes the elements scan[INDEX] to `last` - 1.

    Args:
      encode: whether `values` is read and `data` written, or the other way round.
      values: int32[A B C], numbers in units of the step, at most LARGEST_VALUE in magnitude.
      last: where to stop.
      shape: A, B, C.
      number: the tensor's, in the file.
      next_state: int64[states, 2], the trellis; one state for plain rounding.
      sums: int64[A], [B] and [C], sums of magnitudes; changed.
      counts: int64[A B], nonzeros of each row; int64[C], nonzeros of each column; int64[C + 1],
        1 where a column's zeros are in the rows of the column before it, else and last 0; changed.
      known: see `Surroundings`.
      scan: int64[5]; changed.
      starts: `STARTS`.
      slots: see `code_bit`; changed.
      weights: likewise.
      coder: likewise.
      data: likewise.
      tables: see `logistic`.
    """
    n_b, n_c = shape[1], shape[2]
    plane = n_b * n_c
    of_row, of_column, same = counts
    reads, writes, near, far = known
    context = np.zeros(9, np.int64)
    places = np.zeros(9, np.int64)
    inputs = np.zeros(10, np.int64)
    inputs[9] = 256
    trellis = next_state.shape[0] > 1
    for i in range(scan[INDEX], last):
        a = i // plane
        b = (i % plane) // n_c
        c = i % n_c
        row = i // n_c
        if c == 0 and row > 0:
            for j in range(1, n_c):
                if (values[i - n_c + j] != 0) != (values[i - n_c + j - 1] != 0):
                    same[j] = 0
        left = values[i - near * n_c] if row >= near else 0
        above = values[i - far * n_c] if row >= far else 0
        corner = values[i - (near + far) * n_c] if row >= near + far else 0
        second = values[i - 2 * near * n_c] if row >= 2 * near else 0
        crowd = (1 if left != 0 else 0) + (1 if above != 0 else 0) + (1 if corner != 0 else 0)
        crowd += 1 if second != 0 else 0
        if row >= 2 * far and values[i - 2 * far * n_c] != 0:
            crowd += 1
        if far > near and row >= far - near and values[i - (far - near) * n_c] != 0:
            crowd += 1
        nearby = of_row[row - near] if row >= near else 0
        nearby += of_row[row - far] if row >= far else 0
        # Expected magnitudes, in units of 1/256.
        place = (i, a, b, c)
        _, mean_a, mean_c, expected = expected_magnitudes(
            scan, sums[0], sums[1], sums[2], place, (n_b, n_c)
        )
        scale = log_class(expected, 1, 23)
        full = log_class(8 * of_column[c], 2, 23)
        alike = 0
        if same[c] == 1:
            alike = 2 if values[i - 1] != 0 else 1
        prefix = 2 * alike + same[c + 1]
        context[0] = number & 1023
        context[1] = log_class(expected, 3, 95)
        context[2] = log_class(scan[RECENT], 2, 47) * 24 + scale
        context[3] = log_class(mean_a, 1, 23) * 24 + log_class(mean_c, 1, 23)
        context[4] = crowd * 24 + log_class(8 * nearby, 1, 23)
        context[5] = reads[row] * 24 + full
        context[6] = reads[row] * 24 + writes[c]
        context[7] = prefix * 24 + full
        context[8] = sign(left) * 27 + sign(above) * 9 + sign(corner) * 3 + sign(second)

        odd = scan[STATE] & 1 if trellis else 0
        value = 0
        level = 0
        if encode:
            value = values[i]
            level = (abs(value) + odd) >> 1 if trellis else abs(value)
        negative = 1 if value < 0 else 0
        coded = code_level(
            encode, level, negative, odd, scale, prefix, 0, context, starts, places, inputs,
            slots, weights, coder, data, tables,
        )  # fmt: skip
        value = next_value(coded, odd, next_state, scan)
        if scan[FAILED] == 1:
            return
        values[i] = value

        if value != 0:
            of_row[row] += 1
            of_column[c] += 1
        count_magnitude(min(abs(value), CLIP), scan, sums[0], sums[1], sums[2], place)
