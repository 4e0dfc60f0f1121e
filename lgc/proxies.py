"""What a training set is worth: the accuracy, on images kept back, of a ConvNet trained on it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import evaluation, gradient_descent, loop, losses, networks
from fewbits.training.method import Key, Loss, Params
from lgc.images import LabelledImages

_RATE = 2e-3

Judge = Callable[[Key, tuple[np.ndarray, np.ndarray]], float]
"""(typed key, (images uint8[n, H, W, C], class numbers int[n])) -> accuracy in [0, 1].

Sets that are to be compared are judged with one key; another key is another judge."""


def build(
    checked: LabelledImages,
    held: np.ndarray,
    *,
    steps: int,
    width: int,
    batch_size: int,
) -> Judge:
    """A judge, compiled once for all keys and all sets of one size.

    Args:
      checked: the image set.
      held: Int[m], which of its images are kept back.
      steps: of training.
      width: channels of the ConvNet.
      batch_size: of training.
    """
    network = networks.convnet(checked.pixels.shape[1:], len(checked.labels), width)
    loss = losses.cross_entropy(network.apply)
    tests = (jnp.asarray(checked.pixels[held]), jnp.asarray(checked.classes[held]))

    @jax.jit
    def accuracy(key: Key, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        key_params, key_run = jax.random.split(key)
        start = network.init(key_params)
        params = trained(
            key_run, start, data, loss=loss, steps=steps, batch_size=batch_size, rate=_RATE
        )
        return evaluation.accuracy(network.apply, params, *tests)

    return lambda key, drawn: float(accuracy(key, drawn))


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
    """Parameters after Adam with a rate that falls to zero along a cosine; traceable."""
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(rate)),
        loss,
        gradient_descent.falling_adam(steps),
    )
    plan = loop.Plan(steps, min(batch_size, loop.n_examples(data)), log_points=1)
    return loop.run(method, plan, key, params, data).params
