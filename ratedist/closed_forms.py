"""Rate-distortion functions that are known exactly, in bits per symbol: NumPy only.

They are the anchors of the tests and the reference lines of the figures. Sources: Berger, Rate
Distortion Theory (1971); Cover and Thomas, Elements of Information Theory, chapter 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fewbits.coding.units import binary_entropy_bits


def bernoulli_hamming(probability: float, distortion: Any) -> np.ndarray:
    """R(D) = h(p) - h(D) for a coin under Hamming distortion; 0 for D >= min(p, 1 - p)."""
    rare = min(probability, 1.0 - probability)
    level = np.minimum(np.asarray(distortion, np.float64), rare)
    return binary_entropy_bits(probability) - binary_entropy_bits(level)


def uniform_hamming(size: int, distortion: Any) -> np.ndarray:
    """R(D) = log m - h(D) - D log(m - 1) for m equally likely letters, Hamming distortion."""
    level = np.minimum(np.asarray(distortion, np.float64), 1.0 - 1.0 / size)
    return np.log2(size) - binary_entropy_bits(level) - level * np.log2(max(size - 1, 1))


def binary_erasure(distortion: Any) -> np.ndarray:
    """R(D) = 1 - D: a fair coin, an erasure costs 1 and a wrong symbol is forbidden."""
    return np.maximum(1.0 - np.asarray(distortion, np.float64), 0.0)


def gaussian_squared(variance: float, distortion: Any) -> np.ndarray:
    """R(D) = 1/2 log(variance / D) for a Gaussian under squared error."""
    return 0.5 * np.log2(np.maximum(variance / np.asarray(distortion, np.float64), 1.0))


def gaussian_squared_distortion(variance: float, rate_bits: Any) -> np.ndarray:
    """D(R) = variance 2^(-2R), the inverse of `gaussian_squared`."""
    return variance * np.exp2(-2.0 * np.asarray(rate_bits, np.float64))


def laplacian_absolute(scale: float, distortion: Any) -> np.ndarray:
    """R(D) = log(scale / D) for density exp(-|x|/scale)/(2 scale) under absolute error."""
    return np.log2(np.maximum(scale / np.asarray(distortion, np.float64), 1.0))


def parallel_gaussians(variances: Any, distortion: float) -> tuple[float, np.ndarray]:
    """Reverse water-filling: independent Gaussians under total squared error.

    min sum_i 1/2 log(v_i / D_i) subject to sum_i D_i <= D has D_i = min(theta, v_i).

    Args:
      variances: Float[k], each positive.
      distortion: total squared error D allowed, positive.

    Returns:
      rate_bits: for the whole vector.
      levels: Float[k], D_i.
    """
    v = np.sort(np.asarray(variances, np.float64))
    order = np.argsort(np.argsort(np.asarray(variances)))
    below = np.concatenate([[0.0], np.cumsum(v)])
    levels = v
    for drowned in range(v.size):
        water = (distortion - below[drowned]) / (v.size - drowned)
        if water <= v[drowned]:
            levels = np.minimum(v, water)
            break
    return float(0.5 * np.log2(v / levels).sum()), levels[order]


def shannon_lower_bound_squared(differential_entropy_bits: float, distortion: Any) -> np.ndarray:
    """R(D) >= h(X) - 1/2 log(2 pi e D) under squared error, for any density."""
    noise = 0.5 * np.log2(2.0 * np.pi * np.e * np.asarray(distortion, np.float64))
    return np.maximum(differential_entropy_bits - noise, 0.0)


def laplacian_entropy_bits(scale: float) -> float:
    """h(X) = log(2 e scale) of density exp(-|x|/scale)/(2 scale)."""
    return float(np.log2(2.0 * np.e * scale))


def uniform_entropy_bits(width: float) -> float:
    """h(X) = log(width) of a uniform density."""
    return float(np.log2(width))
