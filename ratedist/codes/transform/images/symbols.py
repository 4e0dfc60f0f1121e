"""Quantised transform coefficients of images as decisions for the arithmetic coder, and back.

One pass over superblocks of 32 x 32; each is split into square blocks (a quadtree down to 4 x 4),
and each block has one coefficient array per channel. A block's number of non-zero coefficients is
coded first, then its coefficients by increasing frequency until that many were met. Contexts are
magnitudes of neighbouring coefficients, of the blocks to the left and above, of the first channel,
and what the neighbouring decoded pixels let one expect of the low frequencies.
"""

from __future__ import annotations

import numpy as np

from fewbits.coding.compiled import compiled
from ratedist.codes.transform.bits import DECODING, INPUTS, code_bit
from ratedist.codes.transform.images.neighbours import (
    BINS,
    LOW,
    neighbours,
    predict,
    reconstruct,
    remember,
)
from ratedist.codes.transform.images.tree import code_size, largest_at
from ratedist.codes.transform.numbers import NODES, bucket, code_sign, code_uint

SUPERBLOCK = 32
SMALLEST = 4
_REGION = 4096
CONTEXTS = INPUTS * _REGION * NODES + INPUTS * 8192
SETS = 512


@compiled
def _code_count(coder, count, level, channel, density, cy, cx, cells, first_count):
    """Number of non-zero coefficients besides the mean."""
    n2 = (cells * SMALLEST) ** 2
    left, above = -1, -1
    if cx > 0:
        left = 0
        for k in range(cells):
            left += density[cy + k, cx - 1]
        left = left * n2 // (cells * 256)
    if cy > 0:
        above = 0
        for k in range(cells):
            above += density[cy - 1, cx + k]
        above = above * n2 // (cells * 256)
    if left < 0:
        left = above
    if above < 0:
        above = left
    sideways, a, s = bucket(left + 1), bucket(above + 1), bucket(left + above + 2)
    f = min(bucket(first_count + 1), 15)
    kind = level * 2 + channel
    inputs = coder.inputs
    for i in range(INPUTS):
        inputs[i] = (i * _REGION + 3000) * NODES
    inputs[0] += (kind) * NODES
    inputs[1] += (kind * 32 + min(s, 31)) * NODES
    inputs[2] += (kind * 100 + min(sideways, 15) // 2 * 10 + min(a, 17) // 2) * NODES
    inputs[3] += (kind * 64 + min(s, 31) // 2 * 4 + f // 4) * NODES
    inputs[4] += (kind * 16 + f) * NODES
    inputs[5] += (kind * 16 + min(sideways, 15)) * NODES
    inputs[6] += (kind * 16 + min(a, 15)) * NODES
    inputs[7] += (min(s, 31)) * NODES
    inputs[8] += (kind * 16 + min(max(sideways, a), 15)) * NODES
    inputs[9] += (channel) * NODES
    return code_uint(coder, count, kind, 16 + min(s, 15))


@compiled
def code_image(coder, coefficients, sizes, shifts, bases, scans, scan_starts):
    """Codes (or, when the coder reads, fills in) all coefficients and the quadtree.

    Args:
      coder: Coder, of CONTEXTS and SETS.
      coefficients: Int[C, H, W], H and W multiples of 32; a block's at its pixels' places.
        Zeros when reading, and so are `sizes`.
      sizes: Int[H/4, W/4], log2 of the size of the block that covers each cell.
      shifts: Int[levels, 3], what reconstruction subtracts of magnitudes 0, 1, more; 1/64 steps.
      bases: Int[levels, 32, 32], cosine bases in 1/1024.
      scans: Int[levels-concatenated, 2], frequencies in coding order.
      scan_starts: where each level's scan starts.
    """
    channels, height, width = coefficients.shape
    profile = np.zeros((channels, height // 4, width // 4, BINS, BINS), np.int32)
    density = np.zeros((channels, height // 4, width // 4), np.int64)
    pixels = np.zeros((channels, height, width), np.int64)
    expected = np.zeros((LOW, LOW), np.int64)
    rows = np.zeros((SUPERBLOCK, SUPERBLOCK), np.int64)
    near = np.zeros((2, BINS, BINS), np.int64)
    errors = np.zeros((channels, height // 4, width // 4), np.int64)
    for sy in range(0, height, SUPERBLOCK):
        for sx in range(0, width, SUPERBLOCK):
            for z in range(64):
                # Cells in Morton order; the first cell of a block stands for it.
                mx = (z & 1) | (z >> 1 & 2) | (z >> 2 & 4)
                my = (z >> 1 & 1) | (z >> 2 & 2) | (z >> 3 & 4)
                cy, cx = sy // 4 + my, sx // 4 + mx
                largest = largest_at(sizes, sy // 4, sx // 4, my, mx)
                if largest == 0:
                    continue
                size = code_size(
                    coder, sizes, density[0], cy, cx, largest, INPUTS * _REGION * NODES
                )
                n = 1 << size
                cells = n // 4
                for i in range(cells):
                    for j in range(cells):
                        sizes[cy + i, cx + j] = size
                first_count = 0
                for c in range(channels):
                    plane = coefficients[c]
                    predict(pixels[c], cy * 4, cx * 4, n, bases[size - 2], expected, rows)
                    neighbours(profile[c], cy, cx, cells, near)
                    count = _code_block(
                        coder, coefficients, c, cy * 4, cx * 4, size, scans,
                        scan_starts[size - 2], expected, near, density[c], errors[c], first_count,
                    )  # fmt: skip
                    if c == 0:
                        first_count = count
                    remember(plane, cy * 4, cx * 4, n, profile[c], cy, cx, cells)
                    reconstruct(
                        plane, shifts[size - 2], pixels[c], cy * 4, cx * 4, n, bases[size - 2],
                        rows,
                    )  # fmt: skip


@compiled
def _code_block(
    coder, coefficients, c, y0, x0, size, scans, start, expected, near, density, errors, first_count
):
    n = 1 << size
    level = size - 2
    cells = n // 4
    cy, cx = y0 // 4, x0 // 4
    channel = min(c, 1)
    kind = level * 2 + channel
    plane = coefficients[c]
    reading = coder.registers[DECODING] == 1
    inputs = coder.inputs

    # The mean: its difference to the prediction.
    guess = (expected[0, 0] + 8) >> 4
    fraction = expected[0, 0] - (guess << 4) + 8
    around = 0
    if cx > 0:
        around += errors[cy, cx - 1]
    if cy > 0:
        around += errors[cy - 1, cx]
    difference = plane[y0, x0] - guess
    e = min(bucket(around * 4), 23)
    for i in range(INPUTS):
        inputs[i] = (i * _REGION + 2500) * NODES
    inputs[0] += (400 + kind) * NODES
    inputs[1] += (kind * 24 + e) * NODES
    inputs[2] += (e) * NODES
    inputs[3] += (kind * 24 + min(bucket(near[0, 0, 1] + near[1, 1, 0]), 23)) * NODES
    inputs[4] += (kind * 24 + min(bucket(near[0, 0, 0]), 23)) * NODES
    inputs[5] += (kind * 16 + min(fraction, 15)) * NODES
    inputs[6] += (kind * 24 + min(bucket(first_count), 23)) * NODES
    magnitude = code_uint(coder, abs(difference), 48 + kind, 64 + min(e, 15))
    if magnitude:
        sign_base = INPUTS * _REGION * NODES
        for i in range(INPUTS):
            inputs[i] = sign_base + i * 8192 + 1000
        inputs[0] += kind * 16 + min(fraction, 15)
        inputs[1] += fraction
        inputs[2] += 100 + min(magnitude, 3) * 16 + min(fraction, 15)
        negative = code_bit(coder, 1 if difference < 0 else 0, 9, 10)
        if reading:
            difference = -magnitude if negative else magnitude
    elif reading:
        difference = 0
    plane[y0, x0] = guess + difference
    for i in range(cells):
        for j in range(cells):
            errors[cy + i, cx + j] = min(magnitude, 1 << 20)

    count = 0
    if not reading:
        for i in range(1, n * n):
            u, v = scans[start + i, 0], scans[start + i, 1]
            if plane[y0 + u, x0 + v] != 0:
                count += 1
    count = _code_count(coder, count, level, channel, density, cy, cx, cells, first_count)
    if reading and count > n * n - 1:
        count = n * n - 1
    for i in range(cells):
        for j in range(cells):
            density[cy + i, cx + j] = count * 256 // (n * n)

    left = count
    for i in range(1, n * n):
        if left == 0:
            break
        u, v = scans[start + i, 0], scans[start + i, 1]
        y, x = y0 + u, x0 + v
        a = abs(plane[y - 1, x]) if u > 0 else 0
        b = abs(plane[y, x - 1]) if v > 0 else 0
        d = abs(plane[y - 1, x - 1]) if u > 0 and v > 0 else 0
        a2 = abs(plane[y - 2, x]) if u > 1 else 0
        b2 = abs(plane[y, x - 2]) if v > 1 else 0
        f = abs(plane[y + 1, x - 1]) if v > 0 and u + 1 < n else 0
        local = 2 * (a + b) + d + a2 + b2 + f
        if n >= BINS:
            bu, bv = u * BINS >> size, v * BINS >> size
            p0, p1 = near[0, bu, bv], near[1, bu, bv]
        else:
            bu, bv = u * 2, v * 2
            p0 = (near[0, bu, bv] + near[0, bu + 1, bv] + near[0, bu, bv + 1]
                  + near[0, bu + 1, bv + 1]) // 4  # fmt: skip
            p1 = (near[1, bu, bv] + near[1, bu + 1, bv] + near[1, bu, bv + 1]
                  + near[1, bu + 1, bv + 1]) // 4  # fmt: skip
        p = p0 + p1
        other = 0
        if c > 0:
            other = 4 * abs(coefficients[c - 1, y, x])
            if u > 0:
                other += abs(coefficients[c - 1, y - 1, x])
            if v > 0:
                other += abs(coefficients[c - 1, y, x - 1])
            if u + 1 < n:
                other += abs(coefficients[c - 1, y + 1, x])
            if v + 1 < n:
                other += abs(coefficients[c - 1, y, x + 1])
            if c > 1:
                other += 3 * abs(coefficients[0, y, x])
        hope = 0
        if u < LOW and v < LOW:
            hope = expected[u, v]
        remaining = n * n - i
        bl = min(bucket(local), 13)
        bp = min(bucket(p), 15)
        bd = min(bucket(left * 128 // remaining), 19)
        bleft = min(bucket(left), 11)
        zone = min(bucket(u + v), 11)
        for k in range(INPUTS):
            inputs[k] = (k * _REGION) * NODES
        inputs[0] += ((kind * 32 + min(i, 31)) * 9 + min(bleft, 8)) * NODES
        inputs[1] += ((kind * 14 + bl) * 12 + zone) * NODES
        inputs[2] += ((kind * 16 + bp) * 14 + bl) * NODES
        inputs[3] += ((kind * 36 + min(u, 5) * 6 + min(v, 5)) * 8 + bp // 2) * NODES
        inputs[4] += ((kind * 20 + bd) * 14 + bl) * NODES
        inputs[5] += (
            (channel * 12 + min(bucket(abs(hope)), 11)) * 16 + min(u, 3) * 4 + min(v, 3)
        ) * NODES
        blend = local * 10 + p * 3 + left * 256 // remaining + other * 8
        inputs[6] += (kind * 40 + min(bucket(blend), 39)) * NODES
        if c > 0:
            inputs[7] += (((min(bucket(other), 13)) * 14 + bl) * 12 + zone) * NODES
        else:
            inputs[7] += ((min(bucket(p0), 11) * 12 + min(bucket(p1), 11)) * 12 + zone) * NODES
        inputs[8] += (
            (((min(a, 2) * 3 + min(b, 2)) * 3 + min(d, 2)) * 3 + min(a2, 2)) * 3 + min(b2, 2)
        ) * 8 * NODES + kind * NODES
        inputs[9] += (kind * 12 + bleft) * NODES
        q = plane[y, x]
        magnitude = code_uint(coder, abs(q), 80 + kind * 2 + (1 if p else 0), 128 + zone * 14 + bl)
        if magnitude:
            left -= 1
            negative = code_sign(coder, 1 if q < 0 else 0, hope, u, v, kind, plane, y, x)
            if reading:
                plane[y, x] = -magnitude if negative else magnitude
        elif reading:
            plane[y, x] = 0
    return count
