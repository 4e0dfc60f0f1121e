"""Gradual magnitude pruning (Zhu & Gupta 2017): the control without any penalty.

The share of weights that is zero follows s_t = s_f (1 - (1 - t')^3), t' from 0 to 1 between two
steps (their Eq. 1): at each cycle's end the smallest weights of the whole tree go, for good.

Sorting all weights costs more than a training step, and in a sweep, where no run can skip what
another needs, it would be paid at every step. So a cycle's threshold is found by bisection with
one counting pass for each step.
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
from pruning import leaves
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


class PrunerState(NamedTuple):
    """State of the transformation.

    Attributes:
      mask: Bool tree, weights that are still there; None at leaves that are not pruned.
      bracket: (Float[], Float[]), magnitudes between which the cycle's threshold lies.
      count: Int[], updates done.
    """

    mask: Params
    bracket: tuple[jax.Array, jax.Array]
    count: jax.Array


class MagnitudeState(NamedTuple):
    """What the next step needs.

    Attributes:
      params: the parameters being learned, zero outside the mask.
      pruner: state of the transformation, with the mask.
      optimizer: the optax optimiser's own state.
      hyperparameters: Float[] each.
    """

    params: Params
    pruner: PrunerState
    optimizer: Any
    hyperparameters: Hyperparameters


class MagnitudeInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], mean loss of the batch before the step, nats per example.
      nonzeros: Int[], weights that differ from zero after the step.
      gradient_norm: Float[], global l2 norm of the gradient at the weights left.
      finite: Bool[], whether loss, gradient and new parameters were finite.
      aux: the loss's own named scalars.
    """

    loss_nats: jax.Array
    nonzeros: jax.Array
    gradient_norm: jax.Array
    finite: jax.Array
    aux: dict[str, jax.Array]


def gradual_magnitude(
    schedule: optax.ScalarOrSchedule, mask: leaves.Mask = None
) -> optax.GradientTransformation:
    """Sets ever more of the smallest weights to zero, for good.

    Gradual magnitude pruning (Zhu & Gupta 2017, "To prune, or not to prune", Eq. 1, whose schedule
    is `optax.polynomial_schedule(0.0, final, 3, steps)`), with one threshold for the whole tree
    instead of one for each layer. Stands after the optimiser. Weights go at the end of every
    cycle of 24 steps, so train for at least one cycle after the schedule's end.

    Args:
      schedule: share of the weights that are zero, in [0, 1]; a number, a traced array or a
        function of the number of steps done.
      mask: which leaves are pruned: a tree of bools (or a prefix of one), a function of the params
        that gives one, None for all. Leaves that are no floats are passed through.

    Returns:
      Transformation whose `update` needs `params`; params are exactly zero where pruned.

    Raises:
      ValueError: from `init`, a share that is a number outside [0, 1] or no leaf to prune; from
        `update`, no params.

    >>> import jax.numpy as jnp, optax, pruning
    >>> optimizer = optax.chain(optax.sgd(0.1), pruning.gradual_magnitude(0.5))
    >>> params = {"w": jnp.array([3.0, -0.1, 0.2, 1.0])}
    >>> state = optimizer.init(params)
    >>> for step in range(24):
    ...     updates, state = optimizer.update({"w": jnp.zeros(4)}, state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> print(params["w"])
    [3. 0. 0. 1.]
    """

    def init(params: Params) -> PrunerState:
        pruned = leaves.select(mask, params)
        if not pruned:
            raise ValueError("no leaf of floats to prune; look at the mask")
        if isinstance(schedule, int | float) and not 0 <= schedule <= 1:
            raise ValueError(f"a share of zeros is between 0 and 1, got {schedule}")
        largest = _largest(pruned)
        kept = jax.tree.map(
            lambda leaf, on: jnp.ones(jnp.shape(leaf), bool) if on else None,
            params,
            leaves.chosen(mask, params),
        )
        return PrunerState(kept, (jnp.zeros_like(largest), largest), jnp.zeros((), jnp.int32))

    def update(updates: Params, state: PrunerState, params: Params | None = None):
        if params is None:
            raise ValueError("magnitude pruning needs the params: update(updates, state, params)")
        old = [jnp.asarray(leaf) for leaf in leaves.select(mask, params)]
        masks = jax.tree.leaves(state.mask)
        steps = _at(mask, params, updates)
        moved = [
            jnp.where(kept, (theta + step).astype(theta.dtype), jnp.zeros_like(theta))
            for theta, step, kept in zip(old, steps, masks, strict=True)
        ]
        last_of_cycle = state.count // CYCLE_STEPS * CYCLE_STEPS + CYCLE_STEPS - 1
        zeros: Any = schedule(last_of_cycle) if callable(schedule) else schedule
        target = jnp.ceil((1 - zeros) * sum(leaf.size for leaf in old))
        low, high = state.bracket
        middle = (low + high) / 2
        too_many = _count_above(moved, middle) > target
        low, high = jnp.where(too_many, middle, low), jnp.where(too_many, high, middle)
        cycle_ends = state.count == last_of_cycle
        # Until a cycle ends, the threshold is 0 and nothing goes.
        threshold = jnp.where(cycle_ends, high, jnp.zeros_like(high))
        # NaN is below no threshold: it must stay to be seen, not turn into a healthy zero.
        masks = [
            kept & ~(jnp.abs(theta) < threshold.astype(theta.dtype))
            for kept, theta in zip(masks, moved, strict=True)
        ]
        moved = trees.masked(moved, masks)
        bracket = (
            jnp.where(cycle_ends, jnp.zeros_like(low), low),
            jnp.where(cycle_ends, _largest(moved), high),
        )
        changes = iter([new - theta for new, theta in zip(moved, old, strict=True)])
        updates = leaves.map_chosen(lambda theta, step: next(changes), mask, params, updates)
        kept = jax.tree.unflatten(jax.tree.structure(state.mask), masks)
        return updates, PrunerState(kept, bracket, state.count + 1)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


