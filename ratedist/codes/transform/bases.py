"""Cosine bases as whole numbers, the same on every machine."""

from __future__ import annotations

import decimal
import functools

import numpy as np

_PI = decimal.Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
_DIGITS = 60


@functools.cache
def dct(n: int, bits: int) -> np.ndarray:
    """The orthonormal DCT-II, rows are frequencies, in units of 2^-bits, Int[n, n]."""
    cosines = _cosines(2 * n)
    frequency, place = np.arange(n)[:, None], np.arange(n)[None]
    table = _rounded(cosines, decimal.Decimal(2) / n, bits)[(2 * place + 1) * frequency % (4 * n)]
    flat = int((decimal.Decimal(2) ** bits / decimal.Decimal(n).sqrt()).to_integral_value())
    table[0] = flat
    table.setflags(write=False)
    return table


@functools.cache
def lapped(n: int, bits: int) -> np.ndarray:
    """The MDCT with a sine window (TDAC; Princen and Bradley 1986), Int[n, 2n], in 2^-bits.

    Frames of 2n samples overlap by n; row k is the k-th basis function of a frame.
    """
    cosines = _cosines(4 * n)
    frequency, place = np.arange(n)[:, None], np.arange(2 * n)[None]
    wave = (2 * place + 1 + n) * (2 * frequency + 1) % (8 * n)
    # sin(a) cos(b) = (cos(b - a + pi/2 ...)) / 2: the product of two table entries, rounded once.
    window = (2 * place + 1 - 2 * n) % (8 * n)
    scale = decimal.Decimal(2) ** bits * (decimal.Decimal(2) / n).sqrt() / 2
    halves = _rounded_scaled(cosines, scale)
    # cos(x) cos(y) = (cos(x + y) + cos(x - y)) / 2, with sin(t) = cos(t - pi/2).
    table = halves[(wave + window) % (8 * n)] + halves[(wave - window) % (8 * n)]
    table.setflags(write=False)
    return table


def _rounded(cosines: list[decimal.Decimal], power: decimal.Decimal, bits: int) -> np.ndarray:
    return _rounded_scaled(cosines, decimal.Decimal(2) ** bits * power.sqrt())


def _rounded_scaled(cosines: list[decimal.Decimal], scale: decimal.Decimal) -> np.ndarray:
    return np.array([int((scale * value).to_integral_value()) for value in cosines], np.int64)


@functools.cache
def _cosines(half: int) -> list[decimal.Decimal]:
    """cos(pi j / half) for j below 2 half, to 50 digits, by Chebyshev's recurrence."""
    with decimal.localcontext(decimal.Context(prec=_DIGITS)):
        angle = _PI / half
        term = total = decimal.Decimal(1)
        k = 0
        while abs(term) > decimal.Decimal(10) ** -_DIGITS:
            k += 2
            term = -term * angle * angle / (k * (k - 1))
            total += term
        values = [decimal.Decimal(1), total]
        for _ in range(2 * half - 2):
            values.append(2 * total * values[-1] - values[-2])
        return values
