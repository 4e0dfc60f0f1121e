"""Plain training: minimise a loss with any optax optimiser. The method that others differ from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training import loop
from fewbits.training.method import (
    Batch,
    Key,
    Loss,
    Method,
    OptimizerFactory,
    Params,
    all_finite,
    as_arrays,
)


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], handed to the optimiser factory.
    """

    learning_rate: jax.Array | float = 1e-3


@dataclass(frozen=True)
class GradientDescentConfig:
    """Static choices.

    Attributes:
      hyperparameters: the values of a run that sweeps nothing.
    """

    hyperparameters: Hyperparameters = Hyperparameters()


class GradientDescentState(NamedTuple):
    """What the next step needs.

    Attributes:
      params: the parameters being learned.
      optimizer: the optax optimiser's own state.
      hyperparameters: Float[] each.
    """

    params: Params
    optimizer: Any
    hyperparameters: Hyperparameters


class GradientDescentInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], mean loss of the batch before the step, nats per example.
      gradient_norm: Float[], global l2 norm of the gradient.
      finite: Bool[], whether loss, gradient and new parameters were finite.
      aux: the loss's own named scalars.
    """

    loss_nats: jax.Array
    gradient_norm: jax.Array
    finite: jax.Array
    aux: dict[str, jax.Array]


def build(
    config: GradientDescentConfig, loss: Loss, optimizer: OptimizerFactory = optax.adam
) -> Method:
    """Minimises E[loss(params, batch)] by stochastic gradient steps.

    The optimiser is given as a function of the learning rate, so that the rate can be an array.
    A schedule multiplies it, as in `falling_adam`.

    Args:
      config: static choices and default hyperparameters.
      loss: see `method.Loss`.
      optimizer: learning rate -> optax optimiser; the state's structure must not depend on the
        rate's value.

    Returns:
      Method with `GradientDescentState` and `GradientDescentInfo`.
    """

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> GradientDescentState:
        del key  # nothing is drawn
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        return GradientDescentState(params, optimizer(chosen.learning_rate).init(params), chosen)

    def step(
        key: Key, state: GradientDescentState, batch: Batch
    ) -> tuple[GradientDescentState, GradientDescentInfo]:
        (loss_nats, aux), gradient = jax.value_and_grad(loss, argnums=1, has_aux=True)(
            key, state.params, batch
        )
        updates, optimizer_state = optimizer(state.hyperparameters.learning_rate).update(
            gradient, state.optimizer, state.params
        )
        gradient_norm = optax.tree.norm(gradient)
        params = optax.apply_updates(state.params, updates)
        finite = jnp.isfinite(loss_nats) & jnp.isfinite(gradient_norm) & all_finite(params)
        info = GradientDescentInfo(loss_nats, gradient_norm, finite, aux)
        return GradientDescentState(params, optimizer_state, state.hyperparameters), info

    def finalize(state: GradientDescentState) -> Params:
        return state.params

    return Method(init, step, finalize)


def falling_adam(steps: int) -> OptimizerFactory:
    """Adam whose learning rate falls to zero within `steps`, along half a cosine."""

    def optimizer(learning_rate: jax.Array | float) -> optax.GradientTransformation:
        falling = optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, steps))
        return optax.chain(optax.adam(learning_rate), falling)

    return optimizer


def train(
    key: Key,
    params: Params,
    data: loop.Data,
    loss: Loss,
    *,
    steps: int,
    batch_size: int | None = None,
    learning_rate: float = 1e-3,
    optimizer: OptimizerFactory = optax.adam,
) -> Params:
    """Plain training in one call, compiled: the parameters after so many steps.

    Args:
      key: typed PRNG key of batches, and of the loss.
      params: to start from.
      data: pytree of arrays with a common leading axis of examples.
      loss: see `method.Loss`, such as `losses.cross_entropy(network.apply)`.
      steps: optimiser steps.
      batch_size: examples per step; None for all of them.
      learning_rate: handed to `optimizer`.
      optimizer: learning rate -> optax optimiser.

    Raises:
      ValueError: a batch that is larger than the data, or fewer than one step.

    >>> import jax, jax.numpy as jnp
    >>> from fewbits.training import gradient_descent
    >>> def loss(key, params, batch):
    ...     return jnp.mean((batch - params) ** 2), {}
    >>> mean = gradient_descent.train(
    ...     jax.random.key(0), jnp.zeros(()), jnp.arange(5.0), loss, steps=300, learning_rate=0.1)
    >>> print(f"{mean:.2f}")
    2.00
    """
    method = build(GradientDescentConfig(Hyperparameters(learning_rate)), loss, optimizer)
    plan = loop.Plan(steps, batch_size, log_points=1)
    run = jax.jit(lambda key, params, data: loop.run(method, plan, key, params, data).params)
    return run(key, params, data)
