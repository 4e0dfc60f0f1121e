"""Training of the pruning experiments: many runs of the three phases in one program, as rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

from experiments.runner import experiment as ex
from fewbits.io import datasets
from fewbits.io.progress import Bar
from fewbits.training import networks, trees
from fewbits.training.method import Key, Params
from fewbits.training.networks import Network
from pruning.graphs import reachability
from pruning.procedures import classifiers
from pruning.procedures._three_phase import Simplify
from pruning.procedures.classifiers import Grid, Lengths, Setting

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

    def lengths(self, n_train: int, epochs: int, fine_tune_epochs: int) -> Lengths:
        """In optimiser steps."""
        size = min(self.batch_size, n_train)
        per_epoch = n_train // size
        return Lengths(epochs * per_epoch, fine_tune_epochs * per_epoch, size, self.shift_pixels)


class Problem(NamedTuple):
    """A LeNet and the images to train it on, to choose on and to test on."""

    name: str
    network: Network
    parts: dict[str, datasets.Images]
    simplify: Simplify
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


def train_grid(
    grid: Grid, training: Training, problem: Problem, seeds: tuple[int, ...]
) -> dict[str, Any]:
    """All settings and seeds in one program: params, metrics with leaves [settings, seeds, ...]."""
    n_train = len(problem.parts["train"].labels)
    lengths = training.lengths(n_train, training.epochs, training.fine_tune_epochs)
    with Bar(grid.method) as bar:
        return classifiers.train_grid(
            grid, lengths, problem.network, problem.arrays(), seeds, simplify=problem.simplify,
            fine_tune_rate=training.fine_tune_rate, runs_per_chunk=training.runs_per_chunk,
            progress=bar,
        )  # fmt: skip


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
