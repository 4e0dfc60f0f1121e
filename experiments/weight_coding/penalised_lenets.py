"""LeNet-300-100 under no penalty, L2, L1 and DRR, all penalty weights in one compiled program.

The training half of `experiments.weight_coding.l2_is_compression`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.io.datasets import Images
from fewbits.training import gradient_descent, loop, losses, networks, sweep

STEP = 2.0**-12
"""Networks are rounded to whole multiples of this, far finer than any step they are coded with."""


@dataclass(frozen=True)
class Config:
    """What is trained."""

    data: str = "mnist"
    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 1e-3
    """Of Adam at the start; a cosine takes it to zero."""
    validation: int = 5_000
    """Images cut off the training set, on which the coding step is chosen."""
    l2: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 3e-4, 6e-4, 1e-3, 2e-3, 4e-3)
    l1: tuple[float, ...] = (3e-6, 1e-5, 3e-5, 6e-5, 1e-4, 1.7e-4, 3e-4, 6e-4)
    drr: tuple[float, ...] = (1e-6, 3e-6, 1e-5, 2e-5, 3e-5, 6e-5, 1e-4, 2e-4)

    @property
    def points(self) -> list[tuple[str, float]]:
        """Penalty and its weight for every network of a seed."""
        listed = [(name, weight) for name in Weights._fields for weight in getattr(self, name)]
        return [("none", 0.0), *listed]


class Weights(NamedTuple):
    """What differs between runs."""

    l2: Any
    l1: Any
    drr: Any


def train(config: Config, seed: int, images: Images) -> Any:
    """Every network of a seed, rounded to multiples of `STEP`: a tree of float32 [points, ...].

    Raises:
      ValueError: one of them did not stay finite.
    """
    net = networks.lenet_300_100(images.pixels.shape[1:])
    steps = config.epochs * (len(images.labels) // config.batch_size)
    plan = loop.Plan(steps, config.batch_size)
    rate = gradient_descent.Hyperparameters(config.learning_rate)

    def run(key: jax.Array, weights: Weights, data: Any) -> Any:
        key_params, key_run = jax.random.split(key)
        loss = losses.penalised(losses.cross_entropy(net.apply), lambda p: penalty(weights, p))
        method = gradient_descent.build(
            gradient_descent.GradientDescentConfig(rate), loss, gradient_descent.falling_adam(steps)
        )
        result = loop.run(method, plan, key_run, net.init(key_params), data)
        return result.params, result.finite

    weights = Weights(
        *(np.array([w * (name == p) for p, w in config.points], np.float32)
          for name in Weights._fields)
    )  # fmt: skip
    # One network after the other is fastest on a CPU.
    params, finite = sweep(run, weights, [seed], (images.pixels, images.labels), runs_per_chunk=1)
    if not np.all(finite):
        raise ValueError(f"a network of seed {seed} did not stay finite")
    return jax.tree.map(
        lambda leaf: np.rint(leaf[:, 0] / np.float32(STEP)) * np.float32(STEP), params
    )


def penalty(weights: Weights, params: Any) -> jax.Array:
    """l2 ||theta||^2 + l1 ||theta||_1 + drr sum_i (1 - exp(-5 |theta_i|)) over all parameters."""

    def of_tensor(x: jax.Array) -> jax.Array:
        relaxed = -jnp.expm1(-5.0 * jnp.abs(x))
        return (weights.l2 * x**2 + weights.l1 * jnp.abs(x) + weights.drr * relaxed).sum()

    return jnp.stack([of_tensor(leaf) for leaf in jax.tree.leaves(params)]).sum()
