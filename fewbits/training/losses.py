"""Data terms for `method.Loss`: mean losses in nats per example, made from a network's apply."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Key, Loss, Params

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

    def offset(key: Key) -> jax.Array:
        return jax.random.randint(key, (2,), 0, 2 * pixels + 1)

    def move(images: jax.Array, offsets: jax.Array, axis: int) -> jax.Array:
        # A choice among static slices; a gather per image is slower on a CPU.
        margins = [(pixels, pixels) if a == axis else (0, 0) for a in range(images.ndim)]
        padded = jnp.pad(images, margins)
        size = images.shape[axis]
        moved = [
            jax.lax.slice_in_dim(padded, k, k + size, axis=axis) for k in range(2 * pixels + 1)
        ]
        which = jnp.broadcast_to(offsets[:, None, None, None], images.shape)
        return jax.lax.select_n(which, *moved)

    def on_moved(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        images, labels = batch
        key_shift, key_loss = jax.random.split(key)
        offsets = jax.vmap(offset)(jax.random.split(key_shift, images.shape[0]))
        for axis in (1, 2):
            images = move(images, offsets[:, axis - 1], axis)
        return loss(key_loss, params, (images, labels))

    return on_moved if pixels else loss
