"""Regularise, threshold, fine-tune: three phases as one pure function.

Those of Barth & von Petersenn, "Efficient compression of neural networks and datasets" (arXiv
2505.17469):

1. A method is run to get parameters in which most weights are small or zero.
2. Those are cut at the largest threshold that a validation objective tolerates, and what the cut
   has left without a path from input to output is removed.
3. The remaining weights are trained on, the mask fixed, without a penalty.

`sweep` vmaps it over strengths, tolerances and seeds, all in one program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training import gradient_descent, loop, trees
from fewbits.training.method import (
    Batch,
    Hyperparameters,
    Key,
    Loss,
    Method,
    OptimizerFactory,
    Params,
)
from pruning import leaves
from pruning.procedures import thresholding

Simplify = Callable[[Key, Params], Params]
"""(key, params) -> params with more zeros and the same function, e.g. from `reachability`."""

Objective = Callable[[Params, Any], jax.Array]
"""(params, validation data) -> what the threshold must not raise, Float[]."""


@dataclass(frozen=True)
class Phases:
    """Static choices.

    Attributes:
      regularise: how long phase 1 is and what it sees.
      fine_tune: the same for phase 3; None for none.
      search: TAMADE in `rank` or, as published, in `magnitude`.
      probes: evaluations side by side in a search in rank.
      fine_tune_optimizer: learning rate -> optimiser of phase 3.
    """

    regularise: loop.Plan
    fine_tune: loop.Plan | None
    search: Literal["rank", "magnitude"] = "rank"
    probes: int = 1
    fine_tune_optimizer: OptimizerFactory = optax.adam

    def __post_init__(self):
        if self.search not in ("rank", "magnitude"):
            raise ValueError(f"search must be 'rank' or 'magnitude', got {self.search!r}")
        if self.probes < 1:
            raise ValueError(f"probes must be at least 1, got {self.probes}")


class Point(NamedTuple):
    """What one run of a sweep may have of its own.

    Attributes:
      method: the method's Hyperparameters.
      tolerance: Float[], delta: the objective may rise by this share of itself.
      slack: Float[], and by this much besides, in the objective's own units.
      fine_tune_rate: Float[], learning rate of phase 3.
    """

    method: Hyperparameters
    tolerance: jax.Array | float = 0.01
    slack: jax.Array | float = 0.0
    fine_tune_rate: jax.Array | float = 1e-3


class Pruned(NamedTuple):
    """What the three phases end with.

    Attributes:
      params: after fine-tuning, exact zeros outside the mask.
      mask: Bool tree, weights that phase 3 trained.
      n_kept: Int[], weights in the mask.
      threshold: see `thresholding.Threshold`; its `n_kept` is counted before the last removal.
      n_regularised: Int[], nonzeros after phase 1.
      log: the method's Infos over phase 1.
      fine_tune_log: Infos over phase 3; None without one.
      finite: Bool[], whether all of it was finite.
    """

    params: Params
    mask: Params
    n_kept: jax.Array
    threshold: thresholding.Threshold
    n_regularised: jax.Array
    log: Any
    fine_tune_log: Any
    finite: jax.Array


def run(
    phases: Phases,
    method: Method,
    loss: Loss,
    objective: Objective,
    key: Key,
    params: Params,
    point: Point,
    train: loop.Data,
    validation: Any,
    simplify: Simplify | None = None,
    mask: leaves.Mask = None,
) -> Pruned:
    """All three phases; pure, traceable.

    Args:
      phases: static choices.
      method: the method of phase 1.
      loss: data term of phase 3 (phase 1 has its own inside `method`).
      objective: what the search holds within its limit.
      key: typed PRNG key of the whole run.
      params: starting parameters.
      point: hyperparameters of this run.
      train: pytree of arrays with a common leading axis.
      validation: handed to `objective`.
      simplify: run before and after the threshold, as published; None for nothing.
      mask: leaves that the threshold may cut; see `pruning.leaves.chosen`.

    Returns:
      Pruned.
    """
    key_regularise, key_before, key_after, key_tune = jax.random.split(key, 4)
    first = loop.run(method, phases.regularise, key_regularise, params, train, point.method)
    params = first.params if simplify is None else simplify(key_before, first.params)

    params, threshold = thresholding.threshold_search(
        lambda candidate: objective(candidate, validation),
        params,
        tolerance=point.tolerance,
        slack=point.slack,
        search=phases.search,
        probes=phases.probes,
        mask=mask,
    )
    params = params if simplify is None else simplify(key_after, params)
    support = jax.tree.map(
        lambda leaf, cut: leaf != 0 if cut else jnp.ones(leaf.shape, bool),
        params,
        leaves.chosen(mask, params),
    )
    finite = first.finite & jnp.isfinite(threshold.limit)
    tune_log = None
    if phases.fine_tune is not None:
        tuned = fine_tune(
            phases.fine_tune,
            loss,
            key_tune,
            params,
            support,
            train,
            point.fine_tune_rate,
            phases.fine_tune_optimizer,
        )
        params, tune_log, finite = tuned.params, tuned.log, finite & tuned.finite
    return Pruned(
        params=params,
        mask=support,
        n_kept=trees.nonzeros(support),
        threshold=threshold,
        n_regularised=trees.nonzeros(first.params),
        log=first.log,
        fine_tune_log=tune_log,
        finite=finite,
    )


def three_phase(
    key: Key,
    params: Params,
    train: loop.Data,
    validation: Any,
    *,
    method: Method,
    loss: Loss,
    objective: Objective,
    steps: int,
    fine_tune_steps: int = 0,
    batch_size: int | None = None,
    tolerance: jax.Array | float = 0.01,
    fine_tune_rate: jax.Array | float = 1e-3,
    simplify: Simplify | None = None,
    mask: leaves.Mask = None,
) -> Pruned:
    """Regularise with a method, threshold (TAMADE), train the weights left: `prune` without files.

    The procedure of Barth & von Petersenn, "Efficient compression of neural networks and datasets"
    (arXiv 2505.17469), for any loss. Traceable: jit it, vmap it over keys and over numbers inside
    the method.

    Args:
      key: typed PRNG key of the run.
      params: starting params, any pytree of floats.
      train: pytree of arrays with a common leading axis of examples.
      validation: handed to `objective`.
      method: of the first phase, such as `pmmp_curvature(loss)`.
      loss: (key, params, batch) -> (mean loss in nats, named scalars); of the last phase.
      objective: (params, validation) -> what the threshold must not raise, Float[].
      steps: of the first phase.
      fine_tune_steps: of the last one; 0 for none.
      batch_size: examples per step; None for all of them.
      tolerance: share by which the threshold may raise the objective.
      fine_tune_rate: Adam's learning rate in the last phase, falling along half a cosine.
      simplify: (key, params) -> params with more zeros and the same function, such as one that
        calls `remove_unreachable`; before and after the threshold.
      mask: leaves that the threshold may cut; see `threshold_search`.

    Returns:
      NamedTuple with `params` (exact zeros outside `mask`), `mask`, `n_kept`, `threshold`, logs and
      `finite`, which says whether all of it was.

    Raises:
      ValueError: a batch that is larger than the data, or fewer than one step.

    >>> import jax, jax.numpy as jnp, pruning
    >>> inputs = jax.random.normal(jax.random.key(0), (64, 4))
    >>> def loss(key, params, batch):
    ...     x, y = batch
    ...     return jnp.mean((x @ params - y) ** 2), {}
    >>> noise = 0.3 * jax.random.normal(jax.random.key(2), (64,))
    >>> data = (inputs, inputs @ jnp.array([1.0, 0.0, 0.02, -1.0]) + noise)
    >>> pruned = pruning.three_phase(
    ...     jax.random.key(1), jnp.zeros(4), data, data,
    ...     method=pruning.pmmp_curvature(loss, strength=0.01, learning_rate=0.05), loss=loss,
    ...     objective=lambda params, held: loss(None, params, held)[0],
    ...     steps=600, tolerance=0.05, fine_tune_steps=50,
    ... )
    >>> print(int(pruned.n_kept), bool(pruned.finite))
    2 True
    """
    phases = Phases(
        regularise=loop.Plan(steps, batch_size),
        fine_tune=loop.Plan(fine_tune_steps, batch_size) if fine_tune_steps else None,
        fine_tune_optimizer=gradient_descent.falling_adam(max(fine_tune_steps, 1)),
    )
    point = Point(None, tolerance, 0.0, fine_tune_rate)
    return run(
        phases, method, loss, objective, key, params, point, train, validation, simplify, mask
    )


def masked_loss(loss: Loss, mask: Params) -> Loss:
    """The loss at the masked parameters, whose gradient is zero outside the mask."""

    def at_mask(key: Key, params: Params, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        return loss(key, trees.masked(params, mask), batch)

    return at_mask


def fine_tune(
    plan: loop.Plan,
    loss: Loss,
    key: Key,
    params: Params,
    mask: Params,
    data: loop.Data,
    learning_rate: jax.Array | float,
    optimizer: OptimizerFactory = optax.adam,
) -> loop.Result:
    """Trains the weights inside a mask and holds the others at zero.

    Args:
      plan: see `fewbits.training.loop.Plan`.
      loss: data term.
      key: typed PRNG key.
      params: starting parameters.
      mask: Bool tree.
      data: pytree of arrays with a common leading axis.
      learning_rate: Float[].
      optimizer: learning rate -> optimiser; one with weight decay or noise is masked too.

    Returns:
      Result whose parameters are exactly zero outside the mask.
    """
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(), masked_loss(loss, mask), optimizer
    )
    hyperparameters = gradient_descent.Hyperparameters(learning_rate)
    params = trees.masked(params, mask)
    result = loop.run(method, plan, key, params, data, hyperparameters)
    return result._replace(params=trees.masked(result.params, mask))
