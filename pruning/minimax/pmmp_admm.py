"""PMMP with a linear multiplier: the same l0 problem split for ADMM.

    min_{theta, v}  L(theta) + alpha ||v||_0   subject to   theta = v

PMMP's constraint is a square, for which no finite multiplier exists. The linear constraint has one,
lambda = -grad L. The augmented Lagrangian adds lambda^T (theta - v) + (r / 2) ||theta - v||^2, and
in it v = w z, the minimiser over weights and gates together, is a hard threshold of
theta + lambda / r at sqrt(2 alpha / r).

theta takes steps of any optimiser on the data alone, each followed by an implicit step on the two
extra terms, theta <- (theta - eta lambda + eta r v) / (1 + eta r), stable for every r. Every few
steps v is thresholded, lambda <- lambda + r (theta - v), and r is doubled or halved per tensor
where primal and dual residual differ tenfold (Boyd et al. 2011, Eq. 3.13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training import trees
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


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], eta, handed to the optimiser factory.
      strength: Float[], alpha; nats per weight under plain gradient descent, otherwise in units of
        the optimiser's rescaled gradient.
      penalty: Float[], r at the start, per unit of weight in the same units.
    """

    learning_rate: jax.Array | float = 1e-3
    strength: jax.Array | float = 1e-2
    penalty: jax.Array | float = 10.0


@dataclass(frozen=True)
class PmmpAdmmConfig:
    """Static choices.

    Attributes:
      hyperparameters: the values of a run that sweeps nothing.
      steps_per_update: optimiser steps between two updates of v and lambda.
      balancing: whether r follows the residuals; off, since following them misses the optimum of
        a separable quadratic that a fixed r finds.
      largest_ratio: how far r may move from its start, up or down.
      schedule: factors on learning rate and strength.
    """

    hyperparameters: Hyperparameters = Hyperparameters()
    steps_per_update: int = 50
    balancing: bool = False
    largest_ratio: float = 100.0
    schedule: Schedule = Schedule()


class PmmpAdmmState(NamedTuple):
    """What the next step needs.

    Attributes:
      params: theta, dense.
      sparse: v, exactly sparse.
      multipliers: lambda.
      penalties: r, Float[] for each tensor.
      optimizer: the optax optimiser's own state.
      count: Int[], steps done.
      hyperparameters: Float[] each.
    """

    params: Params
    sparse: Params
    multipliers: Params
    penalties: Params
    optimizer: Any
    count: jax.Array
    hyperparameters: Hyperparameters


class PmmpAdmmInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], mean loss of the batch at theta before the step, nats per example.
      nonzeros: Int[], nonzeros of v.
      residual: Float[], ||theta - v||.
      largest_penalty: Float[], max r over the tensors.
      finite: Bool[], whether loss, residual and new parameters were finite.
      aux: the loss's own named scalars.
    """

    loss_nats: jax.Array
    nonzeros: jax.Array
    residual: jax.Array
    largest_penalty: jax.Array
    finite: jax.Array
    aux: dict[str, jax.Array]


class Split(NamedTuple):
    """One tensor's share of the splitting.

    Attributes:
      sparse: v.
      multiplier: lambda.
      penalty: r, Float[].
    """

    sparse: jax.Array
    multiplier: jax.Array
    penalty: jax.Array


def hard_threshold(x: jax.Array, strength: jax.Array, penalty: jax.Array) -> jax.Array:
    """argmin_v alpha 1[v != 0] + (r / 2) (v - x)^2: x where r x^2 / 2 > alpha, else exactly 0."""
    worth = 0.5 * penalty * jnp.square(x)
    return jnp.where((worth > strength) | jnp.isnan(x), x, jnp.zeros_like(x))


def update_split(theta: jax.Array, split: Split, strength: jax.Array) -> tuple[Split, jax.Array]:
    """The minimisation over v and the ascent in lambda for one tensor.

    Args:
      theta: Float[...].
      split: v, lambda, r before the update.
      strength: Float[], alpha.

    Returns:
      The new v and lambda with the old r, and the dual residual ||r (v_new - v_old)||.
    """
    r = split.penalty
    sparse = hard_threshold(theta + split.multiplier / r, strength, r)
    multiplier = split.multiplier + r * (theta - sparse)
    return Split(sparse, multiplier, r), r * jnp.linalg.norm(jnp.ravel(sparse - split.sparse))


def build(config: PmmpAdmmConfig, loss: Loss, optimizer: OptimizerFactory = optax.adam) -> Method:
    """Minimises L(theta) + alpha ||theta||_0 by stochastic ADMM.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser of theta.

    Returns:
      Method with `PmmpAdmmState` and `PmmpAdmmInfo`; finalised parameters are v.

    Raises:
      ValueError: fewer than one step per update, a ratio below 1.
    """
    if config.steps_per_update < 1:
        raise ValueError(f"steps_per_update must be at least 1, got {config.steps_per_update}")
    if not config.largest_ratio >= 1:
        raise ValueError(f"largest_ratio must be at least 1, got {config.largest_ratio}")

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> PmmpAdmmState:
        del key  # nothing is drawn
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        return PmmpAdmmState(
            params=params,
            sparse=params,
            multipliers=jax.tree.map(jnp.zeros_like, params),
            penalties=jax.tree.map(lambda leaf: jnp.asarray(chosen.penalty, leaf.dtype), params),
            optimizer=optimizer(chosen.learning_rate).init(params),
            count=jnp.zeros((), jnp.int32),
            hyperparameters=chosen,
        )

    def step(key: Key, state: PmmpAdmmState, batch: Batch) -> tuple[PmmpAdmmState, PmmpAdmmInfo]:
        now = scheduled(state.hyperparameters, config.schedule, state.count)
        (loss_nats, aux), gradient = jax.value_and_grad(loss, argnums=1, has_aux=True)(
            key, state.params, batch
        )
        updates, optimizer_state = optimizer(now.learning_rate).update(
            gradient, state.optimizer, state.params
        )

        def implicit(theta: jax.Array, v: jax.Array, multiplier: jax.Array, r: jax.Array):
            rate = jnp.asarray(now.learning_rate, theta.dtype)
            return (theta + rate * (r * v - multiplier)) / (1 + rate * r)

        params = jax.tree.map(
            implicit,
            optax.apply_updates(state.params, updates),
            state.sparse,
            state.multipliers,
            state.penalties,
        )
        updating = (state.count + 1) % config.steps_per_update == 0

        def split_step(theta: jax.Array, *old: jax.Array) -> Split:
            before = Split(*old)
            after, dual = update_split(theta, before, jnp.asarray(now.strength, theta.dtype))
            if config.balancing:
                start = jnp.asarray(now.penalty, theta.dtype)
                primal = jnp.linalg.norm(jnp.ravel(theta - after.sparse))
                r = _balanced(before.penalty, primal, dual, start, config.largest_ratio)
                after = after._replace(penalty=r)
            return Split(*(jnp.where(updating, a, b) for a, b in zip(after, before, strict=True)))

        splits = jax.tree.map(split_step, params, state.sparse, state.multipliers, state.penalties)
        sparse, multipliers, penalties = (
            jax.tree.map(lambda s, i=i: s[i], splits, is_leaf=lambda s: isinstance(s, Split))
            for i in range(3)
        )
        residual = optax.tree.norm(jax.tree.map(jnp.subtract, params, sparse))
        info = PmmpAdmmInfo(
            loss_nats=loss_nats,
            nonzeros=trees.nonzeros(sparse),
            residual=residual,
            largest_penalty=jnp.stack(jax.tree.leaves(penalties)).max(),
            finite=jnp.isfinite(loss_nats)
            & jnp.isfinite(residual)
            & all_finite((params, sparse, multipliers)),
            aux=aux,
        )
        new = PmmpAdmmState(
            params,
            sparse,
            multipliers,
            penalties,
            optimizer_state,
            state.count + 1,
            state.hyperparameters,
        )
        return new, info

    def finalize(state: PmmpAdmmState) -> Params:
        return state.sparse

    return Method(init, step, finalize)


def _balanced(
    r: jax.Array, primal: jax.Array, dual: jax.Array, start: jax.Array, largest_ratio: float
) -> jax.Array:
    """Residual balancing: r doubled, halved or kept, within `largest_ratio` of its start."""
    factor = jnp.where(primal > 10 * dual, 2.0, jnp.where(dual > 10 * primal, 0.5, 1.0))
    return jnp.clip(r * factor.astype(r.dtype), start / largest_ratio, start * largest_ratio)
