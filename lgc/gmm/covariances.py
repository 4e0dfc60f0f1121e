"""Four shapes of covariance, each as a Cholesky factor that broadcasts over components.

A mixture keeps factors, not covariances: a product or inverse of triangular matrices loses
about half as many digits as the covariance does, and neither density nor sampling needs more.

  kind        factor        free parameters
  full        (K, D, D)     K D (D + 1) / 2
  tied        (1, D, D)     D (D + 1) / 2
  diagonal    (K, D)        K D
  spherical   (K, 1)        K

Dense factors are lower triangular; the others hold standard deviations. Because a leading or
trailing 1 broadcasts, code after this file never asks for the kind again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array

Kind = Literal["full", "tied", "diagonal", "spherical"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def check_kind(kind: str) -> Kind:
    """The kind itself.

    Raises:
      ValueError: it is none of `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"covariance kind {kind!r} is unknown: choose one of {', '.join(KINDS)}")
    return kind


def free_parameters(kind: Kind, n_components: Array | int, n_dimensions: int) -> Array | int:
    """Free parameters of a K-component mixture: covariances, means and K - 1 weights."""
    per_covariance = {
        "full": n_dimensions * (n_dimensions + 1) // 2 * n_components,
        "tied": n_dimensions * (n_dimensions + 1) // 2,
        "diagonal": n_dimensions * n_components,
        "spherical": n_components,
    }[check_kind(kind)]
    return per_covariance + n_dimensions * n_components + n_components - 1


def from_precisions(kind: Kind, precisions: Array) -> Array:
    """Factors of the covariances whose inverses are given in scikit-learn's shapes.

    Args:
      kind: shape of the covariance.
      precisions: full (K, D, D), tied (D, D), diagonal (K, D), spherical (K,).

    Returns:
      Factors in the kind's shape.
    """
    if check_kind(kind) == "diagonal":
        return 1 / jnp.sqrt(precisions)
    if kind == "spherical":
        return 1 / jnp.sqrt(precisions)[:, None]
    precisions = precisions.reshape(-1, *precisions.shape[-2:])
    # P = U U^T with U upper triangular gives L = U^-T, without inverting P itself.
    upper = jnp.linalg.cholesky(precisions[:, ::-1, ::-1])[:, ::-1, ::-1]
    return triangular_inverse(upper.swapaxes(-1, -2))


def is_dense(factors: Array, means: Array) -> bool:
    """Whether the factors are triangular matrices rather than standard deviations."""
    return factors.ndim == means.ndim + 1


def identity_factors(kind: Kind, n_components: int, n_dimensions: int, dtype) -> Array:
    """Factors of the unit covariance in the shape of the kind."""
    if check_kind(kind) in ("full", "tied"):
        count = n_components if kind == "full" else 1
        return jnp.broadcast_to(
            jnp.eye(n_dimensions, dtype=dtype), (count, n_dimensions, n_dimensions)
        )
    return jnp.ones((n_components, n_dimensions if kind == "diagonal" else 1), dtype)


def invert(factors: Array, means: Array) -> Array:
    """What `whiten` multiplies by: transposed inverses of triangles, or 1 / deviations."""
    if not is_dense(factors, means):
        return 1 / factors
    return triangular_inverse(factors).swapaxes(-1, -2)


def whiten(samples: Array, means: Array, inverses: Array) -> Array:
    """L_k^-1 (x_n - m_k) for every component and sample.

    Args:
      samples: (N, D).
      means: (K, D).
      inverses: of the factors, from `invert`.

    Returns:
      (K, N, D) coordinates in which component k is a standard normal.
    """
    centred = samples[None] - means[:, None]
    if is_dense(inverses, means):
        return jnp.matmul(centred, inverses)
    return centred * inverses[:, None]


def triangular_inverse(lower: Array) -> Array:
    """Inverses of lower triangular matrices (K, D, D), by forward substitution.

    Row i of the inverse is (e_i - sum_{j<i} L_ij row_j) / L_ii. On a CPU `solve_triangular` calls
    a BLAS whose threads spin while they wait for each other: hundreds of milliseconds for ten
    64 x 64 matrices as soon as a core is busy elsewhere, against a fifth of one here.
    """
    identity = jnp.eye(lower.shape[-1], dtype=lower.dtype)

    def substitute(row: Array, inverses: Array) -> Array:
        known = jnp.einsum("kd,kde->ke", lower[:, row], inverses)
        solved = (identity[row][None] - known) / lower[:, row, row][:, None]
        return inverses.at[:, row].set(solved)

    return jax.lax.fori_loop(0, lower.shape[-1], substitute, jnp.zeros_like(lower))


def log_determinants(factors: Array, means: Array) -> Array:
    """Log |L_k| of every component, (K,)."""
    n_components, n_dimensions = means.shape
    if is_dense(factors, means):
        diagonals = jnp.diagonal(factors, axis1=-2, axis2=-1)
    else:
        diagonals = jnp.broadcast_to(factors, (n_components, n_dimensions))
    return jnp.broadcast_to(jnp.sum(jnp.log(diagonals), axis=-1), (n_components,))


class Moments(NamedTuple):
    """Weighted sums over samples, about points m_k near the means; they add over blocks.

    Fields:
      counts: (K,) sum_n r_kn.
      first: (K, D) sum_n r_kn (x_n - m_k).
      second: what the kind needs of sum_n r_kn (x_n - m_k) x_n^T: full (K, D, D), tied (1, D, D)
        summed over k; diagonal and spherical (K, D), sum_n r_kn (x_n - m_k)^2.
    """

    counts: Array
    first: Array
    second: Array


def moments(kind: Kind, samples: Array, responsibilities: Array, about: Array) -> Moments:
    """The sums from which `estimate` makes means and covariances.

    Args:
      kind: shape of the covariance.
      samples: (N, D); close to the origin, or float32 loses digits.
      responsibilities: (K, N), zero where a sample is padding.
      about: m_k, (K, D).
    """
    counts = jnp.sum(responsibilities, axis=-1)
    if kind == "full":
        # Centred on the left only: all components then share the right operand and the K products
        # of D x N by N x D become one of K D x N. The column of ones collects `first`.
        # The barrier keeps XLA from reading the transpose with a stride for every component.
        transposed = jax.lax.optimization_barrier(samples.T)
        weighted = responsibilities[:, None, :] * (transposed[None] - about[:, :, None])
        with_ones = jnp.concatenate([samples, jnp.ones_like(samples[:, :1])], axis=1)
        both = jnp.einsum("kdn,ne->kde", weighted, with_ones)
        return Moments(counts, both[:, :, -1], both[:, :, :-1])
    if kind == "tied":
        # sum_k r_kn (x_n - m_k), summed before the product: one D x D product in all.
        weights = jnp.sum(responsibilities, axis=0)
        residuals = weights[:, None] * samples - responsibilities.T @ about
        first = responsibilities @ samples - counts[:, None] * about
        return Moments(counts, first, (residuals.T @ samples)[None])
    centred = samples[None] - about[:, None]
    first = jnp.einsum("kn,knd->kd", responsibilities, centred)
    return Moments(counts, first, jnp.einsum("kn,knd->kd", responsibilities, centred**2))


def estimate(
    kind: Kind, sums: Moments, about: Array, reg_covar: float
) -> tuple[Array, Array, Array]:
    """Parameters that maximise the expected log-likelihood.

    With d_k = first / n_k the means are m_k + d_k, and n_k C_k = second - n_k d_k (m_k + d_k)^T
    (diagonal: second - n_k d_k^2) within the kind, plus `reg_covar` on the diagonal. Variances of
    one component that differ by 1e7 and more along oblique directions are beyond float32.

    Args:
      kind: shape of the covariance.
      sums: from `moments`.
      about: the same points m_k, (K, D).
      reg_covar: added to every variance, in squared sample units.

    Returns:
      counts (K,), means (K, D), and factors in the kind's shape.
    """
    # scikit-learn's guard against a component that nothing belongs to.
    counts = sums.counts + 10 * jnp.finfo(sums.counts.dtype).eps
    shifts = sums.first / counts[:, None]
    means = about + shifts
    if kind == "full":
        scatter = sums.second / counts[:, None, None] - shifts[:, :, None] * means[:, None, :]
        return counts, means, _cholesky(scatter, reg_covar)
    if kind == "tied":
        scatter = sums.second - ((counts[:, None] * shifts).T @ means)[None]
        return counts, means, _cholesky(scatter / jnp.sum(counts), reg_covar)
    variances = jnp.maximum(sums.second / counts[:, None] - shifts**2, 0)
    if kind == "spherical":
        variances = jnp.mean(variances, axis=-1, keepdims=True)
    return counts, means, jnp.sqrt(variances + reg_covar)


def _cholesky(scatter: Array, reg_covar: float) -> Array:
    """Cholesky factor of scatter + reg I; where rounding made that indefinite, of a little more.

    The error of a D x D scatter is about D eps times its largest variance, so adding that much
    is enough, and is done only where the plain factor fails.
    """
    n_dimensions = scatter.shape[-1]
    identity = jnp.eye(n_dimensions, dtype=scatter.dtype)[None]
    plain = jnp.linalg.cholesky(scatter + reg_covar * identity)
    failed = ~jnp.all(jnp.isfinite(plain), axis=(-2, -1), keepdims=True)

    def repair() -> Array:
        variances = jnp.diagonal(scatter, axis1=-2, axis2=-1)
        rounding = n_dimensions * jnp.finfo(scatter.dtype).eps * jnp.max(jnp.abs(variances), -1)
        lifted = scatter + (reg_covar + rounding)[:, None, None] * identity
        return jnp.where(failed, jnp.linalg.cholesky(lifted), plain)

    return jax.lax.cond(jnp.any(failed), repair, lambda: plain)
