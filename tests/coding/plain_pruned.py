"""A second reader of the pruned form of `adaptive` streams, in plain Python, from FORMAT.md."""

from __future__ import annotations

import math

from tests.coding.plain_adaptive import CHECKS, PlainDecoder, quantised, sign_class, three_axes


def is_kernel(shape):
    return sum(n != 1 for n in shape) >= 2


class PlainPrunedDecoder(PlainDecoder):
    first_weight = 8519

    def __init__(self, data):
        super().__init__(data)
        self.before = []

    def known(self, shape, rows, columns, size_b):
        reads, writes = [0] * rows, [0] * columns
        if not is_kernel(shape):
            return reads, writes, 1, 2
        read = False
        for other, numbers in reversed(self.before):
            width = other[-1] if other else 1
            if is_kernel(other) and width > 1 and rows % width == 0:
                for row in range(rows):
                    z = sum(v != 0 for v in numbers[row % width :: width])
                    reads[row] = 1 + quantised(8 * z, 1, 22)
                read = True
                break
        if self.before and not is_kernel(self.before[-1][0]):
            numbers = self.before[-1][1]
            if len(numbers) == columns:
                writes = [2 if v else 1 for v in numbers]
        long = [n for n in shape if n != 1]
        if len(long) == 4:
            return reads, writes, size_b, size_b * long[1]
        if not read:
            for n in (1, 3):
                side = math.isqrt(rows // n)
                if side > 1 and n * side**2 == rows:
                    return reads, writes, n, n * side
        return reads, writes, 1, 2

    def take(self, shape, n):
        size_a, size_b, size_c = three_axes(shape)
        rows, plane = size_a * size_b, size_b * size_c
        reads, writes, near, far = self.known(shape, rows, size_c, size_b)
        values, sums = [], {}
        state, total, recent = 0, 0, 256
        number = self.tensors
        self.tensors += 1

        def back(distance):
            place = len(values) - distance * size_c
            return values[place] if place >= 0 else 0

        def full(row):
            return sum(v != 0 for v in values[row * size_c : (row + 1) * size_c]) if row >= 0 else 0

        def alike(column, row):
            return 0 < column < size_c and all(
                (values[r * size_c + column] == 0) == (values[r * size_c + column - 1] == 0)
                for r in range(row)
            )

        for i in range(size_a * plane):
            a, b, c, row = i // plane, i // size_c % size_b, i % size_c, i // size_c
            mean = max(1, (256 * total + 512) // (i + 2))
            axes = [("a", a), ("b", b), ("c", c)]
            counts = [i - a * plane, a * size_c + c, a * size_b + b]
            m_a, m_b, m_c = (
                (256 * sums.get(key, 0) + 4 * mean) // (count + 4)
                for key, count in zip(axes, counts, strict=True)
            )
            expected = min(1 << 28, m_a * m_c // mean)
            if size_b > 1:
                expected = min(1 << 28, expected * m_b // mean)
            scale = quantised(expected, 1, 23)
            around = [back(near), back(far), back(near + far), back(2 * near)]
            crowd = [*around, back(2 * far), back(far - near) if far > near else 0]
            column = quantised(8 * sum(v != 0 for v in values[c::size_c]), 2, 23)
            t = (2 if values[-1] else 1) if alike(c, row) else 0
            x = 2 * t + alike(c + 1, row)
            p, q, u, v = map(sign_class, around)
            contexts = [
                number % 1024,
                quantised(expected, 3, 95),
                24 * quantised(recent, 2, 47) + scale,
                24 * quantised(m_a, 1, 23) + quantised(m_c, 1, 23),
                24 * sum(v != 0 for v in crowd)
                + quantised(8 * (full(row - near) + full(row - far)), 1, 23),
                24 * reads[row] + column,
                24 * reads[row] + writes[c],
                24 * x + column,
                27 * p + 9 * q + 3 * u + v,
            ]
            odd = state % 2
            k, negative = self.number(contexts, odd, scale, x)
            v = k
            if n:
                v = max(0, 2 * k - odd)
                one, two = CHECKS[n]
                state = state >> 1 ^ odd * (one >> 1) ^ k % 2 * (two >> 1)
            values.append(-v if negative else v)
            clipped = min(abs(v), 1 << 20)
            total += clipped
            recent += (256 * clipped - recent) >> 4
            for key in axes:
                sums[key] = sums.get(key, 0) + clipped
        self.before.append((shape, values))
        return values
