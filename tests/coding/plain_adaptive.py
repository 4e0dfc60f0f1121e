"""A second reader of `adaptive` streams, in plain Python, written from FORMAT.md alone."""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext

CHECKS = {2: (5, 2), 3: (0o13, 4), 4: (0o23, 4), 5: (0o45, 0o10), 6: (0o103, 0o24),
          7: (0o235, 0o126), 8: (0o515, 0o362)}  # fmt: skip


def clip(x, most):
    return max(-most, min(most, x))


def quantised(x, digits, most):
    text = bin(x + 8)[2:]
    return min(most, ((len(text) - 4) << digits) + int(text[1 : digits + 1], 2))


def sign_class(x):
    return 1 + (x > 0) - (x < 0)


def logistic_tables():
    upper = []
    with localcontext(Context(prec=50)):
        for x in range(3072):
            odds = (Decimal(x) / 256).exp()
            upper.append(min(65535, int((65536 * odds / (1 + odds)).to_integral_value())))
    squash = {x: upper[x] if x >= 0 else 65536 - upper[-x] for x in range(-3071, 3072)}
    stretch, x = [], -3071
    for p in range(65536):
        while x < 3071 and squash[x] < p:
            x += 1
        stretch.append(x)
    return squash, stretch


def three_axes(shape):
    long = [n for n in shape if n != 1]
    if len(long) < 2:
        return 1, 1, math.prod(long)
    if len(long) == 2:
        return long[0], 1, long[1]
    if math.prod(long[2:]) <= math.prod(long[:-2]):
        return long[0], long[1], math.prod(long[2:])
    return math.prod(long[:-2]), long[-2], long[-1]


