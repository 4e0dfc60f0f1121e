"""Fashion-MNIST's T-shirts, dresses and coats as a bit-allocation problem, and honest accuracies.

Shared by the `bitalloc_*` experiments. The test images enter `measure` alone, which packs them to
bytes with a finished model file and has a subprocess decode these.
"""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import bitalloc
from bitalloc import message_file
from bitalloc import model as models
from bitalloc.encoders import sensors, thresholds
from bitalloc.encoders.bottleneck import BottleneckConfig
from bitalloc.fitting import proposals
from bitalloc.fitting.fit import FitConfig, Problem, Sample
from experiments.runner import subprocesses
from experiments.runner.folder import Data
from fewbits.coding import container
from fewbits.io import datasets

CLASSES = (0, 3, 4)
"""T-shirt/top, dress, coat."""
IMAGE_SHAPE = (28, 28)

EPOCHS_ALONE: dict[str, Any] = {"min_steps": 0, "evaluations": 0}
"""Trainings of the recorded runs: their epochs and no more, the last parameters."""

RECORDED = FitConfig(
    smaller_budgets=False,
    informed_split=False,
    precisions=(),
    receiver=BottleneckConfig(epochs=15, min_steps=0, evaluations=0),
)
"""Settings of the recorded runs: every bit is used, and weights are stored as float32."""


def three_classes(split: str, data_dir: str | None) -> Sample:
    """The 18,000 training or 3,000 test images of the three classes, labels 0..2."""
    images = datasets.load("fashion_mnist", split, data_dir=data_dir)
    chosen = np.isin(images.labels, CLASSES)
    features = np.asarray(images.pixels)[chosen].reshape(-1, IMAGE_SHAPE[0] * IMAGE_SHAPE[1])
    return Sample(features, np.searchsorted(CLASSES, images.labels[chosen]).astype(np.int32))


def problem(config: Any, seed: int, view: str, data: Data) -> Problem:
    """A random training and validation part of the training images.

    Args:
      config: with `n_train` images to fit on and `n_validation` to choose on.
      seed: of the cut.
      view: `central` or `quadrants`.
      data: where the images are.
    """
    train = three_classes("train", data.data_dir)
    order = np.random.default_rng(seed).permutation(len(train.labels))
    first, second = np.split(order[: config.n_train + config.n_validation], [config.n_train])
    return Problem(
        Sample(train.features[first], train.labels[first]),
        Sample(train.features[second], train.labels[second]),
        sensors.parse(view, train.features.shape[1], IMAGE_SHAPE),
        IMAGE_SHAPE,
        CLASSES,
    )


def gains(problem: Problem, n_levels: int, n_depths: int) -> jax.Array:
    """Float[784, n_depths]: information about the class of a pixel's best quantiser of each depth.

    Of the precision in which it is called.
    """
    candidates = proposals.find_candidates(problem, n_levels)
    histogram = thresholds.class_histograms(
        candidates.level, problem.train.labels, n_levels, len(problem.classes)
    )
    best = jax.jit(thresholds.best_quantisers, static_argnums=1)
    return best(jnp.asarray(histogram, float), n_depths).gain_bits


def accuracy_percent(model: models.Model, sample: Sample) -> float:
    """Share of a sample that is decoded rightly from its packed bytes, in this process."""
    return 100 * models.accuracy(model, sample.features, sample.labels)


def measure(path: Path, test: Sample) -> float:
    """Test accuracy in percent: encode to a file, decode that file in a subprocess.

    Args:
      path: a model file.
      test: images, and the labels that only the comparison sees.
    """
    model_bytes = container.load_bytes(path)
    payload = bitalloc.encode(bitalloc.from_bytes(model_bytes), test.features)
    with tempfile.TemporaryDirectory() as scratch:
        messages, out = Path(scratch) / "messages", Path(scratch) / "labels.npz"
        container.save(
            messages, message_file.write_messages(model_bytes, payload, len(test.labels))
        )
        subprocesses.python("bitalloc", ["decode", path, messages, out])
        with np.load(out) as decoded:
            return 100 * float(np.mean(decoded["labels"] == np.array(CLASSES)[test.labels]))
