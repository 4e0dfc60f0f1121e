"""Gradual magnitude pruning (Zhu & Gupta 2017): the control without any penalty.

The share of weights that is zero follows s_t = s_f (1 - (1 - t')^3), t' from 0 to 1 between two
steps (their Eq. 1): at each cycle's end the smallest weights of the whole tree go, for good.

Sorting all weights costs more than a training step, and in a sweep, where no lane can skip what
another needs, it would be paid at every step. So a cycle's threshold is found by bisection with
one counting pass for each step, and only `finalize` sorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training import trees
from fewbits.training.method import Batch, Key, Loss, Method, OptimizerFactory, Params, as_arrays
from pruning.schedule import Ramp, Schedule, scheduled

CYCLE_STEPS = 24
"""Steps of a cycle: bisecting 24 times leaves 6e-8 of the largest magnitude."""


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], handed to the optimiser factory.
      kept_share: Float[] in [0, 1], share of the weights that remain.
    """

    learning_rate: jax.Array | float = 1e-3
    kept_share: jax.Array | float = 0.05


@dataclass(frozen=True)
class MagnitudeConfig:
    """Static choices.

    Attributes:
      hyperparameters: the values of a run that sweeps nothing.
      ramp: steps at which pruning begins and at which the final share is reached.
      schedule: factors on the learning rate.
    """

    hyperparameters: Hyperparameters = Hyperparameters()
    ramp: Ramp = Ramp(0, 1000)
    schedule: Schedule = Schedule()


class MagnitudeState(NamedTuple):
    """What the next step needs.

    Attributes:
      params: the parameters being learned, zero outside the mask.
      mask: Bool tree, weights that are still there.
      bracket: (Float[], Float[]), magnitudes between which the cycle's threshold lies.
      optimizer: the optax optimiser's own state.
      count: Int[], steps done.
      hyperparameters: Float[] each.
    """

    params: Params
    mask: Params
    bracket: tuple[jax.Array, jax.Array]
    optimizer: Any
    count: jax.Array
    hyperparameters: Hyperparameters


class MagnitudeInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], mean loss of the batch before the step, nats per example.
      nonzeros: Int[], weights that differ from zero after the step.
      gradient_norm: Float[], global l2 norm of the gradient at the kept weights.
      finite: Bool[], whether loss and gradient were finite.
      aux: the loss's own named scalars.
    """

    loss_nats: jax.Array
    nonzeros: jax.Array
    gradient_norm: jax.Array
    finite: jax.Array
    aux: dict[str, jax.Array]


def build(config: MagnitudeConfig, loss: Loss, optimizer: OptimizerFactory = optax.adam) -> Method:
    """Minimises E[loss] over weights of which ever fewer are allowed to differ from zero.

    Differs from the paper: one threshold for the whole tree instead of one for each layer.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser.

    Returns:
      Method with `MagnitudeState` and `MagnitudeInfo`; finalised parameters keep at most
      `ceil(kept_share n)` weights, equal magnitudes aside.
    """

    def kept_number(now: Hyperparameters, count: jax.Array, n: int) -> jax.Array:
        progress = config.ramp(count)
        pruned_share = (1 - now.kept_share) * (1 - (1 - progress) ** 3)
        return jnp.ceil((1 - pruned_share) * n)

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> MagnitudeState:
        del key  # nothing is drawn
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        return MagnitudeState(
            params=params,
            mask=jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params),
            bracket=(jnp.zeros_like(_largest(params)), _largest(params)),
            optimizer=optimizer(chosen.learning_rate).init(params),
            count=jnp.zeros((), jnp.int32),
            hyperparameters=chosen,
        )

    def step(key: Key, state: MagnitudeState, batch: Batch) -> tuple[MagnitudeState, MagnitudeInfo]:
        now = scheduled(state.hyperparameters, config.schedule, state.count)
        (loss_nats, aux), gradient = jax.value_and_grad(loss, argnums=1, has_aux=True)(
            key, state.params, batch
        )
        gradient = jax.tree.map(lambda g, kept: g * kept.astype(g.dtype), gradient, state.mask)
        updates, optimizer_state = optimizer(now.learning_rate).update(
            gradient, state.optimizer, state.params
        )
        params = trees.masked(optax.apply_updates(state.params, updates), state.mask)

        last_of_cycle = state.count // CYCLE_STEPS * CYCLE_STEPS + CYCLE_STEPS - 1
        target = kept_number(now, last_of_cycle, trees.size(params))
        low, high = state.bracket
        middle = (low + high) / 2
        too_many = _count_above(params, middle) > target
        low, high = jnp.where(too_many, middle, low), jnp.where(too_many, high, middle)
        cycle_ends = state.count == last_of_cycle
        # Until a cycle ends, the threshold is 0 and nothing goes.
        threshold = jnp.where(cycle_ends, high, jnp.zeros_like(high))
        mask = jax.tree.map(
            lambda kept, leaf: kept & (jnp.abs(leaf) >= threshold.astype(leaf.dtype)),
            state.mask,
            params,
        )
        params = trees.masked(params, mask)
        bracket = (
            jnp.where(cycle_ends, jnp.zeros_like(low), low),
            jnp.where(cycle_ends, _largest(params), high),
        )
        gradient_norm = optax.tree.norm(gradient)
        info = MagnitudeInfo(
            loss_nats=loss_nats,
            nonzeros=trees.nonzeros(params),
            gradient_norm=gradient_norm,
            finite=jnp.isfinite(loss_nats) & jnp.isfinite(gradient_norm),
            aux=aux,
        )
        new = MagnitudeState(
            params, mask, bracket, optimizer_state, state.count + 1, state.hyperparameters
        )
        return new, info

    def finalize(state: MagnitudeState) -> Params:
        n_kept = kept_number(
            state.hyperparameters, jnp.asarray(config.ramp.last), trees.size(state.params)
        )
        magnitudes = trees.sorted_magnitudes(state.params)
        threshold = trees.threshold_keeping(magnitudes, n_kept.astype(jnp.int32))
        return trees.masked(state.params, trees.mask_above(state.params, threshold))

    return Method(init, step, finalize)


def _largest(params: Params) -> jax.Array:
    return jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(params)]).max()


def _count_above(params: Params, threshold: jax.Array) -> jax.Array:
    counts = [jnp.count_nonzero(jnp.abs(leaf) >= threshold) for leaf in jax.tree.leaves(params)]
    return sum(counts, start=jnp.zeros((), jnp.int32))
