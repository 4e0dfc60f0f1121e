"""Fashion-MNIST's T-shirts, dresses and coats as a bit-allocation problem, and honest accuracies.

Shared by the `bitalloc_*` experiments. The test images enter `measure` alone, which packs them to
bytes with a finished model file and has a subprocess decode these.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import bitalloc
from bitalloc.encoders import sensors
from bitalloc.encoders.bottleneck import BottleneckConfig
from bitalloc.fitting.fit import FitConfig, Problem, Sample
from experiments.runner import plots, subprocesses
from experiments.runner.experiment import Experiment, Record
from experiments.runner.folder import Data
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

PUBLISHED = {("central", 4): 67.0, ("central", 160): 87.0, ("quadrants", 160): 79.0}
"""View and bits -> accuracy in percent."""
UNCOMPRESSED_PUBLISHED = 89.8


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


def measure(path: Path, test: Sample) -> float:
    """Test accuracy in percent of messages that a subprocess decodes with the file of a model.

    Args:
      path: a model file.
      test: images, and the labels that only the comparison sees.
    """
    messages = bitalloc.encode(bitalloc.load(path), test.features)
    labels = subprocesses.call(_decoded, path, messages, len(test.labels))
    return 100 * float(np.mean(labels == np.array(CLASSES)[test.labels]))


def _decoded(path: Path, messages: bytes, count: int) -> np.ndarray:
    return bitalloc.decode(bitalloc.load(path), messages, count)


def against_published(experiment: Experiment, record: Record) -> dict[str, Figure]:
    """The published figure redrawn, ours beside it, with two lines to compare with."""
    figure, axes = plots.draw(experiment, record.of(experiment.row_types[0]))
    for axis in axes.values():
        for value, label, colour in (
            (UNCOMPRESSED_PUBLISHED, "published, uncompressed", plots.PUBLISHED),
            (200 / 3, "one bit's limit, 2/3", plots.BASELINE),
        ):
            axis.axhline(value, color=colour, lw=0.8, ls=":")
            place = {"xy": (0.6, value + 0.4), "xycoords": axis.get_yaxis_transform()}
            axis.annotate(label, **place, color=colour, fontsize=7)
    return {"accuracy_against_bits": figure}
