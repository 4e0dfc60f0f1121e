"""The two steps of EM for Gaussian mixtures, in one pass over the data.

Dempster, Laird and Rubin (1977): the responsibilities (E), then the maximum likelihood
parameters given them (M). The M step needs sums over samples only, so both run block by block:
what a block needs for all components stays in a core's cache, and memory does not grow with the
number of samples times components.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lgc.gmm import covariances, gaussian_mixture
from lgc.gmm.covariances import Kind, Moments
from lgc.gmm.gaussian_mixture import Mixture

# Components times samples times dimensions of one block: 2.5 MB of float32.
_BLOCK_NUMBERS = 640_000


class Blocks(NamedTuple):
    """A data set cut into B blocks of n samples.

    Attributes:
      samples: (B, n, D) about their mean, zero where padded.
      weights: (B, n) 1 for a sample, 0 for padding.
      centre: (D,) the mean that was subtracted: moments about it keep the digits that float32
        would lose far from it.
    """

    samples: Array
    weights: Array
    centre: Array


def cut(samples: Array, mask: Array, n_components: int) -> Blocks:
    """Blocks of a size that suits K components.

    Args:
      samples: (N, D).
      mask: (N,) False for padding, whatever the samples hold there.
      n_components: K.
    """
    n_samples, n_dimensions = samples.shape
    samples, weights, centre = centred(samples, mask)
    most = max(_BLOCK_NUMBERS // (n_components * n_dimensions), 1)
    n_blocks = -(-n_samples // most)
    size = -(-n_samples // n_blocks)
    padding = n_blocks * size - n_samples
    samples = jnp.pad(samples, ((0, padding), (0, 0))).reshape(n_blocks, size, n_dimensions)
    return Blocks(samples, jnp.pad(weights, (0, padding)).reshape(n_blocks, size), centre)


def centred(samples: Array, mask: Array) -> tuple[Array, Array, Array]:
    """Samples about their mean, zero where masked; the mask as numbers; the mean (D,)."""
    weights = mask.astype(samples.dtype)
    samples = jnp.where(mask[:, None], samples, 0)
    centre = weights @ samples / jnp.maximum(jnp.sum(weights), 1)
    return jnp.where(mask[:, None], samples - centre[None], 0), weights, centre


def expectation(
    mixture: Mixture, samples: Array, weights: Array, inverses: Array | None = None
) -> tuple[Array, Array]:
    """E step.

    Args:
      mixture: current parameters.
      samples: (N, D).
      weights: (N,) 1 for a sample, 0 for padding.
      inverses: `covariances.invert` of the factors, where the caller has them already.

    Returns:
      responsibilities (K, N), zero for padding, and the log-likelihood in nats, of all samples.
    """
    joint = gaussian_mixture.joint_log_prob(mixture, samples, inverses)
    log_prob = jax.nn.logsumexp(joint, axis=0)
    return jnp.exp(joint - log_prob[None]) * weights[None], weights @ log_prob


def maximisation(
    kind: Kind,
    reg_covar: float,
    samples: Array,
    responsibilities: Array,
    mask: Array | None = None,
) -> Mixture:
    """M step: the mixture of maximum likelihood given the responsibilities.

    Also starts EM from given responsibilities.

    Args:
      kind: shape of the covariances.
      reg_covar: added to every variance, in squared sample units.
      samples: (N, D); close to the origin, or float32 loses digits.
      responsibilities: (K, N), zero for padding.
      mask: (K,) components in use; all by default.
    """
    used = jnp.ones(responsibilities.shape[0], bool) if mask is None else mask
    counts = jnp.sum(responsibilities, axis=-1, keepdims=True)
    about = responsibilities @ samples / jnp.where(counts > 0, counts, 1)
    sums = covariances.moments(kind, samples, responsibilities, about)
    return _mixture(kind, reg_covar, sums, about, used)


def improve(
    kind: Kind, reg_covar: float, mixture: Mixture, blocks: Blocks
) -> tuple[Mixture, Array]:
    """One E and one M step.

    Returns:
      the next mixture, and the log-likelihood of the given one in nats per sample.
    """
    inverses = covariances.invert(mixture.factors, mixture.means)

    def add(totals: tuple[Moments, Array], block: tuple[Array, Array]):
        samples, weights = block
        responsibilities, log_likelihood = expectation(mixture, samples, weights, inverses)
        sums = covariances.moments(kind, samples, responsibilities, mixture.means)
        return jax.tree.map(jnp.add, totals, (sums, log_likelihood)), None

    zeros = Moments(
        jnp.zeros_like(mixture.log_weights),
        jnp.zeros_like(mixture.means),
        jnp.zeros_like(mixture.factors if kind in ("full", "tied") else mixture.means),
    )
    pairs = (blocks.samples, blocks.weights)
    start = (zeros, jnp.zeros((), blocks.samples.dtype))
    (sums, total), _ = jax.lax.scan(add, start, pairs)
    next_mixture = _mixture(kind, reg_covar, sums, mixture.means, mixture.mask)
    return next_mixture, total / jnp.maximum(jnp.sum(blocks.weights), 1)


def log_likelihood(mixture: Mixture, blocks: Blocks) -> Array:
    """Mean log-likelihood, nats per sample."""
    inverses = covariances.invert(mixture.factors, mixture.means)

    def add(total: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        return total + expectation(mixture, *block, inverses)[1], None

    zero = jnp.zeros((), blocks.samples.dtype)
    total, _ = jax.lax.scan(add, zero, (blocks.samples, blocks.weights))
    return total / jnp.maximum(jnp.sum(blocks.weights), 1)


def _mixture(kind: Kind, reg_covar: float, sums: Moments, about: Array, used: Array) -> Mixture:
    """The likeliest mixture for these sums; empty places get the unit covariance."""
    counts, means, factors = covariances.estimate(kind, sums, about, reg_covar)
    n_components, n_dimensions = means.shape
    log_weights = jnp.log(counts / jnp.sum(jnp.where(used, counts, 0)))
    if factors.shape[0] == n_components:
        unit = covariances.identity_factors(kind, n_components, n_dimensions, factors.dtype)
        factors = jnp.where(used.reshape(-1, *[1] * (factors.ndim - 1)), factors, unit)
    return Mixture(jnp.where(used, log_weights, -jnp.inf), means, factors, used)
