"""Training of the pruning experiments: LeNets and their images, iterative pruning with all seeds.

Iterative pruning: each step trains what the step before has left, in its smallest dense shape. A
network with few weights that is cut down to its live units trains at a fraction of the cost of the
whole one, which leaves time for many epochs. Each step is one run of the three phases, the first on
the whole network, the others with growing penalty weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.runner import experiment as ex
from fewbits.io import datasets
from fewbits.io.datasets import Images
from fewbits.io.progress import Bar
from fewbits.training import networks
from fewbits.training.losses import Apply
from fewbits.training.method import Key, Params
from fewbits.training.networks import Network
from pruning.graphs import reachability
from pruning.methods import METHODS
from pruning.procedures import _iterative
from pruning.procedures.classifiers import Lengths, Setting

NETWORKS = {"lenet300": networks.lenet_300_100, "lenet5": networks.lenet_5_caffe}
TOLERANCE = 0.1
"""By which share the threshold may raise the validation loss."""
Parts = dict[str, Images]


@dataclass(frozen=True)
class Training:
    """What all methods share."""

    epochs: int = 100
    """Of the first phase, where it is not pruned iteratively."""
    fine_tune_epochs: int = 50
    batch_size: int = 500
    fine_tune_rate: float = 2e-3
    """Falls to zero along half a cosine."""
    shift_pixels: int = 0
    """Training images are moved by up to this many pixels either way; 0 as published."""

    def lengths(self, train: Images, epochs: int, fine_tune_epochs: int) -> Lengths:
        """In optimiser steps."""
        size = min(self.batch_size, len(train.labels))
        per_epoch = len(train.labels) // size
        return Lengths(epochs * per_epoch, fine_tune_epochs * per_epoch, size, self.shift_pixels)


class PruningStep(NamedTuple):
    """One step."""

    factor: float
    """Times the first penalty weight; a share of the weights is divided by it."""
    epochs: int
    fine_tune_epochs: int = 0


@dataclass(frozen=True)
class Iterative:
    """The steps of one method."""

    method: str
    """A name in `pruning.methods.METHODS`."""
    penalty_weight: float
    """Of the first step, for the whole network's size where it is a share of its weights."""
    steps: tuple[PruningStep, ...]
    learning_rate: float = 2e-3
    seeds: int | None = None
    """The first so many of the run's; all if not given. No claim rests on fewer than all."""

    def settings(self) -> list[Setting]:
        """Of every step."""
        share, first = METHODS[self.method].strength_is_share, self.penalty_weight
        weights = [first / one.factor if share else first * one.factor for one in self.steps]
        return [Setting(weight, TOLERANCE, self.learning_rate) for weight in weights]


def parts_of(data: ex.Data, name: str, n_validation: int) -> Parts:
    """`train`, `validation` (cut off the training set) and `test`."""
    train, validation = datasets.split_validation(data.images(name, "train"), n_validation)
    return {"train": train, "validation": validation, "test": data.images(name, "test")}


def arrays(parts: Parts) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pixels and labels of every part."""
    return {name: (images.pixels, images.labels) for name, images in parts.items()}


def lenet(name: str, images: Images) -> Network:
    """One of `NETWORKS` for the shape and the classes of these images."""
    return NETWORKS[name](images.pixels.shape[1:], len(images.label_names))


def remove_unreachable(name: str, parts: Parts) -> Callable[[Key, Params], Params]:
    """Exact removal of what no input of a LeNet reaches or no output sees."""
    padded = name == "lenet5" and networks.pads_with_zeros(parts["train"].pixels.shape[1:])
    return lambda key, params: reachability.remove_unreachable(params, zero_padding=padded)


def train_lenet(
    name: str,
    plan: Iterative,
    shared: Training,
    parts: Parts,
    seeds: Sequence[int],
    data: ex.Data,
) -> dict[str, Any]:
    """All steps of a LeNet with each seed; see `of_seeds`."""
    shape, network = parts["train"].pixels.shape[1:], lenet(name, parts["train"])

    def of_widths(widths: tuple[int, ...]) -> Apply:
        if name == "lenet300":
            return networks.mlp(widths).apply
        _, first, second, third, n_classes = widths
        return networks.lenet_5_caffe(shape, n_classes, (first, second, third)).apply

    def steps(seed: int, cached: Cached) -> list[dict[str, Any]]:
        key_params, key_steps = jax.random.split(jax.random.key(seed))
        return _iterative.run_steps(
            key_steps, jax.tree.map(np.asarray, network.init(key_params)), arrays(parts),
            plan.settings(), [shared.lengths(parts["train"], *step[1:]) for step in plan.steps],
            method=plan.method, network=of_widths, simplify=remove_unreachable(name, parts),
            fine_tune_rate=shared.fine_tune_rate, cached=cached,
        )  # fmt: skip

    return of_seeds(steps, f"{name}_{plan.method}", len(plan.steps), seeds, data)


Cached = Callable[[int, Callable[[], dict[str, Any]]], dict[str, Any]]
"""(number, computation) -> the result of a step, that of the run's folder where it has one."""


def of_seeds(
    steps: Callable[[int, Cached], list[dict[str, Any]]],
    name: str,
    n_steps: int,
    seeds: Sequence[int],
    data: ex.Data,
) -> dict[str, Any]:
    """`params` and `metrics` of the steps with each seed, leaves [steps, seeds, ...]."""

    def of_seed(seed: int) -> dict[str, Any]:
        with Bar(f"{name}_{seed}") as bar:

            def cached(number: int, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
                bar(number, n_steps)
                return data.cached_tree(f"{name}_{seed}_{number}", compute)

            found = steps(seed, cached)
        wanted = [{name: one[name] for name in ("params", "metrics")} for one in found]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *wanted)

    return jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *map(of_seed, seeds))
