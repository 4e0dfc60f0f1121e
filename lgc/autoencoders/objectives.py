"""Terms of the autoencoders' objectives, in nats, each a mean over the images of a batch."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

Form = Literal["printed", "coded"]

_FAR = -1e9
"""Instead of minus infinity, whose gradient is not a number."""


def squared_error(decoded: jax.Array, images: jax.Array) -> jax.Array:
    """Mean squared error over all pixels of all images, the plain autoencoder's objective.

    Args:
      decoded: Float[n, pixels].
      images: Float[n, pixels], in [0, 1].
    """
    return jnp.mean(jnp.square(decoded - images))


def cross_entropy(decoded: jax.Array, images: jax.Array) -> jax.Array:
    """Bernoulli cross-entropy summed over pixels; grey levels count as probabilities.

    Args:
      decoded: Float[n, pixels], in (0, 1).
      images: Float[n, pixels], in [0, 1].
    """
    decoded = jnp.clip(decoded, 1e-6, 1 - 1e-6)
    terms = images * jnp.log(decoded) + (1 - images) * jnp.log1p(-decoded)
    return -jnp.mean(jnp.sum(terms, axis=-1))


def gaussian_kl(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """KL(N(mu, diag exp(v)) || N(0, I)) = 1/2 sum(mu^2 + e^v - 1 - v).

    Args:
      mean: Float[n, d].
      log_variance: Float[n, d].
    """
    terms = jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance
    return 0.5 * jnp.mean(jnp.sum(terms, axis=-1))


def supervised_contrastive(
    latents: jax.Array, classes: jax.Array, temperature: float, form: Form = "coded"
) -> jax.Array:
    """Supervised contrastive loss on cosine similarities s_ij (Khosla et al. 2020).

    `printed`, the formula of "Latent Gaussian Compression" and L_out of Khosla et al.:
        mean_i mean_{p in P(i)} -log( exp(s_ip / tau) / sum_{a != i} exp(s_ia / tau) );
    `coded`, what its published program computes, L_in of Khosla et al. up to a constant:
        mean_i -log( sum_{p in P(i)} exp(s_ip / tau) / sum_{a != i} exp(s_ia / tau) ).
    P(i) are the other images of i's class; images that are alone in their class do not count.

    Args:
      latents: Float[n, d].
      classes: Int[n].
      temperature: tau.
      form: see above.

    Returns:
      Float[]; zero where no image has another of its class.
    """
    unit = latents / jnp.maximum(jnp.linalg.norm(latents, axis=1, keepdims=True), 1e-8)
    logits = unit @ unit.T / temperature
    others = ~jnp.eye(len(classes), dtype=bool)
    alike = (classes[:, None] == classes[None, :]) & others
    log_all = jax.nn.logsumexp(jnp.where(others, logits, _FAR), axis=1)
    n_alike = alike.sum(axis=1)
    if form == "printed":
        total = jnp.sum(jnp.where(alike, logits - log_all[:, None], 0.0), axis=1)
        each = -total / jnp.maximum(n_alike, 1)
    else:
        each = log_all - jax.nn.logsumexp(jnp.where(alike, logits, _FAR), axis=1)
    counted = n_alike > 0
    return jnp.sum(jnp.where(counted, each, 0.0)) / jnp.maximum(counted.sum(), 1)
