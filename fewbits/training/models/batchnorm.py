"""A convolutional network with BatchNorm, whose running statistics travel beside its parameters.

`apply(params, state, x)` is what `pruning.prune(apply, params, ..., state=state)` takes.

>>> import jax, jax.numpy as jnp
>>> from fewbits.training.models import batchnorm
>>> network = batchnorm.convnet((28, 28, 1), 10, width=64)
>>> params, state = jax.eval_shape(network.init, jax.random.key(0))
>>> [sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (params, state)]
[80458, 384]
>>> jax.eval_shape(network.apply, params, state, jnp.zeros((5, 28, 28, 1))).shape
(5, 10)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training.method import Key, Params
from fewbits.training.models.convolution import conv2d, max_pool

MOMENTUM, EPSILON = 0.9, 1e-5
BLOCKS = (1, 2, 3)

State = dict[str, dict[str, jax.Array]]
"""Running mean and variance of every normalisation, by its name."""


class StatefulNetwork(NamedTuple):
    """A network with a state.

    Attributes:
      init: key -> (params, state).
      apply: (params, state, x) -> logits Float[batch, classes]; with `train=True` from the
        batch's own statistics, and (logits, new state).
    """

    init: Callable[[Key], tuple[Params, State]]
    apply: Callable[..., Any]


def convnet(image_shape: tuple[int, int, int], n_classes: int, width: int) -> StatefulNetwork:
    """Three blocks of conv 3 x 3, BatchNorm, ReLU, max-pool 2; then one dense layer.

    Args:
      image_shape: (height, width, channels), sides of at least 8.
      n_classes: outputs.
      width: channels of every block.

    Raises:
      ValueError: smaller images, or no channel.
    """
    height, breadth, n_channels = image_shape
    if min(height, breadth) < 8 or width < 1:
        raise ValueError(f"sides of at least 8 and a positive width, got {image_shape}, {width}")

    def init(key: Key) -> tuple[Params, State]:
        params, state, channels = {}, {}, n_channels
        for block in BLOCKS:
            key, key_kernel = jax.random.split(key)
            scale = np.sqrt(2 / (9 * channels))
            params[f"conv{block}"] = scale * jax.random.normal(key_kernel, (3, 3, channels, width))
            params[f"norm{block}"] = {"scale": jnp.ones(width), "bias": jnp.zeros(width)}
            state[f"norm{block}"] = {"mean": jnp.zeros(width), "var": jnp.ones(width)}
            channels = width
        n_features = (height // 8) * (breadth // 8) * width
        kernel = jax.random.normal(key, (n_features, n_classes)) / np.sqrt(n_features)
        params["dense"] = {"kernel": kernel, "bias": jnp.zeros(n_classes)}
        return params, state

    return StatefulNetwork(init, _apply)


def _apply(params: Params, state: State, x: jax.Array, train: bool = False) -> Any:
    new = {}
    for block in BLOCKS:
        x = conv2d(x, params[f"conv{block}"])
        norm, running = params[f"norm{block}"], state[f"norm{block}"]
        mean, var = running["mean"], running["var"]
        if train:
            mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        new[f"norm{block}"] = {
            "mean": MOMENTUM * running["mean"] + (1 - MOMENTUM) * mean,
            "var": MOMENTUM * running["var"] + (1 - MOMENTUM) * var,
        }
        gain = norm["scale"] * jax.lax.rsqrt(var + EPSILON)
        shift = norm["bias"] - gain * mean
        x = x * gain[None, None, None] + shift[None, None, None]
        x = max_pool(jax.nn.relu(x))
    dense = params["dense"]
    logits = x.reshape(x.shape[0], -1) @ dense["kernel"] + dense["bias"][None]
    return (logits, new) if train else logits


def settled(
    network: StatefulNetwork, params: Params, state: State, inputs: jax.Array, batch_size: int,
    batches: int = 60,
) -> State:  # fmt: skip
    """The running statistics of trained parameters, over at most so many batches.

    Args:
      network: whose state it is.
      params: trained.
      state: to start from.
      inputs: Float[n, ...], at least one batch.
      batch_size: examples of each.
      batches: the most that are seen.
    """
    n = min(len(inputs) // batch_size, batches) * batch_size
    parts = inputs[:n].reshape(-1, batch_size, *inputs.shape[1:])

    @jax.jit
    def settle(state: State, parts: jax.Array) -> State:
        def step(state: State, x: jax.Array) -> tuple[State, None]:
            return network.apply(params, state, x, train=True)[1], None

        return jax.lax.scan(step, state, parts)[0]

    return settle(state, parts)
