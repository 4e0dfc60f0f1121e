"""The two steps of EM for Gaussian mixtures, on padded data.

Dempster, Laird and Rubin (1977): who is responsible for each sample (E), then the likeliest
parameters given that (M). `lgc.em` iterates them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from lgc import covariances, gmm
from lgc.covariances import Kind
from lgc.gmm import Mixture


def expectation(mixture: Mixture, samples: Array, weights: Array) -> tuple[Array, Array]:
    """E step.

    Args:
      mixture: current parameters.
      samples: (N, D).
      weights: (N,) 1 for a sample, 0 for padding.

    Returns:
      responsibilities (K, N), zero for padding, and the mean log-likelihood in nats per sample.
    """
    joint = gmm.joint_log_prob(mixture, samples)
    log_prob = jax.nn.logsumexp(joint, axis=0)
    responsibilities = jnp.exp(joint - log_prob[None]) * weights[None]
    return responsibilities, weights @ log_prob / jnp.maximum(jnp.sum(weights), 1)


def maximisation(
    kind: Kind,
    reg_covar: float,
    samples: Array,
    responsibilities: Array,
    mask: Array | None = None,
) -> Mixture:
    """M step: the likeliest mixture given who is responsible for what.

    Also the way to begin EM from responsibilities of one's own.

    Args:
      kind: shape of the covariances.
      reg_covar: added to every variance, in squared sample units.
      samples: (N, D); close to the origin, or float32 loses digits.
      responsibilities: (K, N), zero for padding.
      mask: (K,) components in use; all by default.
    """
    n_components, n_dimensions = responsibilities.shape[0], samples.shape[-1]
    used = jnp.ones(n_components, bool) if mask is None else mask
    # scikit-learn's guard against a component that nothing belongs to.
    counts = jnp.sum(responsibilities, axis=-1) + 10 * jnp.finfo(samples.dtype).eps
    means = responsibilities @ samples / counts[:, None]
    factors = covariances.estimate(kind, samples, responsibilities, counts, means, reg_covar)
    log_weights = jnp.log(counts / jnp.sum(jnp.where(used, counts, 0)))
    if factors.shape[0] == n_components:
        unit = covariances.identity_factors(kind, n_components, n_dimensions, factors.dtype)
        factors = jnp.where(used.reshape(-1, *[1] * (factors.ndim - 1)), factors, unit)
    return Mixture(jnp.where(used, log_weights, -jnp.inf), means, factors, used)


def centred(samples: Array, mask: Array) -> tuple[Array, Array, Array]:
    """Samples about their mean, zero where masked; the mask as numbers; the mean (D,).

    Moments about the mean of the data keep the digits that float32 would lose far from it.
    """
    weights = mask.astype(samples.dtype)
    samples = jnp.where(mask[:, None], samples, 0)
    centre = weights @ samples / jnp.maximum(jnp.sum(weights), 1)
    return jnp.where(mask[:, None], samples - centre[None], 0), weights, centre
