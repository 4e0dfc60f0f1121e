"""What the neighbours of a block tell about it: pixels that continue, magnitudes by frequency."""

from __future__ import annotations

from fewbits.coding.compiled import compiled

BINS = 8
"""Frequency classes along one side of a block, whatever its size."""
LOW = 8
"""Coefficients below this frequency are compared with what the neighbouring pixels predict."""
_LARGEST = 1 << 20
"""Magnitudes beyond this serve contexts as if they were smaller; sums stay below 2^63."""


@compiled
def predict(pixels, y0, x0, n, basis, expected, rows):
    """Low-frequency coefficients of a block extrapolated from the pixels above and to the left.

    Args:
      pixels: Int[H, W] decoded so far, in 1/64 steps.
      y0: first row of the block.
      x0: its first column.
      n: its size.
      basis: Int[n, n], rows are frequencies, in 1/1024.
      expected: Int[8, 8], set to the coefficients, in 1/16 steps.
      rows: Int[8, n], scratch.
    """
    low = min(n, LOW)
    for u in range(low):
        for v in range(low):
            expected[u, v] = 0
    if y0 == 0 and x0 == 0:
        return
    for v in range(low):
        for y in range(n):
            rows[v, y] = 0
    for y in range(n):
        left = pixels[y0 + y, x0 - 1] if x0 > 0 else 0
        for x in range(n):
            above = pixels[y0 - 1, x0 + x] if y0 > 0 else 0
            if x0 == 0:
                value = above
            elif y0 == 0:
                value = left
            else:
                value = (above * (x + 1) + left * (y + 1)) // (x + y + 2)
            for v in range(low):
                rows[v, y] += value * basis[v, x]
    for u in range(low):
        for v in range(low):
            total = 0
            for y in range(n):
                total += (rows[v, y] >> 10) * basis[u, y]
            expected[u, v] = total >> 12


@compiled
def reconstruct(coefficients, shifts, pixels, y0, x0, n, basis, rows):
    """Pixels of a block in 1/64 steps."""
    for u in range(n):
        for x in range(n):
            rows[u, x] = 0
        for v in range(n):
            q = coefficients[y0 + u, x0 + v]
            if q != 0:
                size = min(abs(q), _LARGEST)
                value = size * 64 - shifts[min(size, 2)]
                if q < 0:
                    value = -value
                for x in range(n):
                    rows[u, x] += value * basis[v, x]
    for y in range(n):
        for x in range(n):
            pixels[y0 + y, x0 + x] = 0
    for u in range(n):
        used = 0
        for x in range(n):
            used |= rows[u, x]
        if used:
            for y in range(n):
                weight = basis[u, y]
                for x in range(n):
                    pixels[y0 + y, x0 + x] += rows[u, x] * weight
    for y in range(n):
        for x in range(n):
            pixels[y0 + y, x0 + x] >>= 20


@compiled
def neighbours(profile, cy, cx, cells, near):
    """Mean magnitudes (in 1/16) by frequency in the blocks left and above: near[0], near[1]."""
    for i in range(BINS):
        for j in range(BINS):
            left, above = 0, 0
            for k in range(cells):
                if cx > 0:
                    left += profile[cy + k, cx - 1, i, j]
                if cy > 0:
                    above += profile[cy - 1, cx + k, i, j]
            near[0, i, j] = left // cells
            near[1, i, j] = above // cells
            if cx == 0:
                near[0, i, j] = near[1, i, j]
            if cy == 0:
                near[1, i, j] = near[0, i, j]


@compiled
def remember(coefficients, y0, x0, n, profile, cy, cx, cells):
    """Fills the profile of the cells that a block covers."""
    for i in range(BINS):
        for j in range(BINS):
            if n >= BINS:
                r = n // BINS
                total = 0
                for a in range(r):
                    for b in range(r):
                        total += abs(coefficients[y0 + i * r + a, x0 + j * r + b])
                value = total * 16 // (r * r)
            else:
                value = abs(coefficients[y0 + i // 2, x0 + j // 2]) * 16
            profile[cy, cx, i, j] = min(value, 1 << 20)
    for a in range(cells):
        for b in range(cells):
            if a + b > 0:
                for i in range(BINS):
                    for j in range(BINS):
                        profile[cy + a, cx + b, i, j] = profile[cy, cx, i, j]
