"""The scan over one tensor of whole numbers: contexts from what came before, bits of each number.

A tensor is three axes (a, b, c), scanned in C order. Weights are noise whose scale is not: rows,
columns and places of a kernel differ in magnitude, neighbours resemble one another, filters are
smooth. So the contexts are magnitudes expected from the means along each axis, from neighbours and
from what was just coded, the neighbours' signs, and a linear prediction that learns (normalised
LMS). FORMAT.md has every formula.
"""

from __future__ import annotations

import numpy as np

from fewbits.coding.adaptive.level_code import N_BINS, code_level
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

N_CONTEXTS = 9
N_NEIGHBOURS = 8
SIZES = (1024, 96, 125, 576, 1152, 48, 576, 384, 27)
"""Contexts of each kind."""
STARTS = np.concatenate([[0], np.cumsum(SIZES)[:-1]])
N_SLOTS = 2 * N_BINS * sum(SIZES)
_CLIP_NEIGHBOUR = (1 << 15) - 1


@compiled
def clipped(number: int, most: int) -> int:
    """The number, at most `most` in magnitude."""
    return min(max(number, -most), most)


@compiled
def scan_tensor(
    encode: bool,
    values: np.ndarray,
    last: int,
    shape: tuple[int, int, int],
    number: int,
    next_state: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    taps: np.ndarray,
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
      sums: int64[A], [B], [C] and [B C], sums of magnitudes; changed.
      taps: int64[8], of the linear prediction; changed.
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
    context = np.zeros(9, np.int64)
    places = np.zeros(9, np.int64)
    inputs = np.zeros(10, np.int64)
    inputs[9] = 256
    near = np.zeros(8, np.int64)
    trellis = next_state.shape[0] > 1
    for i in range(scan[INDEX], last):
        a = i // plane
        b = (i % plane) // n_c
        c = i % n_c
        # What was coded nearby; 0 outside the tensor.
        for j in range(8):
            near[j] = 0
        for j in range(min(c, 3)):
            near[j] = clipped(values[i - 1 - j], _CLIP_NEIGHBOUR)
        if a > 0:
            near[3] = clipped(values[i - plane], _CLIP_NEIGHBOUR)
            if c > 0:
                near[5] = clipped(values[i - plane - 1], _CLIP_NEIGHBOUR)
            if c < n_c - 1:
                near[6] = clipped(values[i - plane + 1], _CLIP_NEIGHBOUR)
        if a > 1:
            near[4] = clipped(values[i - 2 * plane], _CLIP_NEIGHBOUR)
        if b > 0:
            near[7] = clipped(values[i - n_c], _CLIP_NEIGHBOUR)
        local = 3 * (abs(near[0]) + abs(near[3]) + abs(near[7])) + 2 * abs(near[1])
        local += abs(near[2]) + abs(near[4]) + abs(near[5]) + abs(near[6])
        weight = 2 + (3 if c > 0 else 0) + (2 if c > 1 else 0) + (1 if c > 2 else 0)
        weight += (5 if a > 0 else 0) + (1 if a > 1 else 0) + (3 if b > 0 else 0)
        # Expected magnitudes, in units of 1/256.
        place = (i, a, b, c)
        mean, mean_a, mean_c, expected = expected_magnitudes(
            scan, sums[0], sums[1], sums[2], place, (n_b, n_c)
        )
        mean_place = ((sums[3][b * n_c + c] << 8) + 4 * mean) // (a + 4)
        local = ((local << 8) + 2 * expected) // weight
        forecast = 0
        for j in range(8):
            forecast += taps[j] * near[j]
        ahead = forecast >> 8
        heading = 1 if ahead > 16 else (2 if ahead < -16 else 0)
        scale = log_class(expected, 1, 23)
        context[0] = number & 1023
        context[1] = log_class(expected, 3, 95)
        context[2] = min(abs(near[0]), 4) * 25 + min(abs(near[3]), 4) * 5
        context[2] += min(abs(near[7] if n_b > 1 else near[1]), 4)
        context[3] = scale * 24 + log_class(local, 1, 23)
        context[4] = log_class(scan[RECENT], 2, 47) * 24 + scale
        context[5] = log_class(mean_place, 2, 47)
        context[6] = log_class(mean_a, 1, 23) * 24 + log_class(mean_c, 1, 23)
        context[7] = heading * 64 + min(abs(ahead) >> 6, 63)
        context[8] = sign(near[0]) * 9 + sign(near[3]) * 3 + sign(near[7])

        odd = scan[STATE] & 1 if trellis else 0
        value = 0
        level = 0
        if encode:
            value = values[i]
            level = (abs(value) + odd) >> 1 if trellis else abs(value)
        negative = 1 if value < 0 else 0
        coded = code_level(
            encode, level, negative, odd, scale, scale, heading, context, starts, places, inputs,
            slots, weights, coder, data, tables,
        )  # fmt: skip
        value = next_value(coded, odd, next_state, scan)
        if scan[FAILED] == 1:
            return
        values[i] = value

        magnitude = min(abs(value), CLIP)
        sums[3][b * n_c + c] += magnitude
        count_magnitude(magnitude, scan, sums[0], sums[1], sums[2], place)
        error = ((clipped(value, CLIP) << 16) - forecast) >> 8
        power = 16
        for j in range(8):
            power += near[j] * near[j]
        for j in range(8):
            taps[j] = clipped(taps[j] + ((error * near[j] // power) >> 6), 1 << 20)
