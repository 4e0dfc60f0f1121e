"""What is known about labels before they are read: the predictions that codes of labels use.

Both kinds are `fewbits.codecs.prequential.Predict`: a network trained on the labels already
decoded, and a network that came in a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.codecs import prequential
from fewbits.training import gradient_descent, loop, losses
from fewbits.training.networks import Network


@dataclass(frozen=True)
class Training:
    """How the network of a prequential code is trained before each block."""

    least_steps: int = 300
    epochs: int = 6
    """Passes through the labels seen, where those are more than `least_steps` steps."""
    batch_size: int = 64
    learning_rate: float = 1e-3
    """Of Adam at the start; a cosine takes it to zero."""
    shift: int = 2
    """Pixels by which images are moved at random, in both directions."""
    floor: float = 1e-3
    """Share of the uniform distribution in every prediction."""
    seed: int = 0


def from_labels_seen(training: Training, net: Network, pixels: np.ndarray) -> prequential.Predict:
    """A network trained on the labels seen, from the same start and key for each block.

    The seen examples are repeated to a common size and the number of steps is traced, so that one
    program trains every block.
    """
    most_steps = max(training.least_steps, training.epochs * len(pixels) // training.batch_size)
    plan = loop.Plan(most_steps, training.batch_size, log_points=1)
    rate = gradient_descent.Hyperparameters(training.learning_rate)
    loss = losses.shifted(losses.cross_entropy(net.apply), training.shift)

    @jax.jit
    def train(key: jax.Array, data: Any, steps: jax.Array) -> Any:
        def decay(step: Any) -> jax.Array:
            return 0.5 * (1 + jnp.cos(jnp.pi * step / steps))

        method = gradient_descent.build(
            gradient_descent.GradientDescentConfig(rate),
            loss,
            lambda rate: optax.chain(optax.adam(rate), optax.scale_by_schedule(decay)),
        )
        key_params, key_run = jax.random.split(key)
        carry = loop.start(method, plan, key_run, net.init(key_params), data)
        carry = loop.advance(method, plan, carry, data, 0, steps)
        return method.finalize(carry.state)

    log_probabilities = predictor(net.apply)

    def predict(seen: np.ndarray, first: int, last: int) -> np.ndarray:
        steps = max(training.least_steps, training.epochs * seen.size // training.batch_size)
        order = np.resize(np.arange(seen.size), len(pixels))
        data = (pixels[order], seen.astype(np.int32)[order])
        params = train(jax.random.key(training.seed), data, jnp.int32(steps))
        return prequential.smoothed(log_probabilities(params, pixels[first:last]), training.floor)

    return predict


def from_network(params: Any, net: Network, pixels: np.ndarray, floor: float):
    """What a network that the receiver has says about all labels: a `prequential.Predict`."""
    log_probabilities = predictor(net.apply)

    def predict(seen: np.ndarray, first: int, last: int) -> np.ndarray:
        del seen  # the model knows all that it will ever know
        return prequential.smoothed(log_probabilities(params, pixels[first:last]), floor)

    return predict


def predictor(apply: Callable[[Any, Any], jax.Array]) -> Callable[[Any, np.ndarray], np.ndarray]:
    """(params, pixels) -> log probabilities Float64[n, classes], a thousand at a time."""

    @jax.jit
    def batch(params: Any, pixels: Any) -> jax.Array:
        return jax.nn.log_softmax(apply(params, pixels))

    def predict(params: Any, pixels: np.ndarray) -> np.ndarray:
        size = 1000
        padded = np.resize(pixels, (-(-len(pixels) // size) * size, *pixels.shape[1:]))
        parts = [batch(params, padded[i : i + size]) for i in range(0, len(padded), size)]
        return np.concatenate([np.asarray(p, np.float64) for p in parts])[: len(pixels)]

    return predict
