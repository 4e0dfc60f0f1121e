"""Proxy evaluation by three classifiers of different kinds.

Who trains on a file's images may train anything. A file that is chosen for a ConvNet alone can be
far worse for others, so the search compares training sets by the mean accuracy of

- the nearest neighbour in pixels,
- ridge regression on random ReLU features (Rahimi and Recht, 2008, "Weighted sums of random kitchen
  sinks"),
- a small ConvNet (`lgc.proxies`).

The first two take a second and decide which training sets the ConvNet is tried on. Accuracies are
means over classes, so that a rare class counts as much as a frequent one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from fewbits.training.method import Key
from lgc import proxies
from lgc.images import LabelledImages
from lgc.teachers.teacher_file import Teacher

_FEATURES = 1024
_RIDGE = 3e-3
"""Of the mean eigenvalue of the features' second moments."""
_ROWS = 512
"""Images compared with all others at a time."""

TrainingSet = tuple[np.ndarray, np.ndarray]
"""Images uint8[n, H, W, C], and class numbers int[n] or soft labels float[n, classes]."""


NAMES = "nearest neighbour", "random-feature ridge", "ConvNet"
"""Of the classifiers, for a user."""


class Accuracies(NamedTuple):
    """Held-out accuracies in [0, 1] of classifiers trained on one set.

    Attributes:
      neighbour: of the nearest neighbour.
      ridge: of ridge regression on random features.
      convnet: of a small ConvNet; None where it was not trained.
    """

    neighbour: float
    ridge: float
    convnet: float | None = None

    def mean(self) -> float:
        """Over the classifiers that were trained."""
        known = [each for each in self if each is not None]
        return sum(known) / len(known)

    def best(self, other: Accuracies) -> Accuracies:
        """Of each classifier the higher accuracy."""
        known = [each for each in (self.convnet, other.convnet) if each is not None]
        return Accuracies(
            max(self.neighbour, other.neighbour),
            max(self.ridge, other.ridge),
            max(known, default=None),
        )

    def text(self) -> str:
        """In percent, for a user."""
        shown = [
            f"{name} {100 * each:.1f} %"
            for name, each in zip(NAMES, self, strict=True)
            if each is not None
        ]
        return ", ".join(shown)


class Panel:
    """The three proxies on the validation part of an image set.

    Args:
      checked: the image set.
      validation: int[m], which of its images give the accuracies.
      key: typed PRNG key of the ConvNet's initialisation and batches, the same for every set.
      steps: of training the ConvNet.
      width: channels of the ConvNet.
      batch_size: of its training.
    """

    def __init__(
        self,
        checked: LabelledImages,
        validation: np.ndarray,
        key: Key,
        *,
        steps: int,
        width: int,
        batch_size: int,
    ):
        self._key = key
        self._pixels, self._classes = checked.pixels[validation], checked.classes[validation]
        # Of several panels, only one may be asked for its ConvNet.
        self._build = partial(
            proxies.build, checked, validation, steps=steps, width=width, batch_size=batch_size
        )

    @cached_property
    def _convnet(self) -> proxies.ProxyEvaluation:
        return self._build()

    def quick(self, *sets: TrainingSet) -> Accuracies:
        """Without the ConvNet; see `quick`."""
        return quick(sets, self._pixels, self._classes)

    def accuracy_of(self, teacher: Teacher) -> float:
        """Of a teacher alone, in [0, 1]."""
        found = teacher.probabilities(self._pixels).argmax(axis=1)
        return balanced_accuracy(found, self._classes)

    def full(self, quick: Accuracies, drawn: TrainingSet) -> Accuracies:
        """With the ConvNet, which is trained on the drawn images."""
        return quick._replace(convnet=self._convnet(self._key, drawn))


def quick(sets: Sequence[TrainingSet], pixels: np.ndarray, classes: np.ndarray) -> Accuracies:
    """Of the two quick proxies, each trained on that of some sets that teaches it most.

    Args:
      sets: images as a file holds them, and augmented ones of the same file, if any.
      pixels: uint8[m, H, W, C], to classify.
      classes: int[m], theirs.
    """
    learners = neighbour, ridge
    return Accuracies(*(max(learn(each, pixels, classes) for each in sets) for learn in learners))


