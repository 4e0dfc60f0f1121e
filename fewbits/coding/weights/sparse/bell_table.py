"""A bell-shaped table in six bytes: count ~ exp(-a |k| - b k^2), with a count of its own for zero.

Laplace (b = 0), Gaussian (a = 0) and what lies between, as the weights of networks are spread;
zero apart, because pruned and rectified weights have more of it. The three parameters are sent as
16-bit numbers that are exact binary fractions, and the table follows from them by integer
recurrences; the two exponentials come from `decimal`, whose rounding is defined to the last digit.
"""

from __future__ import annotations

import decimal

import numpy as np

from fewbits.coding.varint import ByteReader

_MANTISSA_BITS = 11
_LOWEST = {"spike": -16, "linear": -28, "square": -28}
_UNIT_BITS = 36
_RATIO_BITS = 40
_NEWTON_STEPS = 40
_MAX_POINTS = 1024


def fit(minimum: int, occurrences: np.ndarray) -> bytes | None:
    """Parameters for a histogram by maximum likelihood, or None where a bell makes no sense."""
    maximum = minimum + occurrences.size - 1
    if minimum > 0 or maximum < 0 or occurrences.size < 3:
        return None
    magnitudes = np.abs(np.arange(minimum, maximum + 1))
    folded = np.bincount(magnitudes, weights=occurrences)
    outside = folded[1:].sum()
    if outside == 0:
        return None
    distance = np.arange(1.0, folded.size)
    sides = np.bincount(magnitudes)[1:]
    linear, square = _exponents(distance, sides, folded[1:] / outside)
    mass = float(sides @ np.exp(-linear * distance - square * distance**2))
    spike = float(folded[0]) / outside * mass
    parameters = {"spike": spike, "linear": linear, "square": square}
    return b"".join(_short(value, _LOWEST[name]) for name, value in parameters.items())


def read(reader: ByteReader, minimum: int, size: int) -> np.ndarray:
    """The weights of the table, int64[size].

    Raises:
      FormatError: not three parameters, or a table without zero.
    """
    maximum = minimum + size - 1
    if minimum > 0 or maximum < 0:
        raise reader.error(f"a bell from {minimum} to {maximum}")
    spike, linear, square = (_number(reader.take(2), _LOWEST[name]) for name in _LOWEST)
    ratio, change = _ratio(linear + square), _ratio(2 * square)
    weight = 1 << _UNIT_BITS
    side = []
    for _ in range(max(-minimum, maximum)):
        weight = weight * ratio >> _RATIO_BITS
        ratio = ratio * change >> _RATIO_BITS
        side.append(weight)
        if weight == 0:
            break
    reach = np.zeros(1 + max(-minimum, maximum), np.int64)
    reach[1 : 1 + len(side)] = side
    reach[0] = min(int(spike * (1 << _UNIT_BITS)), (1 << _UNIT_BITS + 2) - 1)
    return reach[np.abs(np.arange(minimum, maximum + 1))]


def _exponents(distance: np.ndarray, sides: np.ndarray, share: np.ndarray) -> tuple[float, float]:
    """Maximum-likelihood (a, b) >= 0 of the exponential family with statistics |k| and k^2."""
    # In units of the mean distance both statistics are of order one.
    scale = float(share @ distance)
    statistics = np.stack([distance / scale, (distance / scale) ** 2])
    target = statistics @ share
    statistics, sides = _pool(statistics, sides)
    best, best_cost = np.zeros(2), np.inf
    for free in ([0], [1], [0, 1]):
        exponents = np.zeros(2)
        exponents[free], cost = _newton(statistics[free], sides, target[free], best[free])
        if cost < best_cost and exponents.min() >= 0:
            best, best_cost = exponents, cost
    return float(best[0] / scale), float(best[1] / scale**2)


def _pool(statistics: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours far from zero put together, where thousands of symbols differ by a per cent."""
    if sides.size <= _MAX_POINTS:
        return statistics, sides
    starts = np.unique(np.geomspace(1, sides.size, _MAX_POINTS).astype(np.int64)) - 1
    pooled = np.add.reduceat(sides, starts)
    return np.add.reduceat(statistics * sides, starts, axis=1) / pooled, pooled


def _newton(
    statistics: np.ndarray, sides: np.ndarray, target: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, float]:
    """Minimises the convex theta . target + log sum sides exp(-theta . statistics)."""

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        energy = -theta @ statistics
        weights = sides * np.exp(energy - energy.max())
        total = weights.sum()
        return float(theta @ target + energy.max() + np.log(total)), weights / total

    theta = start
    cost, weights = evaluate(theta)
    for _ in range(_NEWTON_STEPS):
        mean = statistics @ weights
        second = np.array([[(one * weights) @ two for two in statistics] for one in statistics])
        hessian = second - np.outer(mean, mean) + 1e-9 * np.eye(target.size)
        direction = np.linalg.solve(hessian, mean - target)
        for halvings in range(20):
            trial = theta + direction / 2**halvings
            trial_cost, trial_weights = evaluate(trial)
            if trial_cost <= cost:
                break
        else:
            break
        gain = cost - trial_cost
        theta, cost, weights = trial, trial_cost, trial_weights
        if gain < 1e-9:
            break
    return theta, cost


def _short(value: float, lowest: int) -> bytes:
    """The nearest (2048 + m) 2^(e + lowest - 11) with 11-bit m and 5-bit e; 0 for too small."""
    mantissa, exponent = np.frexp(value)
    code = (int(exponent) - 1 - lowest << _MANTISSA_BITS) + round((2 * float(mantissa) - 1) * 2048)
    return min(max(code, 0), 0xFFFF).to_bytes(2, "little") if value > 0 else bytes(2)


def _number(encoded: bytes, lowest: int) -> decimal.Decimal:
    code = int.from_bytes(encoded, "little")
    if code == 0:
        return decimal.Decimal(0)
    exponent, mantissa = divmod(code, 1 << _MANTISSA_BITS)
    with decimal.localcontext(decimal.Context(prec=60)):
        return decimal.Decimal(2048 + mantissa) * decimal.Decimal(2) ** (exponent + lowest - 11)


def _ratio(exponent: decimal.Decimal) -> int:
    """exp(-exponent) in units of 2^-40, rounded down."""
    with decimal.localcontext(decimal.Context(prec=60)):
        return int((-exponent).exp() * (1 << _RATIO_BITS))
