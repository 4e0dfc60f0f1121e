"""The quadtree of block sizes within a superblock, as decisions of the arithmetic coder."""

from __future__ import annotations

from fewbits.coding.compiled import compiled
from ratedist.codes.transform.bits import INPUTS, code_bit
from ratedist.codes.transform.numbers import bucket


@compiled
def largest_at(sizes, top, left, my, mx):
    """log2 of the largest block that may start at a cell; 0 where one before covers it."""
    largest = 5
    while largest > 2 and (my | mx) & ((1 << (largest - 2)) - 1):
        largest -= 1
    for bigger in range(largest + 1, 6):
        by, bx = my >> (bigger - 2) << (bigger - 2), mx >> (bigger - 2) << (bigger - 2)
        if sizes[top + by, left + bx] >= bigger:
            return 0
    return largest


@compiled
def code_size(coder, sizes, density, cy, cx, largest, first):
    """log2 of a block's size, as decisions to split; contexts lie from `first`."""
    inputs = coder.inputs
    size = sizes[cy, cx]
    level = largest
    left = sizes[cy, cx - 1] if cx > 0 else 6
    above = sizes[cy - 1, cx] if cy > 0 else 6
    active = 0
    if cx > 0:
        active += density[cy, cx - 1]
    if cy > 0:
        active += density[cy - 1, cx]
    b = min(bucket(active), 15)
    while level > 2:
        smaller = (1 if left < level else 0) + (1 if above < level else 0)
        for i in range(INPUTS):
            inputs[i] = first + i * 8192
        inputs[0] += level * 4 + smaller
        inputs[1] += level * 16 + b
        inputs[2] += (level * 4 + smaller) * 16 + b
        inputs[3] += level * 64 + left * 8 + above
        inputs[4] += level
        if not code_bit(coder, 1 if size < level else 0, 8, 32 + level):
            break
        level -= 1
    return level
