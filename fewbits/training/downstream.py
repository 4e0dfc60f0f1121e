"""Training downstream classifiers of decoded data sets, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.io.datasets import Images
from fewbits.training import evaluation, gradient_descent, loop, losses, networks, sweep


@dataclass(frozen=True)
class ClassifierConfig:
    """How a downstream classifier is trained; equally many steps whatever it is trained on."""

    network: str = "report_classifier"
    """A constructor of `fewbits.training.networks` that takes (image_shape, n_classes)."""
    steps: int = 46_900
    """50 epochs of 60,000 images at batch 64, as published."""
    batch_size: int = 64
    learning_rate: float = 1e-3
    width: int | None = None
    """Of a network that comes in widths."""
    falling: bool = False
    """Whether the rate falls to zero along half a cosine; the published one does not."""


class _Point(NamedTuple):
    """What differs between runs: which training set."""

    training_set: jax.Array | np.ndarray


class Outcome(NamedTuple):
    """Test accuracies of classifiers, shape (training sets, seeds)."""

    accuracy: np.ndarray | jax.Array
    """In [0, 1]."""
    predictions: np.ndarray | jax.Array
    """int (training sets, seeds, test images)."""
    finite: np.ndarray | jax.Array


def train(
    config: ClassifierConfig,
    training_sets: Sequence[tuple[np.ndarray, np.ndarray]],
    test: Images,
    *,
    seeds: Sequence[int],
    first: int = 0,
    runs_per_chunk: int | None = None,
    progress: Any = None,
) -> Outcome:
    """Train one classifier for each training set and seed, and test each once.

    Args:
      config: network and training.
      training_sets: (images uint8 (N, H, W, C), labels int (N,) or soft labels float (N, classes))
        each, all of one size N, so that one compiled program serves all. Labels are `test`'s.
      test: the test set.
      seeds: of initialisation and batch order, which also differ between training sets.
      first: number of the first training set, to train one of several again with its own keys.
      runs_per_chunk: classifiers trained side by side; by default as many as fit in memory.
      progress: called with (classifiers done, all of them).
    """
    shape = test.pixels.shape[1:]
    widths = {} if config.width is None else {"width": config.width}
    network = getattr(networks, config.network)(shape, len(test.label_names), **widths)
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(
            gradient_descent.Hyperparameters(config.learning_rate)
        ),
        losses.cross_entropy(network.apply),
        gradient_descent.falling_adam(config.steps) if config.falling else optax.adam,
    )
    size = len(training_sets[0][1])
    plan = loop.Plan(config.steps, min(config.batch_size, size), log_points=10)

    def run(key: jax.Array, point: _Point, data: Any) -> Outcome:
        images, labels, test_images, test_labels = data
        key_params, key_run = jax.random.split(jax.random.fold_in(key, first + point.training_set))
        chosen = (images[point.training_set], labels[point.training_set])
        result = loop.run(method, plan, key_run, network.init(key_params), chosen)
        predictions = evaluation.predictions(network.apply, result.params, test_images)
        return Outcome(jnp.mean(predictions == test_labels), predictions, result.finite)

    data = (
        np.stack([images for images, _ in training_sets]),
        np.stack([_numbers(labels) for _, labels in training_sets]),
        test.pixels,
        test.labels,
    )
    points = _Point(np.arange(len(training_sets), dtype=np.int32))
    return sweep(run, points, seeds, data, runs_per_chunk=runs_per_chunk, progress=progress)


def _numbers(labels: np.ndarray) -> np.ndarray:
    """Class numbers int32, or soft labels float32."""
    return np.asarray(labels, np.float32 if np.ndim(labels) == 2 else np.int32)


def accuracy_percent(
    config: ClassifierConfig,
    training_set: tuple[np.ndarray, np.ndarray],
    test: Images,
    seed: int,
    *,
    first: int = 0,
) -> float:
    """Of one classifier of one training set; see `train`."""
    outcome = train(config, [training_set], test, seeds=(seed,), first=first, runs_per_chunk=1)
    return 100 * float(outcome.accuracy[0, 0])


def to_size(
    images: np.ndarray, labels: np.ndarray, size: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Repeat a training set in random order up to `size` examples, or cut it down to them.

    Classifiers see equally many steps whatever the set's size, so repetition changes nothing but
    the shape, which one compiled program needs to be common.
    """
    rng = np.random.default_rng(seed)
    repeats = [rng.permutation(len(labels)) for _ in range(-(-size // len(labels)))]
    order = np.concatenate(repeats)[:size]
    return images[order], labels[order]
