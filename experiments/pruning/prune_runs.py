"""Many pruning runs in one program: trained, measured, and kept as sparse arrays in one file.

Training needs only JAX, flax, optax and NumPy. What it gives is stored, so that files can be coded
and tables made on another machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.io.datasets import Images
from fewbits.training import evaluation, gradient_descent, loop, losses, networks, sweep, trees
from fewbits.training.method import Key, Params
from fewbits.training.networks import Network
from pruning import _three_phase
from pruning.methods import METHODS

NETWORKS = {
    "lenet300": (networks.lenet_300_100, 266_610),
    "lenet5": (networks.lenet_5_caffe, 431_080),
}
"""Constructor, and parameters on 28 x 28 images."""


@dataclass(frozen=True)
class Grid:
    """The lanes of one method: strengths x tolerances x learning rates (x sharpnesses)."""

    method: str
    """A name in `pruning.methods.METHODS`."""
    strengths: tuple[float, ...]
    tolerances: tuple[float, ...] = (0.05, 0.5)
    """By which share the threshold may raise the validation loss; fine-tuning lowers it again."""
    learning_rates: tuple[float, ...] = (2e-3,)
    sharpnesses: tuple[float, ...] = ()
    """DRR's beta; empty for the default, and for every other method."""

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"no method {self.method!r}; known are {', '.join(METHODS)}")
        if not (self.strengths and self.tolerances and self.learning_rates):
            raise ValueError(f"{self.method} needs a strength, a tolerance and a learning rate")
        if self.sharpnesses and not self.method.startswith("drr"):
            raise ValueError(f"{self.method} has no sharpness, got {self.sharpnesses}")

    def points(self) -> dict[str, np.ndarray]:
        """Every combination: name -> Float[H]."""
        axes = {
            "strength": self.strengths,
            "tolerance": self.tolerances,
            "learning_rate": self.learning_rates,
        }
        if self.sharpnesses:
            axes["sharpness"] = self.sharpnesses
        values = np.meshgrid(*axes.values(), indexing="ij")
        return {name: value.ravel() for name, value in zip(axes, values, strict=True)}


@dataclass(frozen=True)
class Training:
    """What all methods share."""

    epochs: int = 100
    """Of the first phase."""
    fine_tune_epochs: int = 50
    batch_size: int = 500
    fine_tune_rate: float = 2e-3
    """Falls to zero along half a cosine."""
    shift_pixels: int = 0
    """Training images are moved by up to this many pixels either way; 0 as published."""
    lanes_per_chunk: int | None = None
    """Lanes side by side; as many as fit in memory if not given."""


class Lanes(NamedTuple):
    """Trained lanes of one method, H points x S seeds.

    Attributes:
      points: name -> Float[H]: strength, tolerance, learning_rate, perhaps sharpness.
      seeds: Int[S].
      metrics: name -> array [H, S]; errors in [0, 1].
      params: tree with leaves [H, S, ...].
    """

    points: dict[str, np.ndarray]
    seeds: np.ndarray
    metrics: dict[str, np.ndarray]
    params: Params


def pruning_run(
    method_name: str,
    training: Training,
    network: Network,
    simplify: _three_phase.Simplify | None,
    n_train: int,
) -> Callable[[Key, Params, _three_phase.Point, Any], dict[str, Any]]:
    """One run through the three phases, as a pure function.

    Args:
      method_name: in `pruning.methods.METHODS`.
      training: epochs, batches, augmentation.
      network: logits from images.
      simplify: see `three_phase.run`.
      n_train: training images.

    Returns:
      (key, starting parameters, point, data) -> {"params", "metrics"}; data has `train`,
      `validation` and `test`, the last only measured on.
    """
    named = METHODS[method_name]
    batch_size = min(training.batch_size, n_train)
    per_epoch = n_train // batch_size
    steps, tune_steps = training.epochs * per_epoch, training.fine_tune_epochs * per_epoch
    phases = _three_phase.Phases(
        regularise=loop.Plan(steps, batch_size, log_points=20),
        fine_tune=loop.Plan(tune_steps, batch_size, log_points=1) if tune_steps else None,
        fine_tune_optimizer=gradient_descent.falling_adam(max(tune_steps, 1)),
    )
    loss = losses.shifted(losses.cross_entropy(network.apply), training.shift_pixels)
    method = named.build(loss, steps)

    def validation_loss(params: Params, data: Any) -> jax.Array:
        return evaluation.mean_cross_entropy(network.apply, params, *data)

    def error(params: Params, data: Any) -> jax.Array:
        return 1 - evaluation.accuracy(network.apply, params, *data)

    def prune(key: Key, params: Params, point: _three_phase.Point, data: Any) -> dict[str, Any]:
        pruned = _three_phase.run(
            phases,
            method,
            loss,
            validation_loss,
            key,
            params,
            point,
            data["train"],
            data["validation"],
            simplify,
        )
        return {
            "params": pruned.params,
            "metrics": {
                "nonzeros": trees.nonzeros(pruned.params),
                "nonzeros_regularised": pruned.n_regularised,
                "nonzeros_thresholded": pruned.threshold.n_kept,
                "threshold": pruned.threshold.magnitude,
                "validation_error": error(pruned.params, data["validation"]),
                "validation_loss_nats": validation_loss(pruned.params, data["validation"]),
                "test_error": error(pruned.params, data["test"]),
                "finite": pruned.finite,
            },
        }

    return prune


