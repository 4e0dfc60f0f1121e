"""Whole numbers and signs as decisions of the arithmetic coder."""

from __future__ import annotations

from fewbits.coding.compiled import compiled
from ratedist.codes.transform.bits import INPUTS, code_bit

NODES = 32
_SIGNS = 2000


@compiled
def bucket(value):
    """A logarithmic class of a number >= 0: 0, 1, 2, 3, then two to an octave."""
    if value < 4:
        return max(value, 0)
    length = 0
    rest = value
    while rest > 3:
        rest >>= 1
        length += 1
    return 2 * length + rest


@compiled
def code_uint(coder, value, first_set, second_set):
    """A number >= 0: is it 0, is it 1, then its octave in unary and its place in the octave.

    `coder.inputs` holds for each input the first of NODES contexts; they are left as they were.
    """
    inputs = coder.inputs
    if not code_bit(coder, 1 if value > 0 else 0, first_set, second_set):
        return 0
    _move(inputs, 1)
    if not code_bit(coder, 1 if value > 1 else 0, first_set, second_set):
        _move(inputs, -1)
        return 1
    octave = 0
    rest = value - 1
    node = 2
    _move(inputs, 1)
    while True:
        more = code_bit(coder, 1 if (rest >> (octave + 1)) > 0 else 0, first_set, second_set)
        if not more or octave >= 44:
            break
        octave += 1
        following = 2 + min(octave, 15)
        _move(inputs, following - node)
        node = following
    result = 1
    for k in range(octave):
        shift = octave - 1 - k
        following = 31
        if k == 0:
            following = 18 + min(octave, 6)
        elif k == 1:
            following = 24 + min(octave, 6)
        _move(inputs, following - node)
        node = following
        result = result * 2 + code_bit(coder, (rest >> shift) & 1, first_set, second_set)
    _move(inputs, -node)
    return result + 1


@compiled
def _move(inputs, by):
    for i in range(INPUTS):
        inputs[i] += by


@compiled
def code_sign(coder, negative, hope, u, v, kind, plane, y, x):
    """The sign of a coefficient, given what the neighbouring pixels let one expect."""
    inputs = coder.inputs
    base = coder.chances.shape[0] - INPUTS * 8192
    for i in range(INPUTS):
        inputs[i] = base + i * 8192 + _SIGNS
    size = min(bucket(abs(hope)), 15)
    side = 1 if hope < 0 else 0
    signed = size * 2 + side
    place = min(u, 3) * 4 + min(v, 3)
    inputs[0] += signed
    inputs[1] += place * 32 + signed
    inputs[2] += kind * 32 + signed
    above = plane[y - 1, x] if u > 0 else 0
    left = plane[y, x - 1] if v > 0 else 0
    signs = (1 if above > 0 else 2 if above < 0 else 0) * 3 + (
        1 if left > 0 else 2 if left < 0 else 0
    )
    inputs[3] += place * 9 + signs
    inputs[4] += (signs * 32 + signed) * 4 + min(u, 1) * 2 + min(v, 1)
    return code_bit(coder, negative, 11, 12 + (1 if size > 4 else 0))
