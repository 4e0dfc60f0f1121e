"""Trellis-coded quantisation: two scalar quantisers that take turns, as a state machine decides.

With a step delta, Q_0 holds the even multiples of delta, Q_1 the odd ones and zero. Index k stands
for 2 k delta in Q_0, and for (2 k - sgn k) delta in Q_1. A state machine reads the parities of the
indices; even states use Q_0, odd states Q_1, so a decoder knows the quantiser without being told.
The encoder looks for the path that minimises squared error plus a multiple of the rate with the
Viterbi algorithm (Marcellin and Fischer 1990; with zero in both quantisers as in JPEG 2000 and
Versatile Video Coding). The machines are Ungerboeck's codes for one dimension (1982, table I).
"""

from __future__ import annotations

import functools

import numpy as np

MOST_STATES = 8
_CHECKS = {2: (0o5, 0o2), 3: (0o13, 0o4), 4: (0o23, 0o4), 5: (0o45, 0o10), 6: (0o103, 0o24),
           7: (0o235, 0o126), 8: (0o515, 0o362)}  # fmt: skip
"""Parity-check polynomials of Ungerboeck's codes by the logarithm of the number of states."""


@functools.cache
def next_states(states: int) -> np.ndarray:
    """int64[2^states, 2]: the state after each state and parity of the index.

    Args:
      states: logarithm to base two of the number of states: 2 to 8, or 0 for no trellis.

    Raises:
      ValueError: another number.
    """
    if states == 0:
        return np.zeros((1, 2), np.int64)
    if states not in _CHECKS:
        raise ValueError(f"a trellis has 2^2 to 2^{MOST_STATES} states, not 2^{states}")
    of_quantiser, of_parity = (check >> 1 for check in _CHECKS[states])
    state, parity = np.ogrid[: 1 << states, :2]
    return (state >> 1) ^ (of_quantiser * (state & 1)) ^ (of_parity * parity)
