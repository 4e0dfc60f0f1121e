"""Kernel ridge regression loss of a synthetic set, for dataset distillation.

The labels of real images are predicted from a synthetic set in closed form, on the features of a
network, so the loss has a gradient in the synthetic images: FRePo (Zhou, Nezhadarya and Ba 2022,
"Dataset distillation using neural feature regression", eq. 5).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def ridge_predictions(
    synthetic: jax.Array, targets: jax.Array, real: jax.Array, ridge: float
) -> jax.Array:
    """K_rs (K_ss + lambda I)^-1 Y_s with the linear kernel of the features.

    Args:
      synthetic: Float[n, features] of the synthetic images.
      targets: Float[n, classes], Y_s.
      real: Float[m, features].
      ridge: lambda as a share of the mean diagonal of K_ss.

    Returns:
      Float[m, classes].
    """
    kernel = synthetic @ synthetic.T
    weight = ridge * jnp.trace(kernel) / len(kernel)
    solved = jax.scipy.linalg.solve(kernel + weight * jnp.eye(len(kernel)), targets, assume_a="pos")
    return (real @ synthetic.T) @ solved


def ridge_loss(
    synthetic: jax.Array,
    synthetic_classes: jax.Array,
    real: jax.Array,
    real_classes: jax.Array,
    n_classes: int,
    ridge: float = 1e-3,
) -> jax.Array:
    """Mean squared error of the centred one-hot labels, summed over classes; Float[].

    Args:
      synthetic: Float[n, features].
      synthetic_classes: Int[n].
      real: Float[m, features].
      real_classes: Int[m].
      n_classes: K.
      ridge: see `ridge_predictions`.
    """
    targets = centred_one_hot(synthetic_classes, n_classes)
    predicted = ridge_predictions(synthetic, targets, real, ridge)
    wanted = centred_one_hot(real_classes, n_classes)
    return jnp.mean(jnp.sum(jnp.square(predicted - wanted), axis=-1))


def centred_one_hot(classes: jax.Array, n_classes: int) -> jax.Array:
    """One-hot labels minus 1 / K, Float[n, K]: the prediction without an image is zero."""
    return jax.nn.one_hot(classes, n_classes) - 1 / n_classes
