"""Training of the pruning experiments: many runs of the three phases in one program, as rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.runner import experiment as ex
from fewbits.io import datasets
from fewbits.io.progress import Bar
from fewbits.training import evaluation, gradient_descent, loop, losses, networks, sweep, trees
from fewbits.training.method import Key, Params
from fewbits.training.networks import Network
from pruning.graphs import reachability
from pruning.methods import METHODS
from pruning.procedures import _three_phase

NETWORKS = {"lenet300": networks.lenet_300_100, "lenet5": networks.lenet_5_caffe}
_HELD_OUT = ("validation", "test")


Ratio = Annotated[float, ex.Over(np.mean), ex.Column("fewer weights by", ".0f")]
Nonzeros = Annotated[int, ex.MeanOverSeeds(), ex.Column(format=",.0f")]
TestError = Annotated[float, ex.MeanOverSeeds("%"), ex.Column("test error, %", ".2f")]
ValidationError = Annotated[float, ex.MeanOverSeeds("%"), ex.Column("validation error, %", ".2f")]
"""Fields that several rows have."""


class Run(NamedTuple):
    """Every operating point.

    Mean ± standard deviation over seeds; biases count. In the order of the steps where a method
    prunes iteratively.
    """

    network: Annotated[str, ex.Key]
    method: Annotated[str, ex.Key]
    step: int
    """Of iterative pruning, or number of the setting."""
    penalty_weight: Annotated[float, ex.Key, ex.Column(format=".2g")]
    """Of gradual magnitude pruning: the share of weights that remain."""
    tolerance: Annotated[float, ex.Key]
    """By which share the threshold may raise the validation loss."""
    learning_rate: float
    sharpness: float | None
    """DRR's beta; None is the default."""
    seed: int
    ratio: Ratio
    nonzeros: Nonzeros
    test_error_percent: TestError
    validation_error_percent: ValidationError
    validation_loss_nats: float
    finite: bool
    nonzeros_regularised: int | None = None
    """After the first phase."""
    nonzeros_thresholded: int | None = None
    threshold: float | None = None


class Setting(NamedTuple):
    """What one run of a method has of its own."""

    penalty_weight: float
    tolerance: float
    learning_rate: float
    sharpness: float | None = None


@dataclass(frozen=True)
class Grid:
    """Settings of one method: all combinations of the values."""

    method: str
    """A name in `pruning.methods.METHODS`."""
    penalty_weights: tuple[float, ...]
    tolerances: tuple[float, ...] = (0.05, 0.5)
    """By which share the threshold may raise the validation loss; fine-tuning lowers it again."""
    learning_rates: tuple[float, ...] = (2e-3,)
    sharpnesses: tuple[float, ...] = ()
    """DRR's beta; empty for the default, and for every other method."""

    def settings(self) -> list[Setting]:
        """Every combination."""
        values = (self.penalty_weights, self.tolerances, self.learning_rates)
        return [Setting(*each) for each in itertools.product(*values, self.sharpnesses or (None,))]


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
    runs_per_chunk: int | None = None
    """Runs side by side; as many as fit in memory if not given."""