class PlainDecoder:
    first_weight = 11141

    def __init__(self, data):
        self.data, self.at = data, 4
        self.low, self.high = 0, (1 << 32) - 1
        self.x = int.from_bytes((data + bytes(4))[:4], "big")
        self.squash, self.stretch = logistic_tables()
        self.slots, self.mixers = {}, {}
        self.bits = self.tensors = 0

    def bit(self, contexts, bin_, odd, scale):
        odd = 0 if bin_ == 1 else odd
        keys = [(kind, context, bin_, odd) for kind, context in enumerate(contexts)]
        slots = [self.slots.setdefault(key, [1 << 20, 0]) for key in keys]
        inputs = [(self.stretch[p >> 5] * (2560 * n // (10 * n + 4))) >> 8 for p, n in slots] + [
            256
        ]
        mixers = [
            self.mixers.setdefault(key, [self.first_weight] * 9 + [0])
            for key in ((0, bin_, odd), (1, min(bin_, 31), scale))
        ]
        said = [
            clip(sum(x * w for x, w in zip(inputs, one, strict=True)) >> 16, 3071) for one in mixers
        ]
        p = self.squash[(said[0] + said[1]) >> 1]
        width = self.high - self.low
        middle = self.low + (width >> 16) * p + (((width % 65536) * p) >> 16)
        y = 1 if self.x <= middle else 0
        if y:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.at += 1
            self.low = self.low * 256 % (1 << 32)
            self.high = self.high * 256 % (1 << 32) + 255
            self.x = self.x * 256 % (1 << 32) + byte
        speed = 14 + 200000 // (4000 + self.bits)
        self.bits += 1
        for weights, x in zip(mixers, said, strict=True):
            error = 65536 * y - self.squash[x]
            for j in range(10):
                weights[j] += (inputs[j] * error * speed + (1 << 19)) >> 20
        for slot in slots:
            p, n = slot
            rate = 655360 // (10 * n + 16)
            slot[0] = p + (((2**21 - 1 - p) * rate) >> 16) if y else p - ((p * rate) >> 16)
            slot[1] = min(n + 1, 400)
        return y

    def number(self, contexts, odd, scale, zero_scale, heading=0):
        """Level and whether it is negative."""
        if not self.bit(contexts, 0, odd, zero_scale):
            return 0, 0
        negative = self.bit(contexts, 1, odd, scale)
        if (heading == 1 and not negative) or (heading == 2 and negative):
            contexts[7] += 192
        k = 1
        while k < 18 and self.bit(contexts, k + 1, odd, scale):
            k += 1
        if k == 18:
            e = 0
            while self.bit(contexts, 19 + min(e, 15), odd, scale):
                e += 1
            w = 1
            for digit in range(e):
                bin_ = 50 + min(e, 13) if digit else 35 + min(e, 14)
                w = 2 * w + self.bit(contexts, bin_, odd, scale)
            k = w + 17
        return k, negative

    def take(self, shape, n):
        size_a, size_b, size_c = three_axes(shape)
        plane = size_b * size_c
        values, sums, taps = [], {}, [0] * 8
        state, total, recent = 0, 0, 256
        number = self.tensors
        self.tensors += 1
        for i in range(size_a * plane):
            a, b, c = i // plane, i // size_c % size_b, i % size_c
            near = [values[i - j - 1] if c > j else 0 for j in range(3)] + [
                values[i - plane] if a > 0 else 0,
                values[i - 2 * plane] if a > 1 else 0,
                values[i - plane - 1] if a > 0 and c > 0 else 0,
                values[i - plane + 1] if a > 0 and c < size_c - 1 else 0,
                values[i - size_c] if b > 0 else 0,
            ]
            near = [clip(v, 32767) for v in near]
            size = [abs(v) for v in near]
            mean = max(1, (256 * total + 512) // (i + 2))
            axes = [("a", a), ("b", b), ("c", c), ("bc", b, c)]
            counts = [i - a * plane, a * size_c + c, a * size_b + b, a]
            m_a, m_b, m_c, m_p = (
                (256 * sums.get(key, 0) + 4 * mean) // (count + 4)
                for key, count in zip(axes, counts, strict=True)
            )
            expected = min(1 << 28, m_a * m_c // mean)
            if size_b > 1:
                expected = min(1 << 28, expected * m_b // mean)
            weight = 3 * (c > 0) + 2 * (c > 1) + (c > 2) + 5 * (a > 0) + (a > 1) + 3 * (b > 0)
            local = 3 * (size[0] + size[3] + size[7]) + 2 * size[1]
            local += size[2] + size[4] + size[5] + size[6]
            local = (256 * local + 2 * expected) // (2 + weight)
            forecast = sum(w * v for w, v in zip(taps, near, strict=True))
            ahead = forecast >> 8
            heading = 1 if ahead > 16 else 2 if ahead < -16 else 0
            scale = quantised(expected, 1, 23)
            contexts = [
                number % 1024,
                quantised(expected, 3, 95),
                25 * min(size[0], 4) + 5 * min(size[3], 4)
                + min(size[7] if size_b > 1 else size[1], 4),
                24 * scale + quantised(local, 1, 23),
                24 * quantised(recent, 2, 47) + scale,
                quantised(m_p, 2, 47),
                24 * quantised(m_a, 1, 23) + quantised(m_c, 1, 23),
                64 * heading + min(abs(ahead) >> 6, 63),
                9 * sign_class(near[0]) + 3 * sign_class(near[3]) + sign_class(near[7]),
            ]  # fmt: skip
            odd = state % 2
            k, negative = self.number(contexts, odd, scale, scale, heading)
            v = k
            if n:
                v = max(0, 2 * k - odd)
                one, two = CHECKS[n]
                state = state >> 1 ^ odd * (one >> 1) ^ k % 2 * (two >> 1)
            v = -v if negative else v
            values.append(v)
            clipped = min(abs(v), 1 << 20)
            total += clipped
            recent += (256 * clipped - recent) >> 4
            for key in axes:
                sums[key] = sums.get(key, 0) + clipped
            error = (65536 * clip(v, 1 << 20) - forecast) >> 8
            power = 16 + sum(v * v for v in near)
            taps = [
                clip(w + (error * v // power >> 6), 1 << 20)
                for w, v in zip(taps, near, strict=True)
            ]
        return values
