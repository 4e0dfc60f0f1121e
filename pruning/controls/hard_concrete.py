"""Hard-concrete l0 (Louizos, Welling & Kingma 2018): the Monte-Carlo method PMMP wants to avoid.

    min_{w, log alpha}  E_z L(w z) + lambda sum_i P(z_i != 0)

z = clip(s (zeta - gamma) + gamma, 0, 1) is a stretched and clipped binary concrete variable
s = sigmoid((log u - log(1 - u) + log alpha) / b) (Eqs. 10, 11), with b = 2/3, gamma = -0.1 and
zeta = 1.1, for which P(z != 0) = sigmoid(log alpha - b log(-gamma / zeta)) (Eq. 12).
One gate for each weight, one draw for each step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

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
from pruning.schedule import Schedule, scheduled

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
"""b, gamma and zeta of Louizos, Welling & Kingma."""

_OPEN_SHIFT = TEMPERATURE * math.log(-LOW / HIGH)


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], handed to the optimiser factory for the weights.
      gate_rate: Float[], times `learning_rate` for the gates, which have to cross several units
        while weights move by tenths.
      strength: Float[], lambda, nats per expected open gate.
      initial_open: Float[] in (0, 1), P(z != 0) at the start.
    """

    learning_rate: jax.Array | float = 1e-3
    gate_rate: jax.Array | float = 10.0
    strength: jax.Array | float = 1e-5
    initial_open: jax.Array | float = 0.9


@dataclass(frozen=True)
class HardConcreteConfig:
    """Static choices.

    Attributes:
      hyperparameters: the values of a run that sweeps nothing.
      schedule: factors on learning rate and strength.
    """

    hyperparameters: Hyperparameters = Hyperparameters()
    schedule: Schedule = Schedule()


class Variables(NamedTuple):
    """What is learned, each a tree with the structure of the parameters.

    Attributes:
      weights: w.
      locations: log alpha of each gate.
    """

    weights: Params
    locations: Params


class HardConcreteState(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: weights and gates.
      optimizer: the optax optimiser's own states, of the weights and of the gates.
      count: Int[], steps done.
      hyperparameters: Float[] each.
    """

    variables: Variables
    optimizer: Any
    count: jax.Array
    hyperparameters: Hyperparameters


class HardConcreteInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], mean loss of the batch at the drawn gates, nats per example.
      expected_nonzeros: Float[], sum of P(z != 0).
      gradient_norm: Float[], global l2 norm of the gradient.
      finite: Bool[], whether loss, gradient and new variables were finite.
      aux: the loss's own named scalars.
    """

    loss_nats: jax.Array
    expected_nonzeros: jax.Array
    gradient_norm: jax.Array
    finite: jax.Array
    aux: dict[str, jax.Array]


def open_probability(location: jax.Array) -> jax.Array:
    """P(z != 0), elementwise."""
    return jax.nn.sigmoid(location - _OPEN_SHIFT)


def draw_gate(key: Key, location: jax.Array) -> jax.Array:
    """One draw of z for each gate, differentiable in the location."""
    uniform = jax.random.uniform(key, location.shape, location.dtype, minval=1e-6, maxval=1 - 1e-6)
    noise = jnp.log(uniform) - jnp.log1p(-uniform)
    stretched = jax.nn.sigmoid((noise + location) / TEMPERATURE) * (HIGH - LOW) + LOW
    return jnp.clip(stretched, 0, 1)


def settled_gate(location: jax.Array) -> jax.Array:
    """The gate used after training, clip(sigmoid(log alpha) (zeta - gamma) + gamma, 0, 1)."""
    return jnp.clip(jax.nn.sigmoid(location) * (HIGH - LOW) + LOW, 0, 1)


def build(
    config: HardConcreteConfig, loss: Loss, optimizer: OptimizerFactory = optax.adam
) -> Method:
    """Minimises E_z L(w z) + lambda sum P(z != 0) by reparametrised gradients.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser, made once for weights and once for gates.

    Returns:
      Method with `HardConcreteState` and `HardConcreteInfo`; finalised parameters are the weights
      times their settled gates, many of which are exactly zero.
    """

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> HardConcreteState:
        del key  # gates are drawn at each step
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        start = jax.scipy.special.logit(chosen.initial_open) + _OPEN_SHIFT
        locations = jax.tree.map(
            lambda leaf: jnp.broadcast_to(start.astype(leaf.dtype), leaf.shape), params
        )
        rates = _rates(chosen)
        states = (optimizer(rates[0]).init(params), optimizer(rates[1]).init(locations))
        variables = Variables(params, locations)
        return HardConcreteState(variables, states, jnp.zeros((), jnp.int32), chosen)

    def step(
        key: Key, state: HardConcreteState, batch: Batch
    ) -> tuple[HardConcreteState, HardConcreteInfo]:
        now = scheduled(state.hyperparameters, config.schedule, state.count)
        key_gates, key_loss = jax.random.split(key)

        def objective(variables: Variables):
            leaves, structure = jax.tree.flatten(variables.locations)
            keys = jax.random.split(key_gates, len(leaves))
            gates = [draw_gate(k, leaf) for k, leaf in zip(keys, leaves, strict=True)]
            gated = jax.tree.map(
                jnp.multiply, variables.weights, jax.tree.unflatten(structure, gates)
            )
            loss_nats, aux = loss(key_loss, gated, batch)
            expected = jnp.stack([jnp.sum(open_probability(leaf)) for leaf in leaves]).sum()
            return loss_nats + now.strength * expected, (loss_nats, expected, aux)

        (_, (loss_nats, expected, aux)), gradient = jax.value_and_grad(objective, has_aux=True)(
            state.variables
        )
        moved, states = [], []
        for rate, gradients, optimizer_state, tree in zip(
            _rates(now), gradient, state.optimizer, state.variables, strict=True
        ):
            updates, new_state = optimizer(rate).update(gradients, optimizer_state, tree)
            moved.append(optax.apply_updates(tree, updates))
            states.append(new_state)
        gradient_norm = optax.tree.norm(gradient)
        info = HardConcreteInfo(
            loss_nats=loss_nats,
            expected_nonzeros=expected,
            gradient_norm=gradient_norm,
            finite=jnp.isfinite(loss_nats) & jnp.isfinite(gradient_norm) & all_finite(moved),
            aux=aux,
        )
        variables = Variables(*moved)
        new = HardConcreteState(variables, tuple(states), state.count + 1, state.hyperparameters)
        return new, info

    def finalize(state: HardConcreteState) -> Params:
        return jax.tree.map(
            lambda w, location: w * settled_gate(location),
            state.variables.weights,
            state.variables.locations,
        )

    return Method(init, step, finalize)


def _rates(hyperparameters: Hyperparameters) -> tuple[Any, Any]:
    """Learning rates of the weights and of the gates."""
    rate = hyperparameters.learning_rate
    return rate, rate * hyperparameters.gate_rate