def mean(several: list[Accuracies]) -> Accuracies:
    """Of quick proxies on several validation parts."""
    return Accuracies(*(np.mean([each[:2] for each in several], axis=0).tolist()))


def corrected(here: Accuracies, everywhere: Accuracies, first: Accuracies) -> Accuracies:
    """Quick proxies' accuracies moved by what `everywhere` differs from `first`, in [0, 1]."""
    moved = [a + b - c for a, b, c in zip(here[:2], everywhere[:2], first[:2], strict=True)]
    return Accuracies(*np.clip(moved, 0, 1).tolist())


def balanced_accuracy(found: np.ndarray, classes: np.ndarray) -> float:
    """Mean over the classes of the share of each that was found, in [0, 1]."""
    right = np.bincount(classes[found == classes], minlength=int(classes.max()) + 1)
    counts = np.bincount(classes)
    return float((right[counts > 0] / counts[counts > 0]).mean())


def noise(accuracy: float, classes: np.ndarray) -> float:
    """Two standard errors of an accuracy that is a mean over classes, in [0, 1].

    With p the accuracy, the share of n_k images that is found has the variance p (1 - p) / n_k. A
    hit and a miss are added to the images, so that no accuracy is certain.

    Args:
      accuracy: in [0, 1].
      classes: int[m], of the images that gave it.
    """
    counts = np.bincount(classes)
    counts = counts[counts > 0]
    p = (accuracy * len(classes) + 1) / (len(classes) + 2)
    return 2 * math.sqrt(p * (1 - p) * float((1 / counts).sum())) / len(counts)


def neighbour(train: TrainingSet, pixels: np.ndarray, classes: np.ndarray) -> float:
    """Accuracy in [0, 1] of the nearest neighbour by squared distance.

    Args:
      train: images and class numbers.
      pixels: uint8[m, H, W, C], to classify.
      classes: int[m], theirs.
    """
    given, queries = _flat(train[0]), _flat(pixels)
    lengths = (given**2).sum(axis=1)
    nearest = [
        np.argmin(lengths - 2 * queries[first : first + _ROWS] @ given.T, axis=1)
        for first in range(0, len(queries), _ROWS)
    ]
    known = train[1] if train[1].ndim == 1 else train[1].argmax(axis=1)
    return balanced_accuracy(known[np.concatenate(nearest)], classes)


def ridge(train: TrainingSet, pixels: np.ndarray, classes: np.ndarray, *, seed: int = 0) -> float:
    """Accuracy in [0, 1] of ridge regression on random ReLU features; arguments as above.

    Args:
      train: images and class numbers.
      pixels: uint8[m, H, W, C], to classify.
      classes: int[m], theirs.
      seed: of the features.
    """
    given, queries = _flat(train[0]), _flat(pixels)
    mean = given.mean(axis=0)
    scale = max(float(np.sqrt(((given - mean) ** 2).sum(axis=1).mean())), 1e-6)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((given.shape[1], _FEATURES), np.float32)
    bias = rng.uniform(-0.5, 0.5, _FEATURES).astype(np.float32)

    def features(rows: np.ndarray) -> np.ndarray:
        return np.maximum((rows - mean) / scale @ weights + bias, 0).astype(np.float64)

    targets = train[1].astype(np.float64)
    if train[1].ndim == 1:
        targets = np.eye(int(max(train[1].max(), classes.max())) + 1)[train[1]]
    known = features(given)
    centre, offset = known.mean(axis=0), targets.mean(axis=0)
    known -= centre
    moments = known.T @ known
    moments[np.diag_indices(_FEATURES)] += _RIDGE * np.trace(moments) / _FEATURES + 1e-9
    solved = np.linalg.solve(moments, known.T @ (targets - offset))
    found = (features(queries) - centre) @ solved + offset
    return balanced_accuracy(found.argmax(axis=1), classes)


def _flat(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(len(pixels), -1).astype(np.float32) / 255