class Problem(NamedTuple):
    """A LeNet and the images to train it on, to choose on and to test on."""

    name: str
    network: Network
    parts: dict[str, datasets.Images]
    simplify: _three_phase.Simplify
    """Exact removal of what no input reaches or no output sees."""

    @property
    def n_parameters(self) -> int:
        """Of the whole network."""
        return trees.size(jax.eval_shape(self.network.init, jax.random.key(0)))

    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Pixels and labels of every part."""
        return {name: (images.pixels, images.labels) for name, images in self.parts.items()}


def parts_of(
    data: ex.Data, name: str, n_validation: int, n_train: int | None = None
) -> dict[str, datasets.Images]:
    """`train`, `validation` (cut off the training set) and `test`."""
    train, validation = datasets.split_validation(data.images(name, "train"), n_validation)
    test = data.images(name, "test")
    return {"train": train.first(n_train), "validation": validation, "test": test}


def lenet(name: str, parts: dict[str, datasets.Images]) -> Problem:
    """One of `NETWORKS` for the shape and the classes of its images."""
    image_shape = parts["train"].pixels.shape[1:]
    padded = name == "lenet5" and networks.pads_with_zeros(image_shape)

    def simplify(key: Key, params: Params) -> Params:
        del key
        return reachability.remove_unreachable(params, zero_padding=padded)

    network = NETWORKS[name](image_shape, len(parts["train"].label_names))
    return Problem(name, network, parts, simplify)


def three_phases(
    method_name: str, training: Training, problem: Problem
) -> Callable[[Key, Params, _three_phase.Point, Any], dict[str, Any]]:
    """One run, as a pure function: (key, params, point, data) -> {"params", "metrics"}."""
    network, n_train = problem.network, len(problem.parts["train"].labels)
    batch_size = min(training.batch_size, n_train)
    per_epoch = n_train // batch_size
    steps, tune_steps = training.epochs * per_epoch, training.fine_tune_epochs * per_epoch
    phases = _three_phase.Phases(
        regularise=loop.Plan(steps, batch_size, log_points=20),
        fine_tune=loop.Plan(tune_steps, batch_size, log_points=1) if tune_steps else None,
        fine_tune_optimizer=gradient_descent.falling_adam(max(tune_steps, 1)),
    )
    loss = losses.shifted(losses.cross_entropy(network.apply), training.shift_pixels)
    method = METHODS[method_name].build(loss, steps)

    def validation_loss(params: Params, data: Any) -> jax.Array:
        return evaluation.mean_cross_entropy(network.apply, params, *data)

    def error(params: Params, data: Any) -> jax.Array:
        return 1 - evaluation.accuracy(network.apply, params, *data)

    def prune(key: Key, params: Params, point: _three_phase.Point, data: Any) -> dict[str, Any]:
        train, held = data["train"], data["validation"]
        pruned = _three_phase.run(
            phases, method, loss, validation_loss, key, params, point, train, held, problem.simplify
        )  # fmt: skip
        metrics = {
            "nonzeros": trees.nonzeros(pruned.params),
            "nonzeros_regularised": pruned.n_regularised,
            "nonzeros_thresholded": pruned.threshold.n_kept,
            "threshold": pruned.threshold.magnitude,
            "validation_error": error(pruned.params, held),
            "validation_loss_nats": validation_loss(pruned.params, held),
            "test_error": error(pruned.params, data["test"]),
            "finite": pruned.finite,
        }
        return {"params": pruned.params, "metrics": metrics}

    return prune


def train_grid(
    grid: Grid, training: Training, problem: Problem, seeds: tuple[int, ...]
) -> dict[str, Any]:
    """All settings and seeds in one program: params, metrics with leaves [settings, seeds, ...]."""
    prune = three_phases(grid.method, training, problem)

    def one_run(key: Key, point: _three_phase.Point, data: Any) -> dict[str, Any]:
        key_params, key_run = jax.random.split(key)
        return prune(key_run, problem.network.init(key_params), point, data)

    weights, tolerances, rates, sharpnesses = map(list, zip(*grid.settings(), strict=True))
    hyperparameters = METHODS[grid.method].hyperparameters(
        jnp.asarray(rates, jnp.float32), jnp.asarray(weights, jnp.float32)
    )
    if grid.sharpnesses:
        hyperparameters = hyperparameters._replace(sharpness=jnp.asarray(sharpnesses, jnp.float32))
    tolerance = jnp.asarray(tolerances, jnp.float32)
    points = _three_phase.Point(hyperparameters, tolerance, 0.0, training.fine_tune_rate)
    with Bar(grid.method) as bar:
        together = training.runs_per_chunk
        return sweep(
            one_run, points, seeds, problem.arrays(), runs_per_chunk=together, progress=bar
        )


def as_rows(
    network: str,
    method: str,
    settings: Sequence[Setting],
    seeds: Iterable[int],
    metrics: dict[str, np.ndarray],
    n_parameters: int,
) -> list[Run]:
    """Metrics [settings, seeds] as rows."""
    found = []
    for step, setting in enumerate(settings):
        for number, seed in enumerate(seeds):
            one = {name: values[step, number].item() for name, values in metrics.items()}
            errors = {f"{n}_error_percent": 100 * one.pop(f"{n}_error") for n in _HELD_OUT}
            ratio: Any = n_parameters / one["nonzeros"] if one["nonzeros"] else None
            found.append(Run(network, method, step, *setting, seed, ratio, **one, **errors))
    return found
