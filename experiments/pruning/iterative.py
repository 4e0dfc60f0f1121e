"""Iterative pruning: each step trains what the step before has left, in its smallest dense shape.

A network with few weights that is cut down to its live units trains at a fraction of the cost of
the whole one, which leaves time for many epochs. Each step is one run of the three phases, the
first on the whole network, the others with growing penalty weights.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import jax
import numpy as np

from experiments.pruning.runs import Problem, Training
from experiments.runner import experiment as ex
from fewbits.io import read_checkpoint, write_checkpoint
from fewbits.io.progress import Bar
from fewbits.training import losses, networks
from pruning.methods import METHODS
from pruning.procedures import _iterative
from pruning.procedures.classifiers import Setting


@dataclass(frozen=True)
class PruningStep:
    """One step."""

    factor: float
    """Times the first penalty weight; a share of the weights is divided by it."""
    epochs: int
    fine_tune_epochs: int = 0


def _steps(*steps: tuple[float, int, int]) -> tuple[PruningStep, ...]:
    return tuple(PruningStep(*each) for each in steps)


STEPS = _steps(
    (1.0, 20, 0), (1.7, 30, 0), (3.3, 50, 20), (6.0, 50, 20), (10.0, 50, 20), (15.0, 50, 20),
    (20.0, 60, 30), (28.0, 60, 30),
)  # fmt: skip
"""A gentle start: what the first steps prune too much, no later one brings back."""

FEWER_EPOCHS = _steps(
    (1.0, 3, 0), (3.0, 3, 0), (5.0, 6, 2), (8.0, 10, 5), (11.0, 12, 6), (15.0, 12, 8),
    (20.0, 12, 8),
)  # fmt: skip
"""For convolutional networks, whose epochs are dear until channels have died."""

FROM_WEAKER = tuple(
    replace(each, factor=factor)
    for each, factor in zip(FEWER_EPOCHS, (1.0, 4.0, 10.0, 20.0, 30.0, 42.0, 56.0), strict=True)
)
"""As many epochs, for methods whose zeros are exact from the first step on."""


@dataclass(frozen=True)
class Iterative:
    """The steps of one method."""

    method: str
    """A name in `pruning.methods.METHODS`."""
    penalty_weight: float
    """Of the first step, for the whole network's size where it is a share of its weights."""
    steps: tuple[PruningStep, ...] = STEPS
    tolerance: float = 0.1
    """By which share the threshold may raise the validation loss."""
    learning_rate: float = 2e-3
    seeds: int | None = None
    """The first so many of the run's; all if not given. No claim rests on fewer than all."""

    def settings(self) -> list[Setting]:
        """Of every step."""
        share, first = METHODS[self.method].strength_is_share, self.penalty_weight
        weights = [first / one.factor if share else first * one.factor for one in self.steps]
        return [Setting(weight, self.tolerance, self.learning_rate) for weight in weights]


def network_of(problem: Problem) -> _iterative.NetworkOf:
    """The LeNet of any widths, on whole images."""
    if problem.name != "lenet5":
        return lambda widths: networks.mlp(widths).apply
    shape = problem.parts["train"].pixels.shape[1:]

    def apply_of(widths: tuple[int, ...]) -> losses.Apply:
        _, first, second, third, n_classes = widths
        return networks.lenet_5_caffe(shape, n_classes, (first, second, third)).apply

    return apply_of


def train(
    plan: Iterative, training: Training, problem: Problem, seed: int, data: ex.Data
) -> dict[str, Any]:
    """All steps with one seed; those that the run's folder has are not trained again.

    Returns:
      `params` (in the whole network's shapes) and `metrics`, leaves [steps, ...].
    """
    key_params, key_steps = jax.random.split(jax.random.key(seed))
    n_train = len(problem.parts["train"].labels)
    lengths = [training.lengths(n_train, *astuple(each)[1:]) for each in plan.steps]
    with cached_steps(f"{problem.name}_{plan.method}_{seed}", len(plan.steps), data) as cached:
        found = _iterative.run_steps(
            key_steps, jax.tree.map(np.asarray, problem.network.init(key_params)),
            problem.arrays(), plan.settings(), lengths,
            method=plan.method, network=network_of(problem), simplify=problem.simplify,
            fine_tune_rate=training.fine_tune_rate, cached=cached,
        )  # fmt: skip
    return stacked(found)


Cached = Callable[[int, Callable[[], dict[str, Any]]], dict[str, Any]]


@contextlib.contextmanager
def cached_steps(name: str, n_steps: int, data: ex.Data) -> Iterator[Cached]:
    """(number, computation) -> its result, that of the run's folder where it has one."""
    with Bar(name) as bar:

        def cached(number: int, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            bar(number, n_steps)
            path = data.cached_file(
                f"{name}_{number}.npz", lambda path: write_checkpoint(path, compute())
            )
            return read_checkpoint(path)

        yield cached
        bar(n_steps, n_steps)


def stacked(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`params` and `metrics` of steps, leaves [steps, ...]."""
    wanted = [{name: each[name] for name in ("params", "metrics")} for each in found]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *wanted)
