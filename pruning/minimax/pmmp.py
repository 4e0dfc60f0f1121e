"""PMMP, probabilistic minimax pruning (arXiv 2505.17469), and FPP, its averaged form.

    min_{theta, w, gamma in [0,1]^n}  max_u   L(theta) + alpha sum_i gamma_i
        + sum_i u_i [ (theta_i - w_i gamma_i)^2 + w_i^2 gamma_i (1 - gamma_i) ]      (Eq. 10)

The bracket is E (theta_i - w_i z_i)^2 for z_i ~ Bernoulli(gamma_i), so it vanishes only where
theta_i = w_i z_i for sure. Published: all four move at once, by one call of one optimiser with one
learning rate, theta, w and gamma down, u up; gamma is clipped to [0, 1], u is not projected.
`pmmp_game` has that as optax; this is the `Method` around it, and FPP's averages.

The constraint is a square. Its gradient vanishes where it holds, so no finite multiplier does:
u only ever grows, and what is dropped depends on how fast. `pmmp_curvature` and `pmmp_admm`
keep the exactness without that race.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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
from pruning.minimax.pmmp_game import (
    Variables,
    lagrangian,
    pmmp_optimizer,
    pmmp_params,
    pmmp_variables,
    violation,
)
from pruning.schedule import Schedule, scheduled

Averaging = Literal["none", "mean", "exponential"]
"""What a player plays against: the other's last move, the mean of all moves, or a fading mean."""


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], handed to the optimiser factory.
      strength: Float[], alpha, nats per weight.
      initial_gate: Float[] in [0, 1], gamma at the start (published as `p_init`).
      initial_multiplier: Float[], u at the start (`u_init`).
    """

    learning_rate: jax.Array | float = 1e-3
    strength: jax.Array | float = 1e-5
    initial_gate: jax.Array | float = 1.0
    initial_multiplier: jax.Array | float = 1.0


@dataclass(frozen=True)
class PmmpConfig:
    """Static choices.

    Attributes:
      hyperparameters: the values of a run that sweeps nothing.
      averaging: `none` is PMMP as published; `mean` and `exponential` are FPP.
      memory: share that a new move has in the fading mean.
      steps_per_average: steps between two moves that enter the averages.
      schedule: factors on learning rate and strength.
    """

    hyperparameters: Hyperparameters = Hyperparameters()
    averaging: Averaging = "none"
    memory: float = 0.01
    steps_per_average: int = 1
    schedule: Schedule = Schedule()


class PmmpState(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the last moves.
      averages: running averages of the moves; None for PMMP, which has none.
      optimizer: the optax optimiser's own state, over all four tensors.
      count: Int[], steps done.
      hyperparameters: Float[] each.
    """

    variables: Variables
    averages: Variables | None
    optimizer: Any
    count: jax.Array
    hyperparameters: Hyperparameters


class PmmpInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], mean loss of the batch before the step, nats per example.
      expected_nonzeros: Float[], sum of the gates.
      fractional_gates: Float[], share of gates in (0.1, 0.9); published runs also wait for 1 %.
      violation: Float[], sum of the squared constraint.
      largest_multiplier: Float[], max u.
      finite: Bool[], whether loss, violation and new variables were finite.
      aux: the loss's own named scalars.
    """

    loss_nats: jax.Array
    expected_nonzeros: jax.Array
    fractional_gates: jax.Array
    violation: jax.Array
    largest_multiplier: jax.Array
    finite: jax.Array
    aux: dict[str, jax.Array]


def build(config: PmmpConfig, loss: Loss, optimizer: OptimizerFactory = optax.adam) -> Method:
    """Plays Eq. 10 by simultaneous gradient steps, against last moves (PMMP) or averages (FPP).

    In FPP theta, w and gamma descend against the average of u, and u ascends on the constraint
    at the averages of theta, w and gamma. Differs from the authors' program: the network's
    gradient is taken at the last theta in both, and no l1 or l2 term is added.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser of all four tensors.

    Returns:
      Method with `PmmpState` and `PmmpInfo`; finalised parameters are theta where gamma > 0.

    Raises:
      ValueError: an unknown averaging, a memory outside (0, 1], fewer than one step per average.
    """
    if config.averaging not in ("none", "mean", "exponential"):
        raise ValueError(f"averaging is none, mean or exponential, got {config.averaging!r}")
    if not 0 < config.memory <= 1:
        raise ValueError(f"memory must be in (0, 1], got {config.memory}")
    if config.steps_per_average < 1:
        raise ValueError(f"steps_per_average must be at least 1, got {config.steps_per_average}")

    def init(key: Key, params: Params, hyperparameters: Hyperparameters | None = None) -> PmmpState:
        del key  # nothing is drawn
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        variables = pmmp_variables(
            params,
            initial_gate=chosen.initial_gate,
            initial_multiplier=chosen.initial_multiplier,
        )
        return PmmpState(
            variables=variables,
            averages=None if config.averaging == "none" else variables,
            optimizer=pmmp_optimizer(optimizer(chosen.learning_rate)).init(variables),
            count=jnp.zeros((), jnp.int32),
            hyperparameters=chosen,
        )

    def step(key: Key, state: PmmpState, batch: Batch) -> tuple[PmmpState, PmmpInfo]:
        now = scheduled(state.hyperparameters, config.schedule, state.count)
        variables = state.variables
        (loss_nats, aux), data_gradient = jax.value_and_grad(loss, argnums=1, has_aux=True)(
            key, variables.network, batch
        )
        opposing = variables if state.averages is None else state.averages
        gradient = jax.grad(lagrangian, argnums=1)(
            now.strength, variables._replace(multipliers=opposing.multipliers)
        )
        gradient = gradient._replace(
            network=jax.tree.map(jnp.add, data_gradient, gradient.network),
            multipliers=violation(opposing),  # in FPP at the averages
        )
        updates, optimizer_state = pmmp_optimizer(optimizer(now.learning_rate)).update(
            gradient, state.optimizer, variables
        )
        moved: Variables = optax.apply_updates(variables, updates)  # type: ignore[assignment]
        info = _info(loss_nats, aux, variables)
        info = info._replace(finite=info.finite & all_finite(moved))
        averages = _averaged(config, state.averages, moved, state.count)
        new = PmmpState(moved, averages, optimizer_state, state.count + 1, state.hyperparameters)
        return new, info

    def finalize(state: PmmpState) -> Params:
        return pmmp_params(state.variables)

    return Method(init, step, finalize)


def _averaged(
    config: PmmpConfig, averages: Variables | None, moved: Variables, count: jax.Array
) -> Variables | None:
    """Averages after the moves of step `count` (from 0)."""
    if averages is None:
        return None
    every = config.steps_per_average
    if config.averaging == "mean":
        share = 1 / ((count + 1) // every + 1)  # the starting point is one of the moves
    else:
        share = jnp.asarray(config.memory)
    share = jnp.where((count + 1) % every == 0, share, 0.0)
    return jax.tree.map(
        lambda old, new: old + share.astype(old.dtype) * (new - old), averages, moved
    )


def _info(loss_nats: jax.Array, aux: dict[str, jax.Array], variables: Variables) -> PmmpInfo:
    gates = jax.tree.leaves(variables.gates)
    n_gates = sum(gate.size for gate in gates)
    fractional_gates = sum(jnp.count_nonzero((gate > 0.1) & (gate < 0.9)) for gate in gates)
    squared = jnp.stack([jnp.sum(leaf) for leaf in jax.tree.leaves(violation(variables))]).sum()
    return PmmpInfo(
        loss_nats=loss_nats,
        expected_nonzeros=jnp.stack([jnp.sum(gate) for gate in gates]).sum(),
        fractional_gates=jnp.asarray(fractional_gates / n_gates),
        violation=squared,
        largest_multiplier=jnp.stack(
            [jnp.max(leaf) for leaf in jax.tree.leaves(variables.multipliers)]
        ).max(),
        finite=jnp.isfinite(loss_nats) & jnp.isfinite(squared),
        aux=aux,
    )
