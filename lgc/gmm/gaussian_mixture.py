"""Gaussian mixtures: density, samples and description length.

p(x) = sum_k w_k N(x; m_k, C_k), C_k = L_k L_k^T. Fitting is in `lgc.gmm.em`. Every function takes
one mixture; `jax.vmap` over a stack of them (one per class, one per number of components) is what
the leading axes elsewhere mean.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from lgc.gmm import covariances
from lgc.gmm.covariances import Kind


class Mixture(NamedTuple):
    """A Gaussian mixture with K places for components, some of which may be empty.

    Attributes:
      log_weights: (K,) natural logarithms of the weights; -inf in an empty place.
      means: (K, D).
      factors: Cholesky factors of the covariances, shaped as `lgc.gmm.covariances` says.
      mask: (K,) True where there is a component.
    """

    log_weights: Float[Array, " k"]
    means: Float[Array, "k d"]
    factors: Float[Array, ...]
    mask: Bool[Array, " k"]


def from_precisions(
    kind: Kind,
    weights: Float[Array, " k"],
    means: Float[Array, "k d"],
    precisions: Float[Array, ...],
) -> Mixture:
    """The mixture with these weights (K,), means (K, D) and inverse covariances.

    Precisions have scikit-learn's shapes: full (K, D, D), tied (D, D), diagonal (K, D),
    spherical (K,).
    """
    factors = covariances.from_precisions(kind, precisions)
    return Mixture(jnp.log(weights), means, factors, jnp.ones(weights.shape, bool))


def covariance_matrices(mixture: Mixture) -> Float[Array, "k d d"]:
    """C_k of every place, (K, D, D)."""
    n_components, n_dimensions = mixture.means.shape
    factors = mixture.factors
    if not covariances.is_dense(factors, mixture.means):
        deviations = jnp.broadcast_to(factors, (n_components, n_dimensions))
        return jax.vmap(jnp.diag)(deviations**2)
    shape = (n_components, n_dimensions, n_dimensions)
    return jnp.broadcast_to(factors @ factors.swapaxes(-1, -2), shape)


def joint_log_prob(mixture: Mixture, samples: Array, inverses: Array | None = None) -> Array:
    """Log w_k + log N(x_n; m_k, C_k), (K, N) nats; -inf for empty places.

    Args:
      mixture: one mixture.
      samples: (N, D).
      inverses: `covariances.invert` of the factors, where the caller has them already.
    """
    if inverses is None:
        inverses = covariances.invert(mixture.factors, mixture.means)
    whitened = covariances.whiten(samples, mixture.means, inverses)
    constants = (
        mixture.log_weights
        - covariances.log_determinants(mixture.factors, mixture.means)
        - 0.5 * samples.shape[-1] * np.log(2 * np.pi)
    )
    joint = constants[:, None] - 0.5 * jnp.sum(whitened**2, axis=-1)
    return jnp.where(mixture.mask[:, None], joint, -jnp.inf)


def log_prob(mixture: Mixture, samples: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Log-density of each sample.

    Args:
      mixture: one mixture.
      samples: (N, D).

    Returns:
      (N,) nats.
    """
    return jax.nn.logsumexp(joint_log_prob(mixture, samples), axis=0)


def sample(
    key: Key[Array, ""], mixture: Mixture, n_samples: int
) -> tuple[Float[Array, "n d"], Int[Array, " n"]]:
    """Draws from the mixture; the same key gives the same draws.

    Args:
      key: typed PRNG key.
      mixture: one mixture.
      n_samples: N.

    Returns:
      samples (N, D) and the component (N,) each came from.
    """
    component_key, noise_key = jax.random.split(key)
    n_components, n_dimensions = mixture.means.shape
    components = jax.random.categorical(component_key, mixture.log_weights, shape=(n_samples,))
    noise = jax.random.normal(noise_key, (n_samples, n_dimensions), mixture.means.dtype)

    # One component at a time: gathering a D x D factor for every sample would need N D^2 memory.
    def fill(drawn: Array, place: tuple[Array, Array, Array]) -> tuple[Array, None]:
        index, mean, factor = place
        spread = noise @ factor.T if factor.ndim == 2 else noise * factor[None]
        return jnp.where((components == index)[:, None], mean[None] + spread, drawn), None

    factors = jnp.broadcast_to(mixture.factors, (n_components, *mixture.factors.shape[1:]))
    places = (jnp.arange(n_components), mixture.means, factors)
    drawn, _ = jax.lax.scan(fill, jnp.zeros_like(noise), places)
    return drawn, components


def bic(
    kind: Kind,
    mixture: Mixture,
    mean_log_likelihood: Float[Array, ""],
    n_samples: Array | int,
) -> Float[Array, ""]:
    """Bayesian information criterion, -2 log p(data) + p log N, in nats; less is better.

    Schwarz (1978), with p the free parameters of the components in use.

    Args:
      kind: shape of the covariance.
      mixture: one mixture.
      mean_log_likelihood: nats per sample, on the samples it was fitted to.
      n_samples: N.
    """
    n_free = covariances.free_parameters(kind, jnp.sum(mixture.mask), mixture.means.shape[-1])
    return -2 * n_samples * mean_log_likelihood + n_free * jnp.log(n_samples)
