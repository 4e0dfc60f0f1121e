"""A Gaussian mixture of latents for each class, as parameters to be trained: p(z | class).

Diagonal components: what an archive stores of them is 2 d + 1 numbers each. Trained jointly with
encoder and decoder it is the prior of a conditional VAE, so that what is drawn from the file is
what the decoder has learned to decode.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from lgc.autoencoders.architectures import Params
from lgc.gmm.mixture_code import ClassMixture


def init(key: jax.Array, n_classes: int, components: int, latent: int) -> Params:
    """Means from N(0, 1), unit scales, equal weights.

    Returns:
      `means` and `log_scale` Float[classes, components, latent], `logits` Float[classes,
      components].
    """
    shape = (n_classes, components, latent)
    return {
        "means": jax.random.normal(key, shape),
        "log_scale": jnp.zeros(shape),
        "logits": jnp.zeros(shape[:2]),
    }


def log_density(params: Params, latents: jax.Array, classes: jax.Array) -> jax.Array:
    """Ln p(z | class) in nats, Float[n].

    Args:
      params: see `init`.
      latents: Float[n, d].
      classes: Int[n].
    """
    log_scale = params["log_scale"][classes]
    whitened = (latents[:, None, :] - params["means"][classes]) * jnp.exp(-log_scale)
    log_normal = -0.5 * jnp.square(whitened) - log_scale - 0.5 * jnp.log(2 * jnp.pi)
    log_weight = jax.nn.log_softmax(params["logits"][classes], axis=-1)
    return jax.nn.logsumexp(log_weight + log_normal.sum(axis=-1), axis=-1)


def sample(key: jax.Array, params: Params, classes: jax.Array) -> jax.Array:
    """Latents of given classes, differentiable in means and scales, not in the weights.

    Args:
      key: typed key.
      params: see `init`.
      classes: Int[n].

    Returns:
      Float[n, d].
    """
    key_component, key_noise = jax.random.split(key)
    component = jax.random.categorical(key_component, params["logits"][classes], axis=-1)
    noise = jax.random.normal(key_noise, (len(classes), params["means"].shape[-1]))
    scale = jnp.exp(params["log_scale"][classes, component])
    return params["means"][classes, component] + scale * noise


def class_mixtures(params: Params, smallest_weight: float = 1e-3) -> list[ClassMixture]:
    """The mixtures as an archive takes them; components that are hardly ever drawn are left out.

    Args:
      params: see `init`.
      smallest_weight: below this share a component goes.
    """
    found = []
    for means, log_scale, logits in zip(
        *(np.asarray(params[name], np.float64) for name in ("means", "log_scale", "logits")),
        strict=True,
    ):
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        used = weights >= min(smallest_weight, weights.max())
        found.append(
            ClassMixture(
                weights[used] / weights[used].sum(), means[used], np.exp(2 * log_scale[used])
            )
        )
    return found
