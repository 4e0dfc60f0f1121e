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
from pruning import leaves
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
    """Slope alpha sign(theta), elementwise: the subgradient that is published, 0 at 0."""
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
    threshold = jnp.asarray(rate, v.dtype) * jnp.asarray(hyperparameters.strength, v.dtype)
    return jnp.sign(v) * jnp.maximum(jnp.abs(v) - threshold, 0)


FORMULA = penalized.Formula(value, slope, proximal)


def relaxed_lasso(
    strength: optax.ScalarOrSchedule, mask: leaves.Mask = None
) -> optax.GradientTransformation:
    """Adds the subgradient alpha sign(theta) of an l1 penalty: phase 1 of the relaxed lasso (R-L1).

    The relaxed lasso (Meinshausen 2007) chooses weights under an l1 penalty and then trains them
    without it. Used for networks by Barth & von Petersenn (arXiv 2505.17469). Stands before the
    optimiser; `proximal` gives exact zeros instead.

    Args:
      strength: alpha, nats per unit of weight; a number, a traced array (vmap over it) or a
        schedule. `optax.inject_hyperparams(pruning.relaxed_lasso)` keeps it in the state.
      mask: which leaves are penalised; see `drr`.

    Returns:
      Transformation whose `update` needs `params`; dtypes of the updates are kept.

    Raises:
      ValueError: from `update`, without params or with a mask of another structure.

    >>> import jax.numpy as jnp, optax, pruning
    >>> optimizer = optax.chain(pruning.relaxed_lasso(0.5), optax.sgd(0.1))
    >>> params = {"w": jnp.array([1.0, -2.0]), "steps": jnp.array(3)}
    >>> gradient = {"w": jnp.zeros(2), "steps": None}
    >>> updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    >>> print(updates)
    {'steps': None, 'w': Array([-0.05,  0.05], dtype=float32)}
    """

    def at(count: jax.Array) -> Hyperparameters:
        return Hyperparameters(strength=penalized.value_at(strength, count))

    return penalized.Penalty(FORMULA, at, mask)


def build(
    config: Rl1Config,
    loss: Loss,
    optimizer: OptimizerFactory = optax.adam,
    mask: leaves.Mask = None,
) -> Method:
    """Minimises L + alpha ||theta||_1 + rho ||theta||^2; see `penalized.build`.

    Differs from what is published: nothing with `update="coupled"` and a constant schedule.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser.
      mask: which leaves are penalised; see `leaves.chosen`.

    Returns:
      Method with `PenalizedState` and `PenalizedInfo`.

    Raises:
      ValueError: an unknown way of updating.
    """
    return penalized.build(config, FORMULA, loss, optimizer, mask)
