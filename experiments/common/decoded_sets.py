"""Training sets that a subprocess has decoded from a file."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lgc
from experiments.runner import subprocesses
from fewbits.coding import container
from fewbits.io.datasets import Images
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc.coresets import lossless_subset

CONVNET = ClassifierConfig("convnet", 4_000, 64, 2e-3, 32, True)
REPORT_CNN = ClassifierConfig(steps=8_000, falling=True)
"""Classifiers that most experiments train; the published one of `lgc`, with a falling rate."""


def from_archive(
    path: Path, per_class: int | None, seed: int, *, by_teacher: str | None = None, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels drawn from a file of `lgc`; None for as many as it says itself.

    Heavily augmented images with `by_teacher` "hard" or "soft", which are its teacher's labels.
    """
    options |= {"per_class": per_class, "seed": seed, "heavy": by_teacher is not None}
    draw = partial(lgc.decompress, **options)
    images, labels, soft_labels = subprocesses.call(draw, path.read_bytes())
    return images, soft_labels if by_teacher == "soft" else labels


def percent_learned(
    path: Path | None,
    per_class: int,
    seed: int | None,
    classifier: ClassifierConfig,
    test: Images,
    first: int = 0,
) -> float:
    """Test accuracy of a classifier of what `from_archive` draws; see `downstream.train`.

    Path and seed are those of a row; published ones, which have neither, are not measured.
    """
    assert path is not None
    assert seed is not None
    drawn = from_archive(path, per_class, seed)
    return downstream.accuracy_percent(classifier, drawn, test, seed, first=first)


def from_subset(path: Path, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A lossless subset, repeated to the size of the other training sets."""
    images, labels = subprocesses.call(lossless_subset.read, container.load_bytes(path))
    return downstream.to_size(images, labels, size, seed)
