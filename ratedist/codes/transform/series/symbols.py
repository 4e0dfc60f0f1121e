"""Quantised coefficients of frames (sound, series, vectors) as decisions of the arithmetic coder.

Frames follow one another in time; within a frame the channels, within a channel the frequencies.
The last frequency that is not zero is coded first. Contexts are magnitudes of lower frequencies,
of the same frequencies in the two frames before, and of the channel before.
"""

from __future__ import annotations

import numpy as np

from fewbits.coding.compiled import compiled
from ratedist.codes.transform.bits import DECODING, INPUTS, code_bit
from ratedist.codes.transform.numbers import NODES, bucket, code_uint

_REGION = 4096
CONTEXTS = INPUTS * _REGION * NODES + INPUTS * 1024
SETS = 512


@compiled
def code_frames(coder, coefficients):
    """Codes (or, when the coder reads, fills in) whole numbers.

    Args:
      coder: Coder, of CONTEXTS and SETS.
      coefficients: Int[T, C, M], frames of M frequencies of C channels.
    """
    frames, channels, size = coefficients.shape
    reading = coder.registers[DECODING] == 1
    inputs = coder.inputs
    none = np.zeros(size, np.int64)
    ends = np.zeros((2, channels), np.int64)
    positions = bucket(size)
    for t in range(frames):
        for c in range(channels):
            row = coefficients[t, c]
            before = coefficients[t - 1, c] if t > 0 else none
            earlier = coefficients[t - 2, c] if t > 1 else none
            other = coefficients[t, c - 1] if c > 0 else none
            end = size
            if size > 1:
                end = _code_end(coder, row, ends, t, c, reading)
                ends[1, c] = ends[0, c]
                ends[0, c] = end
            for k in range(end):
                _frame_contexts(inputs, row, before, earlier, other, k, size, end, c, positions)
                q = row[k]
                near = abs(before[k]) * 2 + (abs(row[k - 1]) * 2 if k > 0 else 0)
                at = min(bucket(k), 23)
                magnitude = code_uint(
                    coder, abs(q), 64 + min(bucket(near), 23), 96 + at * 2 + min(c, 1)
                )
                if magnitude:
                    negative = _code_sign(
                        coder, 1 if q < 0 else 0, row, before, earlier, other, k, size, c
                    )
                    if reading:
                        row[k] = -magnitude if negative else magnitude
                elif reading:
                    row[k] = 0
            if reading:
                for k in range(end, size):
                    row[k] = 0


@compiled
def _code_end(coder, row, ends, t, c, reading):
    """How many frequencies are coded: those up to the last that is not zero."""
    size = row.shape[0]
    inputs = coder.inputs
    end = 0
    if not reading:
        for k in range(size):
            if row[k] != 0:
                end = k + 1
    guess = ends[0, c]
    channel = min(c, 1)
    for i in range(INPUTS):
        inputs[i] = (i * _REGION + 3800) * NODES
    base = channel * 40
    inputs[0] += base * NODES
    inputs[1] += (base + min(bucket(guess), 39)) * NODES
    inputs[2] += (base + min(bucket(ends[1, c]), 39)) * NODES
    inputs[3] += (base + min(bucket((guess + ends[1, c]) // 2), 39)) * NODES
    if c > 0:
        inputs[4] += (base + min(bucket(ends[0, c - 1]), 39)) * NODES
    # The distance to the end of the frame before: down or up.
    same = code_uint(coder, abs(end - guess), 8 + channel, 10)
    if same == 0:
        return min(guess, size)
    for i in range(INPUTS):
        inputs[i] = INPUTS * _REGION * NODES + i * 1024
    inputs[0] += min(bucket(same), 31)
    inputs[1] += min(bucket(guess), 31)
    inputs[2] += min(bucket(size - guess), 31)
    down = code_bit(coder, 1 if end < guess else 0, 12, 13)
    if reading:
        end = guess - same if down else guess + same
    return min(max(end, 0), size)


@compiled
def _frame_contexts(inputs, row, before, earlier, other, k, size, end, c, positions):
    a = abs(row[k - 1]) if k > 0 else 0
    b = abs(row[k - 2]) if k > 1 else 0
    p = abs(before[k])
    pl = abs(before[k - 1]) if k > 0 else 0
    pr = abs(before[k + 1]) if k + 1 < size else 0
    pr2 = abs(before[k + 2]) if k + 2 < size else 0
    e = abs(earlier[k])
    el = abs(earlier[k - 1]) if k > 0 else 0
    er = abs(earlier[k + 1]) if k + 1 < size else 0
    o = abs(other[k])
    ol = abs(other[k - 1]) if k > 0 else 0
    oright = abs(other[k + 1]) if k + 1 < size else 0
    local = 2 * a + b
    past = 2 * p + pl + pr
    older = 2 * e + el + er
    cross = 2 * o + ol + oright
    channel = min(c, 1)
    far = (abs(row[k - 3]) if k > 2 else 0) + b + a
    zone = min(bucket(k * 64 // size), 13)
    bl, bp, bo, bc = (
        min(bucket(local), 21), min(bucket(past), 21), min(bucket(older), 21),
        min(bucket(cross), 21),
    )  # fmt: skip
    blend = 4 * local + 4 * past + 2 * older + 2 * far + 3 * cross + 2 * pr2
    for i in range(INPUTS):
        inputs[i] = (i * _REGION) * NODES
    inputs[0] += (channel * 1024 + min(k * 1024 // size, 1023)) * NODES
    inputs[1] += ((channel * 22 + bl) * 22 + bp) * NODES
    inputs[2] += ((channel * 22 + bp) * 22 + bo) * NODES
    inputs[3] += (channel * 64 + min(bucket(blend), 63)) * NODES
    inputs[4] += ((bc * 22 + bl) * 2 + channel) * NODES
    inputs[5] += ((channel * 14 + zone) * 22 + bp) * NODES
    inputs[6] += ((channel * 14 + zone) * 22 + bl) * NODES
    inputs[7] += (((min(a, 5) * 6 + min(p, 5)) * 6 + min(b, 5)) * 6 + min(o, 5)) * NODES
    inputs[8] += (min(bucket(far + past + older), 31) * 24 + min(bucket(end - k), 23)) * NODES
    inputs[9] += channel * NODES


@compiled
def _code_sign(coder, negative, row, before, earlier, other, k, size, c):
    inputs = coder.inputs
    base = INPUTS * _REGION * NODES
    for i in range(INPUTS):
        inputs[i] = base + i * 1024 + 100
    left = _sign(row[k - 1]) if k > 0 else 0
    left2 = _sign(row[k - 2]) if k > 1 else 0
    p, e, o = _sign(before[k]), _sign(earlier[k]), _sign(other[k])
    low = min(k, 7)
    inputs[0] += (left * 3 + left2) * 8 + low
    inputs[1] += (p * 3 + e) * 8 + low
    inputs[2] += o * 8 + low
    inputs[3] += ((left * 3 + p) * 3 + e) * 3 + o
    return code_bit(coder, negative, 14, 15 + min(c, 1))


@compiled
def _sign(value):
    if value > 0:
        return 1
    return 2 if value < 0 else 0