def train(
    grid: Grid,
    training: Training,
    network: Network,
    simplify: _three_phase.Simplify | None,
    parts: dict[str, Images],
    seeds: tuple[int, ...],
    progress: Callable[[int, int], None] | None = None,
) -> Lanes:
    """Run every point of a grid with every seed through the three phases.

    Args:
      grid: method, strengths, tolerances.
      training: what all methods share.
      network: logits from images.
      simplify: see `three_phase.run`.
      parts: `train`, `validation` and `test`; the last is only measured on.
      seeds: of initialisation and batches.
      progress: see `fewbits.training.sweep`.
    """
    method = METHODS[grid.method]
    prune = pruning_run(grid.method, training, network, simplify, len(parts["train"].labels))

    def lane(key: Key, point: _three_phase.Point, data: Any) -> dict[str, Any]:
        key_params, key_run = jax.random.split(key)
        return prune(key_run, network.init(key_params), point, data)

    named = grid.points()
    swept = {name: jnp.asarray(values, jnp.float32) for name, values in named.items()}
    hyperparameters = method.hyperparameters(swept["learning_rate"], swept["strength"])
    if grid.sharpnesses:
        hyperparameters = hyperparameters._replace(sharpness=swept["sharpness"])
    points = _three_phase.Point(
        hyperparameters,
        swept["tolerance"],
        0.0,
        training.fine_tune_rate,
    )
    data = {name: (part.pixels, part.labels) for name, part in parts.items()}
    found = sweep(
        lane,
        points,
        seeds,
        data,
        runs_per_chunk=training.lanes_per_chunk,
        progress=progress,
    )
    return Lanes(named, np.asarray(seeds), found["metrics"], found["params"])


def save(path: Path, lanes: Lanes) -> None:
    """Write lanes as one compressed file, weights as indices and values of the nonzeros."""
    leaves = trees.named_leaves(lanes.params)
    n_lanes = lanes.metrics["nonzeros"].size
    flat = np.concatenate([leaf.reshape(n_lanes, -1) for leaf in leaves.values()], axis=1)
    rows, columns = np.nonzero(flat)
    content = {
        **{f"point/{name}": values for name, values in lanes.points.items()},
        **{f"metric/{name}": values for name, values in lanes.metrics.items()},
        **{f"shape/{name}": np.array(leaf.shape[2:]) for name, leaf in leaves.items()},
        "seeds": lanes.seeds,
        "ends": np.cumsum(np.bincount(rows, minlength=n_lanes)),
        "indices": columns.astype(np.int32),
        "values": flat[rows, columns],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.savez_compressed(file, **content)
    os.replace(temporary, path)


def load(path: Path) -> Lanes:
    """Read what `save` wrote.

    Raises:
      OSError: no such file.
      ValueError: not such a file.
    """
    with np.load(path, allow_pickle=False) as stored:
        content = {name: stored[name] for name in stored.files}

    def group(prefix: str) -> dict[str, np.ndarray]:
        start = prefix + "/"
        return {name[len(start) :]: content[name] for name in content if name.startswith(start)}

    try:
        metrics, shapes = group("metric"), group("shape")
        n_points, n_seeds = metrics["nonzeros"].shape
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        flat = np.zeros((n_points * n_seeds, sum(sizes)), np.float32)
        rows = np.searchsorted(content["ends"], np.arange(len(content["indices"])), side="right")
        flat[rows, content["indices"]] = content["values"]
        parts = np.split(flat, np.cumsum(sizes)[:-1], axis=1)
        named = {
            name: part.reshape(n_points, n_seeds, *shape)
            for part, (name, shape) in zip(parts, shapes.items(), strict=True)
        }
        return Lanes(group("point"), content["seeds"], metrics, trees.from_named(named))
    except (KeyError, IndexError) as error:
        raise ValueError(f"{path} does not hold trained lanes: {error}") from error


def params_of(lanes: Lanes, point: int, seed: int) -> Params:
    """The parameters of one lane: point number, seed number (not the seed itself)."""
    return jax.tree.map(lambda leaf: leaf[point, seed], lanes.params)
