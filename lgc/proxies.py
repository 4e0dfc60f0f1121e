"""Proxy evaluation of a training set: held-out accuracy of a small ConvNet trained on it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import evaluation, gradient_descent, loop, losses, networks
from fewbits.training.method import Key, Loss, Params
from lgc.images import LabelledImages

_RATE = 2e-3

ProxyEvaluation = Callable[[Key, tuple[np.ndarray, np.ndarray]], float]
"""(typed key, (images uint8[n, H, W, C], labels)) -> accuracy in [0, 1], the mean over classes.

Labels are class numbers int[n], or soft labels float[n, classes].

Compare training sets with the same key; another key is another initialisation and batch order."""


def build(
    checked: LabelledImages,
    validation: np.ndarray,
    *,
    steps: int,
    width: int,
    batch_size: int,
) -> ProxyEvaluation:
    """A proxy evaluation, compiled once for all keys and all sets of one size.

    Args:
      checked: the image set.
      validation: Int[m], which of its images give the accuracy.
      steps: of training.
      width: channels of the ConvNet.
      batch_size: of training.
    """
    network = networks.convnet(checked.pixels.shape[1:], len(checked.labels), width)
    loss = losses.cross_entropy(network.apply)
    pixels, classes = checked.pixels[validation], checked.classes[validation]
    counts = np.bincount(classes, minlength=len(checked.labels))
    # Every class counts alike, whatever its share of the images.
    weights = jnp.asarray(1 / (counts[classes] * np.count_nonzero(counts)), jnp.float32)
    tests, known = jnp.asarray(pixels), jnp.asarray(classes)

    @jax.jit
    def accuracy(key: Key, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        key_params, key_run = jax.random.split(key)
        start = network.init(key_params)
        params = trained(
            key_run, start, data, loss=loss, steps=steps, batch_size=batch_size, rate=_RATE
        )
        return weights @ (evaluation.predictions(network.apply, params, tests) == known)

    # A sum of rounded shares may be a little above one.
    return lambda key, drawn: min(1.0, float(accuracy(key, drawn)))


def trained(
    key: Key,
    params: Params,
    data: loop.Data,
    *,
    loss: Loss,
    steps: int,
    batch_size: int,
    rate: float,
) -> Params:
    """Parameters after training by Adam with a cosine schedule; traceable."""
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(rate)),
        loss,
        gradient_descent.falling_adam(steps),
    )
    plan = loop.Plan(steps, min(batch_size, loop.n_examples(data)), log_points=1)
    return loop.run(method, plan, key, params, data).params