def build(
    config: MagnitudeConfig,
    loss: Loss,
    optimizer: OptimizerFactory = optax.adam,
    mask: leaves.Mask = None,
) -> Method:
    """Minimises E[loss] over weights of which ever fewer are allowed to differ from zero.

    An adapter around `gradual_magnitude`.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser.
      mask: which leaves are pruned; see `leaves.chosen`.

    Returns:
      Method with `MagnitudeState` and `MagnitudeInfo`; finalised parameters keep at most
      `ceil(kept_share n)` weights, equal magnitudes aside.
    """

    def zero_share(hyperparameters: Hyperparameters, count: Any) -> jax.Array:
        return (1 - hyperparameters.kept_share) * (1 - (1 - config.ramp(count)) ** 3)

    def pruner(hyperparameters: Hyperparameters) -> optax.GradientTransformation:
        return gradual_magnitude(lambda count: zero_share(hyperparameters, count), mask)

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> MagnitudeState:
        del key  # nothing is drawn
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        initial: Any = pruner(chosen).init(params)
        return MagnitudeState(
            params=params,
            pruner=initial,
            optimizer=optimizer(chosen.learning_rate).init(params),
            hyperparameters=chosen,
        )

    def step(key: Key, state: MagnitudeState, batch: Batch) -> tuple[MagnitudeState, MagnitudeInfo]:
        now = scheduled(state.hyperparameters, config.schedule, state.pruner.count)
        (loss_nats, aux), gradient = jax.value_and_grad(loss, argnums=1, has_aux=True)(
            key, state.params, batch
        )
        gradient = jax.tree.map(
            lambda g, kept: g if kept is None else g * kept.astype(g.dtype),
            gradient,
            state.pruner.mask,
        )
        updates, optimizer_state = optimizer(now.learning_rate).update(
            gradient, state.optimizer, state.params
        )
        updates, pruned = pruner(now).update(updates, state.pruner, state.params)
        params = optax.apply_updates(state.params, updates)
        gradient_norm = optax.tree.norm(gradient)
        info = MagnitudeInfo(
            loss_nats=loss_nats,
            nonzeros=trees.nonzeros(params),
            gradient_norm=gradient_norm,
            finite=jnp.isfinite(loss_nats) & jnp.isfinite(gradient_norm) & all_finite(params),
            aux=aux,
        )
        pruner_state: Any = pruned
        new = MagnitudeState(params, pruner_state, optimizer_state, state.hyperparameters)
        return new, info

    def finalize(state: MagnitudeState) -> Params:
        weights = leaves.select(mask, state.params)
        zeros = zero_share(state.hyperparameters, jnp.asarray(config.ramp.last))
        n_kept = jnp.ceil((1 - zeros) * trees.size(weights)).astype(jnp.int32)
        threshold = trees.threshold_keeping(trees.magnitudes(weights), n_kept)
        weights = trees.masked(weights, trees.mask_above(weights, threshold))
        return leaves.replace(mask, state.params, weights)

    return Method(init, step, finalize)


def _at(mask: leaves.Mask, params: Params, updates: Params) -> list[jax.Array]:
    """The updates of the chosen leaves."""
    wanted = leaves.chosen(mask, params)
    found = jax.tree.map(
        lambda step, on: step if on is True else None, updates, wanted, is_leaf=lambda x: x is None
    )
    return jax.tree.leaves(found)


def _largest(weights: list[jax.Array]) -> jax.Array:
    dtype = jnp.promote_types(jnp.float32, jnp.result_type(*weights))
    return jnp.stack([jnp.max(jnp.abs(leaf)).astype(dtype) for leaf in weights]).max()


def _count_above(weights: list[jax.Array], threshold: jax.Array) -> jax.Array:
    counts = [jnp.count_nonzero(jnp.abs(leaf) >= threshold) for leaf in weights]
    return sum(counts, start=jnp.zeros((), jnp.int32))
