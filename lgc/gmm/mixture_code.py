"""Gaussian mixtures as tensors worth quantising: means, log scales and correlation factors.

A covariance is S C S with standard deviations S and correlations C = L L^T. The rows of the
Cholesky factor L have unit length, so its diagonal follows from the rest and is not stored, and
an error of one quantisation step means the same in a wide dimension as in a narrow one. Whatever
the quantiser does to the stored numbers, what comes back is a valid covariance.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

Covariance = Literal["full", "diagonal", "tied", "spherical"]
COVARIANCES: tuple[Covariance, ...] = ("full", "diagonal", "tied", "spherical")

_SMALLEST_PIVOT = 1e-6
_WEIGHT_TOTAL = 1 << 16


class ClassMixture(NamedTuple):
    """The mixture of one class, plain NumPy, nothing masked.

    Attributes:
      weights: float[K], positive, summing to one.
      means: float[K, d].
      covariances: full [K, d, d]; diagonal [K, d]; tied [d, d]; spherical [K].
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def to_tensors(mixture: ClassMixture, kind: Covariance) -> dict[str, np.ndarray]:
    """The float32 tensors that are stored for one class."""
    tensors = {"means": np.asarray(mixture.means, np.float32)}
    covariances = np.asarray(mixture.covariances, np.float64)
    if kind in ("full", "tied"):
        stack = covariances.reshape(-1, *covariances.shape[-2:])
        scale = np.sqrt(np.diagonal(stack, axis1=1, axis2=2))
        factor = np.linalg.cholesky(stack / (scale[:, :, None] * scale[:, None, :]))
        rows, columns = np.tril_indices(stack.shape[-1], -1)
        tensors["correlation"] = factor[:, rows, columns].astype(np.float32)
    else:
        scale = np.sqrt(covariances.reshape(len(mixture.means), -1))
    tensors["log_scale"] = np.log(scale).astype(np.float32)
    return tensors


def from_tensors(tensors: dict[str, Any], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (K, d) and factors A (K, d, d) or (K, d), such that mean + A eps has the covariance.

    A is lower triangular where correlations are stored, otherwise its diagonal.

    Raises:
      ValueError: tensors whose shapes do not belong together.
    """
    means = np.asarray(tensors["means"], np.float64)
    log_scale = np.asarray(tensors["log_scale"], np.float64)
    count, dimension = len(weights), means.shape[-1]
    if means.shape != (count, dimension):
        raise ValueError(f"means of shape {means.shape} for {count} components")
    scale = np.exp(np.clip(log_scale, -60.0, 60.0))
    if "correlation" not in tensors:
        if log_scale.shape not in ((count, dimension), (count, 1)):
            raise ValueError(f"log scales of shape {log_scale.shape} for means {means.shape}")
        return means, np.broadcast_to(scale, means.shape)
    lower = np.asarray(tensors["correlation"], np.float64)
    factors = len(lower)
    pairs = dimension * (dimension - 1) // 2
    if factors not in (1, count) or lower.shape != (factors, pairs):
        raise ValueError(f"correlations of shape {lower.shape} for means {means.shape}")
    if log_scale.shape != (factors, dimension):
        raise ValueError(f"log scales of shape {log_scale.shape} for {factors} factors")
    rows, columns = np.tril_indices(dimension, -1)
    factor = np.zeros((factors, dimension, dimension))
    factor[:, rows, columns] = lower
    squares = np.sum(factor**2, axis=-1)
    # Rounding may push a row beyond unit length; then it is shortened, never dropped.
    longest = 1.0 - _SMALLEST_PIVOT
    factor *= np.sqrt(np.minimum(1.0, longest / np.maximum(squares, longest)))[..., None]
    pivots = np.sqrt(1.0 - np.minimum(squares, longest))
    diagonal = np.arange(dimension)
    factor[:, diagonal, diagonal] = pivots
    return means, np.broadcast_to(scale[:, :, None] * factor, (count, dimension, dimension))


def weights_to_integers(weights: np.ndarray) -> list[int]:
    """Mixture weights in units of 2^-16, each at least one unit: a header holds no floats."""
    scaled = np.maximum(np.round(np.asarray(weights, np.float64) * _WEIGHT_TOTAL), 1)
    return [int(value) for value in scaled]


def log_density(
    latents: np.ndarray, weights: np.ndarray, means: np.ndarray, factors: np.ndarray
) -> np.ndarray:
    """Ln p(z) of each latent under a decoded mixture, in nats: what the file's numbers mean.

    Args:
      latents: (n, d).
      weights: (K,), summing to one.
      means: (K, d).
      factors: (K, d, d) lower triangular, or (K, d).
    """
    from scipy.linalg import solve_triangular
    from scipy.special import logsumexp

    dimension = latents.shape[1]
    terms = []
    for weight, mean, factor in zip(weights, means, factors, strict=True):
        centred = (latents - mean).T
        if factor.ndim == 2:
            whitened = solve_triangular(factor, centred, lower=True)
            log_volume = np.log(np.diagonal(factor)).sum()
        else:
            whitened, log_volume = centred / factor[:, None], np.log(factor).sum()
        exponent = -0.5 * np.sum(whitened**2, axis=0)
        constant = np.log(weight) - log_volume - 0.5 * dimension * np.log(2 * np.pi)
        terms.append(exponent + constant)
    return np.asarray(logsumexp(np.stack(terms), axis=0))
