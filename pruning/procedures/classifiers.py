"""The three phases for a classifier, measured at their end: one run, or a grid in one program."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fewbits.training import evaluation, gradient_descent, loop, losses, sweep, trees
from fewbits.training.losses import Apply
from fewbits.training.method import Key, Params
from fewbits.training.networks import Network
from pruning.methods import METHODS
from pruning.procedures import _three_phase

Run = Callable[[Key, Params, _three_phase.Point, dict[str, Any]], dict[str, Any]]
"""(key, params, point, data) -> {"params", "metrics"}; pure, traceable."""


class Setting(NamedTuple):
    """What one run of a method has of its own.

    Attributes:
      penalty_weight: of gradual magnitude pruning the share of weights that remain.
      tolerance: share by which the threshold may raise the validation loss.
      learning_rate: of the first phase.
      sharpness: DRR's beta; None is the default.
    """

    penalty_weight: float
    tolerance: float
    learning_rate: float
    sharpness: float | None = None


@dataclass(frozen=True)
class Grid:
    """Settings of one method: all combinations of the values.

    Attributes:
      method: a name in `pruning.methods.METHODS`.
      penalty_weights: see `Setting`, as the others.
      tolerances: fine-tuning lowers the loss again.
      learning_rates: of the first phase.
      sharpnesses: empty for the default, and for every method but DRR.
    """

    method: str
    penalty_weights: tuple[float, ...]
    tolerances: tuple[float, ...] = (0.05, 0.5)
    learning_rates: tuple[float, ...] = (2e-3,)
    sharpnesses: tuple[float, ...] = ()

    def settings(self) -> list[Setting]:
        """Every combination."""
        values = (self.penalty_weights, self.tolerances, self.learning_rates)
        return [Setting(*each) for each in itertools.product(*values, self.sharpnesses or (None,))]


class Lengths(NamedTuple):
    """How long a run is, static.

    Attributes:
      steps: optimiser steps of the first phase.
      fine_tune_steps: of the last one; 0 for none.
      batch_size: examples per step.
      shift_pixels: training images are moved by up to this many pixels either way.
    """

    steps: int
    fine_tune_steps: int = 0
    batch_size: int = 128
    shift_pixels: int = 0


def points(method: str, settings: Sequence[Setting], fine_tune_rate: float) -> _three_phase.Point:
    """The settings of a sweep's runs, leaves Float[settings]."""
    weights, tolerances, rates = jnp.asarray([each[:3] for each in settings], jnp.float32).T
    chosen = METHODS[method].hyperparameters(rates, weights)
    sharpnesses = [each.sharpness for each in settings]
    if None not in sharpnesses:
        chosen = chosen._replace(sharpness=jnp.asarray(sharpnesses, jnp.float32))
    return _three_phase.Point(chosen, tolerances, 0.0, fine_tune_rate)


def point(method: str, setting: Setting, fine_tune_rate: float) -> _three_phase.Point:
    """The setting of one run."""
    return jax.tree.map(lambda leaf: jnp.ravel(leaf)[0], points(method, [setting], fine_tune_rate))


def three_phases(
    method: str, lengths: Lengths, apply: Apply, simplify: _three_phase.Simplify
) -> Run:
    """One run on cross-entropy.

    Args:
      method: a name in `pruning.methods.METHODS`.
      lengths: see `Lengths`.
      apply: the network.
      simplify: exact removal of what no input reaches or no output sees.

    Returns:
      The run. Its data are inputs and labels of the parts `train` and `validation`, and of any
      others, such as `test`; each part but `train` gives the metric `<part>_error`, in [0, 1].
    """
    steps, tune_steps, batch_size, shift_pixels = lengths
    phases = _three_phase.Phases(
        regularise=loop.Plan(steps, batch_size, log_points=20),
        fine_tune=loop.Plan(tune_steps, batch_size, log_points=1) if tune_steps else None,
        fine_tune_optimizer=gradient_descent.falling_adam(max(tune_steps, 1)),
    )
    loss = losses.shifted(losses.cross_entropy(apply), shift_pixels)
    built = METHODS[method].build(loss, steps)

    def validation_loss(params: Params, data: Any) -> jax.Array:
        return evaluation.mean_cross_entropy(apply, params, *data)

    def prune(
        key: Key, params: Params, point: _three_phase.Point, data: dict[str, Any]
    ) -> dict[str, Any]:
        train, held = data["train"], data["validation"]
        pruned = _three_phase.run(
            phases, built, loss, validation_loss, key, params, point, train, held, simplify
        )
        metrics = {
            "nonzeros": trees.nonzeros(pruned.params),
            "nonzeros_regularised": pruned.n_regularised,
            "nonzeros_thresholded": pruned.threshold.n_kept,
            "threshold": pruned.threshold.magnitude,
            "validation_loss_nats": validation_loss(pruned.params, held),
            "finite": pruned.finite,
        }
        for name, part in data.items():
            if name != "train":
                right = evaluation.accuracy(apply, pruned.params, *part)
                metrics[f"{name}_error"] = 1 - right
        return {"params": pruned.params, "metrics": metrics}

    return prune


def train_grid(
    grid: Grid,
    lengths: Lengths,
    network: Network,
    data: dict[str, Any],
    seeds: Sequence[int],
    *,
    simplify: _three_phase.Simplify,
    fine_tune_rate: float = 2e-3,
    runs_per_chunk: int | None = None,
    progress: Any = None,
) -> dict[str, Any]:
    """All settings and seeds in one program.

    Args:
      grid: see `Grid`.
      lengths: of each run.
      network: what is trained, from the initialisation of each seed.
      data: as for `three_phases`.
      seeds: of initialisation and batches.
      simplify: as for `three_phases`.
      fine_tune_rate: learning rate of the last phase, falling.
      runs_per_chunk: runs side by side; as many as fit in memory if not given.
      progress: called with (runs done, runs).

    Returns:
      `params` and `metrics`, leaves [settings, seeds, ...].
    """
    prune = three_phases(grid.method, lengths, network.apply, simplify)

    def one_run(key: Key, point: _three_phase.Point, data: Any) -> dict[str, Any]:
        key_params, key_run = jax.random.split(key)
        return prune(key_run, network.init(key_params), point, data)

    settings = points(grid.method, grid.settings(), fine_tune_rate)
    return sweep(one_run, settings, seeds, data, runs_per_chunk=runs_per_chunk, progress=progress)
