"""What both scans over a tensor share: classes and expected magnitudes, the next value, sums."""

from __future__ import annotations

import numpy as np

from fewbits.coding.compiled import compiled

INDEX, STATE, TOTAL, RECENT, FAILED = range(5)
"""What the array `scan` holds: elements coded, state of the trellis, sum of their magnitudes, mean
of the last ones, and whether a number was out of range."""
LARGEST_VALUE = (1 << 30) - 1
CLIP = 1 << 20
CLIP_MEAN = 1 << 28


@compiled
def log_class(scaled: int, bits: int, most: int) -> int:
    """About log2(1 + scaled / 8) in steps of 2^-bits, linear within an octave, at most `most`."""
    number = scaled + 8
    exponent = 3
    while number >> (exponent + 1) > 0:
        exponent += 1
    fraction = (number >> (exponent - bits)) & ((1 << bits) - 1)
    return min(((exponent - 3) << bits) + fraction, most)


@compiled
def sign(number: int) -> int:
    """0, 1 or 2 for a negative number, zero, a positive number."""
    return (1 if number > 0 else 0) - (1 if number < 0 else 0) + 1


@compiled
def expected_magnitudes(
    scan: np.ndarray,
    sums_a: np.ndarray,
    sums_b: np.ndarray,
    sums_c: np.ndarray,
    place: tuple[int, int, int, int],
    sizes: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Of all so far, of the slice, of the last axis, and expected here, in units of 1/256.

    Args:
      scan: int64[5].
      sums_a: int64[A], sums of magnitudes along the axes.
      sums_b: int64[B].
      sums_c: int64[C].
      place: the element's number and its place on the three axes.
      sizes: B and C.
    """
    i, a, b, c = place
    n_b, n_c = sizes
    mean = max(((scan[TOTAL] << 8) + 512) // (i + 2), 1)
    mean_a = ((sums_a[a] << 8) + 4 * mean) // (i - a * n_b * n_c + 4)
    mean_b = ((sums_b[b] << 8) + 4 * mean) // (a * n_c + c + 4)
    mean_c = ((sums_c[c] << 8) + 4 * mean) // (a * n_b + b + 4)
    expected = min(mean_a * mean_c // mean, CLIP_MEAN)
    if n_b > 1:
        expected = min(expected * mean_b // mean, CLIP_MEAN)
    return mean, mean_a, mean_c, expected


@compiled
def next_value(coded: int, odd: int, next_state: np.ndarray, scan: np.ndarray) -> int:
    """The number that a coded level and sign stand for; scan[FAILED] is 1 where there is none.

    Args:
      coded: twice the level plus the sign, below 0 for a level out of range.
      odd: whether the trellis is in a state of odd numbers.
      next_state: int64[states, 2], the trellis; one state for plain rounding.
      scan: int64[5]; the trellis goes on to its next state.
    """
    level = coded >> 1
    magnitude = level
    if coded >= 0 and next_state.shape[0] > 1:
        magnitude = max(2 * level - odd, 0)
        scan[STATE] = next_state[scan[STATE], level & 1]
    if coded < 0 or magnitude > LARGEST_VALUE:
        scan[FAILED] = 1
        return 0
    return -magnitude if coded & 1 else magnitude


@compiled
def count_magnitude(
    magnitude: int,
    scan: np.ndarray,
    sums_a: np.ndarray,
    sums_b: np.ndarray,
    sums_c: np.ndarray,
    place: tuple[int, int, int, int],
) -> None:
    """Adds a magnitude, at most CLIP, to the sums and means, and goes on to the next element."""
    i, a, b, c = place
    sums_a[a] += magnitude
    sums_b[b] += magnitude
    sums_c[c] += magnitude
    scan[TOTAL] += magnitude
    scan[RECENT] += ((magnitude << 8) - scan[RECENT]) >> 4
    scan[INDEX] = i + 1
