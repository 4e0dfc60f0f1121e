"""Training under a separable penalty: what DRR and the relaxed lasso share.

A penalty alpha sum_i phi(theta_i) enters in one of two ways:

* `coupled`, as published: its gradient is added to the data gradient and both pass through the
  optimiser. Adam then divides the penalty by the size of the gradients too, and since phi' has no
  zero at zero, no weight becomes exactly zero.
* `proximal`: the optimiser sees the data alone, and its result v is followed by
  argmin_x 1/2 (x - v)^2 + eta alpha phi(x), eta the learning rate. Weights become exactly zero.
  Under plain gradient descent this minimises the same objective; under an optimiser that rescales
  gradients, alpha is a price in units of the rescaled gradient.

`Penalty` and `proximal` are the two as optax transformations, `build` the `Method` made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

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
from fewbits.training.trees import nonzeros
from pruning import leaves
from pruning.schedule import Schedule, scheduled

Update = Literal["coupled", "proximal"]
"""How the penalty enters a step."""

Hyperparameters = Any
"""A NamedTuple with at least `learning_rate`, `strength` and `decay`."""


class Formula(NamedTuple):
    """A separable penalty; every function is elementwise and takes the hyperparameters first.

    Attributes:
      value: (hyperparameters, theta) -> alpha phi(theta).
      slope: (hyperparameters, theta) -> alpha phi'(theta), 0 at theta = 0.
      proximal: (hyperparameters, rate, v) -> argmin_x 1/2 (x - v)^2 + rate alpha phi(x).
    """

    value: Callable[[Hyperparameters, jax.Array], jax.Array]
    slope: Callable[[Hyperparameters, jax.Array], jax.Array]
    proximal: Callable[[Hyperparameters, jax.Array, jax.Array], jax.Array]


class PenaltyState(NamedTuple):
    """State of a penalty's transformation.

    Attributes:
      count: Int[], updates done.
    """

    count: jax.Array


class ProximalState(NamedTuple):
    """State of `proximal`.

    Attributes:
      count: Int[], updates done.
      optimizer: the wrapped optimiser's own state.
    """

    count: jax.Array
    optimizer: Any


class Penalty(optax.GradientTransformation):
    """Adds a penalty's gradient to the updates; `proximal` uses its proximal map instead.

    Attributes:
      formula: the penalty.
      at: number of updates done, Int[] -> hyperparameters.
      mask: which leaves are penalised; see `leaves.chosen`.
    """

    formula: Formula
    at: Callable[[jax.Array], Hyperparameters]
    mask: leaves.Mask

    def __new__(
        cls, formula: Formula, at: Callable[[jax.Array], Hyperparameters], mask: leaves.Mask = None
    ) -> Penalty:
        """Makes the two functions of the transformation."""

        def init(params: Params) -> PenaltyState:
            del params
            return PenaltyState(jnp.zeros((), jnp.int32))

        def update(updates: Params, state: PenaltyState, params: Params | None = None):
            now = at(state.count)

            def add(theta: jax.Array, slope: jax.Array) -> jax.Array:
                return slope + formula.slope(now, theta).astype(slope.dtype)

            updates = leaves.map_chosen(add, mask, _given(params), updates)
            return updates, PenaltyState(state.count + 1)

        self = super().__new__(cls, init, update)  # type: ignore[arg-type]
        self.formula, self.at, self.mask = formula, at, mask
        return self


def proximal(
    optimizer: optax.GradientTransformation,
    penalty: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    mask: leaves.Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """Follows each step of an optimiser by the penalty's proximal step, at the optimiser's rate.

    theta <- argmin_x 1/2 (x - v)^2 + eta alpha phi(x), v being where the optimiser goes and eta its
    learning rate (Parikh & Boyd 2014, section 4.2). Weights become exactly zero. Under plain
    gradient descent this minimises loss + alpha sum phi; under Adam, which rescales the gradient
    and not the penalty, alpha is in units of the rescaled gradient (about 1), and the objective
    is not exactly that one.

    Args:
      optimizer: sees the gradient of the loss alone.
      penalty: from `drr` or `relaxed_lasso`.
      learning_rate: the same number or schedule that the optimiser has.
      mask: which leaves are penalised, a tree of bools (or a prefix) or a function of the params
        that gives one; None for those of the penalty.

    Returns:
      Transformation that stands where the optimiser stood; `update` needs `params`.

    Raises:
      TypeError: a penalty that is none.
      ValueError: from `init`, where the optimiser has a schedule and `learning_rate` is a number:
        the steps would go on penalising while the optimiser's rate falls to zero.

    >>> import jax.numpy as jnp, optax, pruning
    >>> schedule = optax.cosine_decay_schedule(0.1, 100)
    >>> optimizer = pruning.proximal(optax.sgd(schedule), pruning.relaxed_lasso(0.5), schedule)
    >>> params = {"w": jnp.array([2.0, 0.03])}
    >>> state = optimizer.init(params)
    >>> updates, state = optimizer.update({"w": jnp.zeros(2)}, state, params)
    >>> print(optax.apply_updates(params, updates)["w"])
    [1.95 0.  ]
    """
    if not isinstance(penalty, Penalty):
        raise TypeError("a penalty comes from pruning.drr or pruning.relaxed_lasso")
    wrapped = optax.with_extra_args_support(optimizer)
    where = penalty.mask if mask is None else mask

    def init(params: Params) -> ProximalState:
        state = wrapped.init(params)
        if not callable(learning_rate) and _has_schedule(state):
            raise ValueError(
                "the optimiser's learning rate is a schedule; give the same one to the proximal "
                "step (a pruning Method takes it as its config's schedule)"
            )
        return ProximalState(jnp.zeros((), jnp.int32), state)

    def update(updates: Params, state: ProximalState, params: Params | None = None, **extra: Any):
        updates, inner = wrapped.update(updates, state.optimizer, params, **extra)
        rate: Any = learning_rate(state.count) if callable(learning_rate) else learning_rate
        now = penalty.at(state.count)

        def step(theta: jax.Array, change: jax.Array) -> jax.Array:
            v = (theta + change).astype(theta.dtype)
            # theta + (0 - theta) is exactly zero.
            return penalty.formula.proximal(now, jnp.asarray(rate), v) - theta

        updates = leaves.map_chosen(step, where, _given(params), updates)
        return updates, ProximalState(state.count + 1, inner)

    return optax.GradientTransformationExtraArgs(init, update)  # type: ignore[arg-type]


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
    config: Config,
    formula: Formula,
    loss: Loss,
    optimizer: OptimizerFactory = optax.adam,
    mask: leaves.Mask = None,
) -> Method:
    """Minimises E[loss(theta, batch)] + alpha sum_i phi(theta_i) + rho ||theta||^2.

    An adapter around `Penalty` and `proximal`.

    Args:
      config: static choices and default hyperparameters.
      formula: alpha phi.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser; the state's structure must not depend on the
        rate's value. A schedule belongs into the config.
      mask: which leaves are penalised; see `leaves.chosen`.

    Returns:
      Method with `PenalizedState` and `PenalizedInfo`; its hyperparameter `decay` is rho, whose
      gradient always goes through the optimiser.

    Raises:
      ValueError: an unknown way of updating; from `init`, an optimiser with a schedule of its own
        under a proximal update.
    """
    if config.update not in ("coupled", "proximal"):
        raise ValueError(f"update must be 'coupled' or 'proximal', got {config.update!r}")
    coupled = config.update == "coupled"

    def penalty_at(now: Hyperparameters) -> Penalty:
        return Penalty(formula, lambda count: now, mask)

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> PenalizedState:
        del key  # nothing is drawn
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        rate = chosen.learning_rate
        if coupled:
            optimizer_state = optimizer(rate).init(params)
        else:
            wrapped = proximal(optimizer(rate), penalty_at(chosen), rate)
            optimizer_state = wrapped.init(params).optimizer  # type: ignore[attr-defined]
        return PenalizedState(params, optimizer_state, jnp.zeros((), jnp.int32), chosen)

    def step(key: Key, state: PenalizedState, batch: Batch) -> tuple[PenalizedState, PenalizedInfo]:
        now = scheduled(state.hyperparameters, config.schedule, state.count)
        (loss_nats, aux), gradient = jax.value_and_grad(loss, argnums=1, has_aux=True)(
            key, state.params, batch
        )
        gradient = jax.tree.map(
            lambda slope, theta: slope + 2 * now.decay.astype(theta.dtype) * theta,
            gradient,
            state.params,
        )
        rate, penalty = now.learning_rate, penalty_at(now)
        if coupled:
            gradient, _ = penalty.update(gradient, PenaltyState(state.count), state.params)
            updates, optimizer_state = optimizer(rate).update(
                gradient, state.optimizer, state.params
            )
        else:
            stepping = proximal(optimizer(rate), penalty, rate)
            updates, after = stepping.update(
                gradient, ProximalState(state.count, state.optimizer), state.params
            )
            optimizer_state = after.optimizer  # type: ignore[attr-defined]
        params = optax.apply_updates(state.params, updates)
        penalties = leaves.map_chosen(
            lambda theta, _: jnp.sum(formula.value(now, theta)),
            mask,
            state.params,
            jax.tree.map(lambda _: jnp.zeros(()), state.params),
        )
        gradient_norm = optax.tree.norm(gradient)
        info = PenalizedInfo(
            loss_nats=loss_nats,
            penalty_nats=sum(jax.tree.leaves(penalties), start=jnp.zeros_like(loss_nats)),
            nonzeros=nonzeros(params),
            gradient_norm=gradient_norm,
            finite=jnp.isfinite(loss_nats) & jnp.isfinite(gradient_norm) & all_finite(params),
            aux=aux,
        )
        return PenalizedState(params, optimizer_state, state.count + 1, state.hyperparameters), info

    def finalize(state: PenalizedState) -> Params:
        return state.params

    return Method(init, step, finalize)


def value_at(number_or_schedule: Any, count: jax.Array) -> Any:
    """A number, or a schedule's at this count."""
    return number_or_schedule(count) if callable(number_or_schedule) else number_or_schedule


def _given(params: Params | None) -> Params:
    if params is None:
        raise ValueError("a penalty needs the params: update(updates, state, params)")
    return params


def _has_schedule(state: Any) -> bool:
    """Whether an optimiser's state counts steps for a schedule."""
    kind = optax.ScaleByScheduleState
    return any(
        isinstance(leaf, kind)
        for leaf in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))
    )
