"""Training of a teacher: float weights first, then weights on the grid that the file holds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import gradient_descent, loop, losses
from fewbits.training.method import Key, Params
from fewbits.training.models.convolution import FASTEST_NARROW
from lgc.autoencoders import fitting, rate
from lgc.config import Progress
from lgc.distillation.augmentation import Augmentation, augment
from lgc.teachers import network, teacher_file

_BATCH_SIZE = 64
_RATES = (1e-2, 3e-3)
"""Learning rates of the two phases."""
_MANY = 20_000
"""Images, from which on they need no augmentation but flips: more variety costs a small network."""
_RATES_OF_MANY = (3e-3, 1e-3)
"""The same of a wide network of many images."""
_WIDE = 10
"""Channels."""
_FLOAT_SHARE = 0.6
STAGE = "training a teacher"


def train(
    key: Key,
    images: np.ndarray,
    classes: np.ndarray,
    width: int,
    steps: int,
    *,
    ranges: Augmentation,
    bits_weight: float = 0.0,
    progress: Progress | None = None,
) -> bytes:
    """The weights of a teacher, as they stand in a file.

    What is minimised is the cross-entropy, and with quantised weights the cross-entropy plus
    `bits_weight` times the bits of the weights (`lgc.autoencoders.rate.rate_bits`).

    Args:
      key: typed PRNG key.
      images: uint8[n, height, width, channels].
      classes: int[n], class numbers from 0.
      width: of the network.
      steps: of the optimiser; the last part of them with quantised weights.
      ranges: of the augmentation of training images, where these are few.
      bits_weight: nats of cross-entropy that one bit of the weights may save.
      progress: see `Progress`.

    Raises:
      InputError: the training did not stay finite.
    """
    rates = _RATES
    if len(images) >= _MANY:
        ranges = Augmentation(flip=ranges.flip)
        rates = _RATES_OF_MANY if width >= _WIDE else _RATES
    key_params, key_float, key_grid = jax.random.split(key, 3)
    shape = images.shape[1:]
    params = network.init(key_params, shape, int(classes.max()) + 1, width)
    data = (jnp.asarray(images), jnp.asarray(classes, jnp.int32))
    float_steps = max(1, round(_FLOAT_SHARE * steps))
    phases = ((key_float, float_steps, False), (key_grid, max(1, steps - float_steps), True))
    for (phase_key, count, quantised), learning_rate in zip(phases, rates, strict=True):
        method = gradient_descent.build(
            gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(learning_rate)),
            _loss(ranges, bits_weight) if quantised else _loss(ranges),
            gradient_descent.falling_adam(count),
        )
        plan = loop.Plan(count, min(_BATCH_SIZE, len(images)), "replacement", log_points=1)
        params = fitting.in_parts(
            method, plan, phase_key, params, data, stage=STAGE, progress=progress
        ).params
    return teacher_file.section(params)


def _loss(ranges: Augmentation, bits_weight: float | None = None):
    """Cross-entropy of augmented images; with a weight of bits, of weights on their grids."""
    cross_entropy = losses.cross_entropy(
        lambda params, x: network.logits(params, x, FASTEST_NARROW)
    )

    def loss(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        images, classes = batch
        shown = augment(key, images.astype(jnp.float32), ranges, 255.0)
        if bits_weight is None:
            return cross_entropy(key, params, (shown, classes))
        weights = rate.quantised(params, teacher_file.bits)
        found, aux = cross_entropy(key, weights, (shown, classes))
        return found + bits_weight * rate.rate_bits(params, teacher_file.bits), aux

    return loss
