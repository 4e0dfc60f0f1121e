"""Data terms for `method.Loss`: mean losses in nats per example, made from a network's apply.

A loss is a function (key, params, batch) -> (mean loss, named scalars):

>>> import jax
>>> import jax.numpy as jnp
>>> from fewbits.training import losses
>>> loss = losses.cross_entropy(lambda params, x: x @ params)
>>> batch = (jnp.eye(2), jnp.array([0, 1]))
>>> loss_nats, aux = loss(jax.random.key(0), jnp.zeros((2, 2)), batch)
>>> round(float(loss_nats), 3), float(aux["accuracy"])
(0.693, 0.5)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Num

from fewbits.training.method import Key, Loss, Params

Apply = Callable[[Params, Num[Array, "batch ..."]], Float[Array, "batch ..."]]
"""A network: (params, inputs) -> outputs."""


def cross_entropy(apply: Apply) -> Loss:
    """Mean of -ln softmax(apply(params, x))[y], or of its mean under soft labels.

    Args:
      apply: gives logits Float[batch, classes].

    Returns:
      Loss on batches `(x, y)`, y Int[batch] or probabilities Float[batch, classes]; aux `accuracy`
      Float[], share of the batch whose largest logit is y's, or that of its likeliest class.
    """

    def loss(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        del key  # deterministic
        inputs, labels = batch
        logits = apply(params, inputs)
        if labels.ndim == 2:
            loss_nats = optax.softmax_cross_entropy(logits, labels).mean()
            labels = jnp.argmax(labels, axis=-1)
        else:
            loss_nats = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss_nats, {"accuracy": jnp.mean(jnp.argmax(logits, axis=-1) == labels)}

    return loss


def squared_error(apply: Apply, noise: float = 1.0) -> Loss:
    """Mean over examples of |residuals|^2 / (2 noise^2): nats under Gaussian noise.

    The constant (d/2) ln(2 pi noise^2) is left out, the factor 1/2 is kept.

    Args:
      apply: gives predictions of the targets' shape.
      noise: standard deviation, in the targets' units.

    Returns:
      Loss on batches `(x, y)`, y Float[batch, ...]; aux `mean_squared_error` Float[], averaged
      over examples and outputs.
    """

    def loss(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        del key  # deterministic
        inputs, targets = batch
        squares = jnp.square(apply(params, inputs) - targets)
        loss_nats = 0.5 * squares.sum() / targets.shape[0] / noise**2
        return loss_nats, {"mean_squared_error": squares.mean()}

    return loss


def penalised(loss: Loss, penalty: Callable[[Params], jax.Array]) -> Loss:
    """The loss with a term of the parameters alone added.

    Args:
      loss: see `method.Loss`.
      penalty: params -> Float[].

    >>> import jax.numpy as jnp
    >>> from fewbits.training import losses
    >>> loss = losses.squared_error(lambda params, x: params * x)
    >>> ridge = losses.penalised(loss, lambda params: 0.1 * jnp.square(params))
    >>> round(float(ridge(None, jnp.array(2.0), (jnp.ones(3), jnp.full(3, 2.0)))[0]), 3)
    0.4
    """

    def with_penalty(key: Key, params: Params, batch: Any):
        value, aux = loss(key, params, batch)
        return value + penalty(params), aux

    return with_penalty


def shifted(loss: Loss, pixels: int) -> Loss:
    """The loss on randomly translated images, each by up to `pixels` either way, padded with zeros.

    Args:
      loss: on batches `(images, labels)`, images [batch, height, width, channels].
      pixels: 0 gives the loss itself.
    """

    def offset(key: Key) -> jax.Array:
        return jax.random.randint(key, (2,), 0, 2 * pixels + 1)

    def translate(images: jax.Array, offsets: jax.Array, axis: int) -> jax.Array:
        # A choice among static slices; a gather per image is slower on a CPU.
        margins = [(pixels, pixels) if a == axis else (0, 0) for a in range(images.ndim)]
        padded = jnp.pad(images, margins)
        size = images.shape[axis]
        shifts = [
            jax.lax.slice_in_dim(padded, k, k + size, axis=axis) for k in range(2 * pixels + 1)
        ]
        which = jnp.broadcast_to(offsets[:, None, None, None], images.shape)
        return jax.lax.select_n(which, *shifts)

    def on_translated(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        images, labels = batch
        key_shift, key_loss = jax.random.split(key)
        offsets = jax.vmap(offset)(jax.random.split(key_shift, images.shape[0]))
        for axis in (1, 2):
            images = translate(images, offsets[:, axis - 1], axis)
        return loss(key_loss, params, (images, labels))

    return on_translated if pixels else loss


def mirrored(loss: Loss) -> Loss:
    """The loss on images of which every other one, at random, is seen from its other side.

    Args:
      loss: on batches `(images, labels)`, images [batch, height, width, channels].
    """

    def on_mirrored(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        images, labels = batch
        key_side, key_loss = jax.random.split(key)
        other = jax.random.bernoulli(key_side, 0.5, (images.shape[0], 1, 1, 1))
        images = jnp.where(other, images[:, :, ::-1], images)
        return loss(key_loss, params, (images, labels))

    return on_mirrored
