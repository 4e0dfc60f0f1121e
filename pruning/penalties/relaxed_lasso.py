"""R-L1: the relaxed lasso. An l1 penalty chooses the weights, fine-tuning then undoes its bias.

    J(theta) = L(theta) + alpha ||theta||_1 + rho ||theta||^2

This file is the first phase; `three_phase` thresholds and fine-tunes without the penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Loss, Method, OptimizerFactory
from pruning.penalties import penalized
from pruning.schedule import Schedule


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], handed to the optimiser factory.
      strength: Float[], alpha, nats per unit of weight.
      decay: Float[], rho, nats per squared weight.
    """

    learning_rate: jax.Array | float = 1e-3
    strength: jax.Array | float = 1e-5
    decay: jax.Array | float = 0.0


@dataclass(frozen=True)
class Rl1Config:
    """Static choices.

    Attributes:
      hyperparameters: the values of a run that sweeps nothing.
      update: `coupled` (a subgradient, as published), or `proximal`; see `penalized`.
      schedule: factors on learning rate and strength.
    """

    hyperparameters: Hyperparameters = Hyperparameters()
    update: penalized.Update = "coupled"
    schedule: Schedule = Schedule()


def value(hyperparameters: Hyperparameters, theta: jax.Array) -> jax.Array:
    """Penalty alpha |theta|, elementwise; same shape as theta."""
    return jnp.asarray(hyperparameters.strength, theta.dtype) * jnp.abs(theta)


def slope(hyperparameters: Hyperparameters, theta: jax.Array) -> jax.Array:
    """Slope alpha sign(theta), elementwise: the subgradient used in the paper, 0 at 0."""
    return jnp.asarray(hyperparameters.strength, theta.dtype) * jnp.sign(theta)


def proximal(hyperparameters: Hyperparameters, rate: jax.Array, v: jax.Array) -> jax.Array:
    """Soft threshold sign(v) max(|v| - rate alpha, 0) = argmin_x 1/2 (x - v)^2 + rate alpha |x|.

    Args:
      hyperparameters: alpha.
      rate: Float[], eta.
      v: Float[...].

    Returns:
      Float[...].
    """
    threshold = rate.astype(v.dtype) * jnp.asarray(hyperparameters.strength, v.dtype)
    return jnp.sign(v) * jnp.maximum(jnp.abs(v) - threshold, 0)


def build(config: Rl1Config, loss: Loss, optimizer: OptimizerFactory = optax.adam) -> Method:
    """Minimises L + alpha ||theta||_1 + rho ||theta||^2; see `penalized.build`.

    Differs from the paper: nothing with `update="coupled"` and a constant schedule.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser.

    Returns:
      Method with `PenalizedState` and `PenalizedInfo`.

    Raises:
      ValueError: an unknown way of updating.
    """
    return penalized.build(config, penalized.Penalty(value, slope, proximal), loss, optimizer)
