"""The encoder's half of trellis-coded quantisation: the path of least error and rate."""

from __future__ import annotations

import numpy as np

from fewbits.coding.compiled import compiled

N_CLASSES = 48
"""Classes of expected magnitude, three to the octave; class 10 is one step."""
N_LEVELS = 42
"""Rates are kept for the levels below this one; what is larger costs as much as the last."""
_CLASSES_PER_OCTAVE = 3.0
_CLASS_OF_ONE = 10.0
_BLOCK = 1 << 14
_AHEAD = 1 << 9
_NEVER = 1e30


@compiled
def magnitude_sums(values, n_b, n_c, sum_a, sum_b, sum_c):  # noqa: ANN001, ANN201
    """Adds up magnitudes of values float32[A B C] along the three axes, float64[A], [B], [C]."""
    for i in range(values.size):
        size = abs(values[i])
        sum_a[i // (n_b * n_c)] += size
        sum_b[(i // n_c) % n_b] += size
        sum_c[i % n_c] += size


@compiled
def search(
    values: np.ndarray,
    step: float,
    logs: tuple[np.ndarray, np.ndarray, np.ndarray],
    rates: np.ndarray,
    penalty: float,
    next_state: np.ndarray,
    found: np.ndarray,
    counts: np.ndarray,
) -> float:
    """The best path (Viterbi 1967), in blocks that look ahead.

    Args:
      values: float32[A B C].
      step: of the union of both quantisers.
      logs: float64[A], [B], [C], whose sum is the logarithm to base two of a value's expected
        magnitude in steps.
      rates: float64[N_CLASSES, 2, N_LEVELS], bits of each level in each class and quantiser.
      penalty: squared steps that a bit is worth.
      next_state: int64[states, 2], see `trellis.next_states`.
      found: int32[A B C], the values of the path in steps; written.
      counts: float64[N_CLASSES, 2, N_LEVELS], how often a level was used; added to.

    Returns:
      The sum of squared errors, in squared steps.
    """
    size = values.size
    n_b, n_c = logs[1].size, logs[2].size
    states = next_state.shape[0]
    before = np.zeros((states, 2), np.int64)
    seen = np.zeros(states, np.int64)
    for state in range(states):
        for parity in range(2):
            to = next_state[state, parity]
            before[to, seen[to]] = 2 * state + parity
            seen[to] += 1
    length = min(size, _BLOCK + _AHEAD)
    survivors = np.zeros((length, states), np.uint8)
    levels = np.zeros((length, 2, 2), np.int32)
    classes = np.zeros(length, np.int64)
    total = np.zeros(states)
    fresh = np.zeros(states)
    cost = np.zeros((2, 2))
    start_state = 0
    start = 0
    error = 0.0
    while start < size:
        end = min(start + _BLOCK + _AHEAD, size)
        total[:] = _NEVER
        total[start_state] = 0.0
        for i in range(start, end):
            place = i - start
            x = abs(values[i]) / step
            log = logs[0][i // (n_b * n_c)] + logs[1][(i // n_c) % n_b] + logs[2][i % n_c]
            kind = int(min(max(_CLASSES_PER_OCTAVE * log + _CLASS_OF_ONE + 0.5, 0.0), 47.0))
            classes[place] = kind
            for quantiser in range(2):
                cost[quantiser, 0] = x * x + penalty * rates[kind, quantiser, 0]
                cost[quantiser, 1] = _NEVER
                levels[place, quantiser, 0] = 0
                levels[place, quantiser, 1] = 1
                if x == 0.0:  # what was pruned stays zero
                    continue
                middle = int(0.5 * (x + quantiser))
                for level in range(max(middle - 2, 1), middle + 2):
                    off = x - (2 * level - quantiser)
                    here = off * off + penalty * rates[kind, quantiser, min(level, N_LEVELS - 1)]
                    if here < cost[quantiser, level & 1]:
                        cost[quantiser, level & 1] = here
                        levels[place, quantiser, level & 1] = level
            least = _NEVER
            for state in range(states):
                one, two = before[state, 0], before[state, 1]
                via_one = total[one >> 1] + cost[(one >> 1) & 1, one & 1]
                via_two = total[two >> 1] + cost[(two >> 1) & 1, two & 1]
                better = via_two < via_one
                survivors[place, state] = 1 if better else 0
                fresh[state] = via_two if better else via_one
                least = min(least, fresh[state])
            for state in range(states):
                total[state] = fresh[state] - least
        state = np.argmin(total)
        stop = end if end == size else start + _BLOCK
        for i in range(end - 1, start - 1, -1):
            place = i - start
            if i == stop - 1:
                start_state = state
            way = before[state, survivors[place, state]]
            state = way >> 1
            if i < stop:
                quantiser = state & 1
                level = levels[place, quantiser, way & 1]
                magnitude = max(2 * level - quantiser, 0)
                off = abs(values[i]) / step - magnitude
                error += off * off
                counts[classes[place], quantiser, min(level, N_LEVELS - 1)] += 1.0
                found[i] = magnitude if values[i] > 0 else -magnitude
        start = stop
    return error
