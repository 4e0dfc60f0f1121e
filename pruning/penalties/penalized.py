"""Training under a separable penalty: the step that DRR and the relaxed lasso share.

A penalty alpha sum_i phi(theta_i) enters in one of two ways:

* `coupled`, as published: its gradient is added to the data gradient and both pass through the
  optimiser. Adam then divides the penalty by the size of the gradients too, and since phi' has no
  zero at zero, no weight becomes exactly zero.
* `proximal`: the optimiser sees the data alone, and its result v is followed by
  argmin_x 1/2 (x - v)^2 + eta alpha phi(x), eta the learning rate. Weights become exactly zero.
  Under plain gradient descent this minimises the same objective; under an optimiser that rescales
  gradients, alpha is a price in units of the rescaled gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Batch, Key, Loss, Method, OptimizerFactory, Params, as_arrays
from fewbits.training.trees import nonzeros
from pruning.schedule import Schedule, scheduled

Update = Literal["coupled", "proximal"]
"""How the penalty enters a step."""

Hyperparameters = Any
"""A NamedTuple with at least `learning_rate`, `strength` and `decay`."""


class Penalty(NamedTuple):
    """A separable penalty; every function is elementwise and takes the hyperparameters first.

    Attributes:
      value: (hyperparameters, theta) -> alpha phi(theta).
      slope: (hyperparameters, theta) -> alpha phi'(theta), 0 at theta = 0.
      proximal: (hyperparameters, rate, v) -> argmin_x 1/2 (x - v)^2 + rate alpha phi(x).
    """

    value: Callable[[Hyperparameters, jax.Array], jax.Array]
    slope: Callable[[Hyperparameters, jax.Array], jax.Array]
    proximal: Callable[[Hyperparameters, jax.Array, jax.Array], jax.Array]


class Config(Protocol):
    """What the configs of penalised methods have in common."""

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Values of a run that sweeps nothing."""
        ...

    @property
    def update(self) -> Update:
        """How the penalty enters."""
        ...

    @property
    def schedule(self) -> Schedule:
        """Factors on learning rate and strength."""
        ...


class PenalizedState(NamedTuple):
    """What the next step needs.

    Attributes:
      params: the parameters being learned.
      optimizer: the optax optimiser's own state.
      count: Int[], steps done.
      hyperparameters: Float[] each.
    """

    params: Params
    optimizer: Any
    count: jax.Array
    hyperparameters: Hyperparameters


class PenalizedInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], mean loss of the batch before the step, nats per example.
      penalty_nats: Float[], the penalty before the step.
      nonzeros: Int[], parameters that differ from zero after the step.
      gradient_norm: Float[], global l2 norm of what the optimiser was given.
      finite: Bool[], whether loss, gradient and new parameters were finite.
      aux: the loss's own named scalars.
    """

    loss_nats: jax.Array
    penalty_nats: jax.Array
    nonzeros: jax.Array
    gradient_norm: jax.Array
    finite: jax.Array
    aux: dict[str, jax.Array]


def build(
    config: Config, penalty: Penalty, loss: Loss, optimizer: OptimizerFactory = optax.adam
) -> Method:
    """Minimises E[loss(theta, batch)] + alpha sum_i phi(theta_i) + rho ||theta||^2.

    Args:
      config: static choices and default hyperparameters.
      penalty: alpha phi.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser; the state's structure must not depend on the
        rate's value.

    Returns:
      Method with `PenalizedState` and `PenalizedInfo`; its hyperparameter `decay` is rho, whose
      gradient always goes through the optimiser.

    Raises:
      ValueError: an unknown way of updating.
    """
    if config.update not in ("coupled", "proximal"):
        raise ValueError(f"update must be 'coupled' or 'proximal', got {config.update!r}")
    coupled = config.update == "coupled"

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> PenalizedState:
        del key  # nothing is drawn
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        optimizer_state = optimizer(chosen.learning_rate).init(params)
        return PenalizedState(params, optimizer_state, jnp.zeros((), jnp.int32), chosen)

    def step(key: Key, state: PenalizedState, batch: Batch) -> tuple[PenalizedState, PenalizedInfo]:
        now = scheduled(state.hyperparameters, config.schedule, state.count)
        (loss_nats, aux), gradient = jax.value_and_grad(loss, argnums=1, has_aux=True)(
            key, state.params, batch
        )

        def total_slope(data_slope: jax.Array, theta: jax.Array) -> jax.Array:
            slope = data_slope + 2 * now.decay.astype(theta.dtype) * theta
            return slope + penalty.slope(now, theta) if coupled else slope

        gradient = jax.tree.map(total_slope, gradient, state.params)
        updates, optimizer_state = optimizer(now.learning_rate).update(
            gradient, state.optimizer, state.params
        )
        params = optax.apply_updates(state.params, updates)
        if not coupled:
            params = jax.tree.map(lambda v: penalty.proximal(now, now.learning_rate, v), params)
        penalties = [jnp.sum(penalty.value(now, leaf)) for leaf in jax.tree.leaves(state.params)]
        gradient_norm = optax.tree.norm(gradient)
        info = PenalizedInfo(
            loss_nats=loss_nats,
            penalty_nats=sum(penalties, start=jnp.zeros_like(loss_nats)),
            nonzeros=nonzeros(params),
            gradient_norm=gradient_norm,
            finite=jnp.isfinite(loss_nats) & jnp.isfinite(gradient_norm),
            aux=aux,
        )
        return PenalizedState(params, optimizer_state, state.count + 1, state.hyperparameters), info

    def finalize(state: PenalizedState) -> Params:
        return state.params

    return Method(init, step, finalize)
