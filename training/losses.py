"""Data terms for `method.Loss`: mean losses in nats per example, made from a network's apply."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from training.method import Key, Loss, Params

Apply = Callable[[Params, jax.Array], jax.Array]
"""A network: (params, inputs Float[batch, ...]) -> outputs Float[batch, ...]."""


def cross_entropy(apply: Apply) -> Loss:
    """Mean of -ln softmax(apply(params, x))[y].

    Args:
      apply: gives logits Float[batch, classes].

    Returns:
      Loss on batches `(x, y)`, y Int[batch]; aux `accuracy` Float[], share of the batch whose
      largest logit is y's.
    """

    def loss(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        del key  # deterministic
        inputs, labels = batch
        logits = apply(params, inputs)
        loss_nats = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss_nats, {"accuracy": jnp.mean(jnp.argmax(logits, axis=-1) == labels)}

    return loss


def squared_error(apply: Apply) -> Loss:
    """Mean over examples of (1/2) sum of squared residuals: nats under unit Gaussian noise.

    The constant (d/2) ln 2 pi is left out, the factor 1/2 is kept.

    Args:
      apply: gives predictions of the targets' shape.

    Returns:
      Loss on batches `(x, y)`, y Float[batch, ...]; aux `mean_squared_error` Float[], averaged
      over examples and outputs.
    """

    def loss(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        del key  # deterministic
        inputs, targets = batch
        squares = jnp.square(apply(params, inputs) - targets)
        return 0.5 * squares.sum() / targets.shape[0], {"mean_squared_error": squares.mean()}

    return loss


def shifted(loss: Loss, pixels: int) -> Loss:
    """The loss on images that are each moved by up to `pixels` either way, zeros moving in.

    Args:
      loss: on batches `(images, labels)`, images [batch, height, width, channels].
      pixels: 0 gives the loss itself.
    """

    def move(key: Key, image: jax.Array) -> jax.Array:
        padded = jnp.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)))
        row, column = jax.random.randint(key, (2,), 0, 2 * pixels + 1)
        return jax.lax.dynamic_slice(padded, (row, column, 0), image.shape)

    def on_moved(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        images, labels = batch
        key_shift, key_loss = jax.random.split(key)
        keys = jax.random.split(key_shift, images.shape[0])
        return loss(key_loss, params, (jax.vmap(move)(keys, images), labels))

    return on_moved if pixels else loss
