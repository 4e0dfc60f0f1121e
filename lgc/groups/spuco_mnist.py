"""SpuCo MNIST: digits with a background colour that is spuriously correlated with the class.

Joshi et al. (2023), "Towards mitigating spurious correlations in the wild", from MNIST alone. The
ten digits make C classes of neighbouring digits (C = 5 in the literature; C = 10 in
"Latent Gaussian Compression"). In training the background of class c has colour c but for a
share 1 - s, s the *strength*, that takes the other colours in turn. In validation and test sets
all colours are equally frequent in each class. A *group* is a class on a background,
C * class + background; what counts is the worst group's accuracy.

Only pixels that are exactly zero are coloured: the digits' soft rims stay dark. Differs from the
package of the same name: colours are rounded to bytes, and the validation part is drawn by us,
since its list of images is the package's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from fewbits.io.datasets import Images, split_validation
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc.groups.grouped_compression import equal_groups

VALIDATION_SHARE = 11_996 / 60_000
"""Of the official training images; the package's own number."""

Mask = Literal["large", "medium", "small", "variance_low", "variance_medium", "variance_high"]
_PATCH = {"medium": 4, "small": 2, "variance_low": 7}
"""Side of the coloured square in the upper left corner."""
_SCATTERED = 49
"""Coloured pixels of an image where they are drawn at random."""
_CORE_THRESHOLD = 0.25


@dataclass(frozen=True)
class Colouring:
    """How images are coloured.

    Attributes:
      n_classes: C, of classes and of colours; divides 10.
      strength: s, share of a class's training images on the background of its own colour.
      palette: "hsv", the literature's, or "tab10", that of "Latent Gaussian
        Compression".
      mask: which pixels are background: all of them, a corner, or 49 at random.
      label_noise: share of training images that get a wrong class, their background kept.
      core_noise: whether to blot out a random 60 % of each digit's pixels.
    """

    n_classes: int = 5
    strength: float = 0.995
    palette: Literal["hsv", "tab10"] = "hsv"
    mask: Mask = "large"
    label_noise: float = 0.0
    core_noise: bool = False

    def __post_init__(self):
        if self.n_classes not in (2, 5, 10):
            raise ValueError(f"n_classes is {self.n_classes}; use 2, 5 or 10")
        for name in ("strength", "label_noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use a share from 0 to 1")


class Grouped(NamedTuple):
    """Coloured images.

    Attributes:
      pixels: uint8[n, height, width, 3].
      classes: int32[n], the labels.
      backgrounds: int32[n], number of the colour.
      n_classes: C.
    """

    pixels: np.ndarray
    classes: np.ndarray
    backgrounds: np.ndarray
    n_classes: int

    @property
    def groups(self) -> np.ndarray:
        """int32[n], C * class + background."""
        return self.n_classes * self.classes + self.backgrounds

    def counts(self) -> np.ndarray:
        """int64[C * C], images of each group."""
        return np.bincount(self.groups, minlength=self.n_classes**2)

    def images(self) -> Images:
        """Pixels and labels, the groups forgotten."""
        return Images(self.pixels, self.classes, tuple(map(str, range(self.n_classes))))

    def take(self, rows: np.ndarray) -> Grouped:
        """The images of these rows."""
        return self._replace(
            pixels=self.pixels[rows],
            classes=self.classes[rows],
            backgrounds=self.backgrounds[rows],
        )

    def equalised(self, seed: int) -> Grouped:
        """As many images of every group as the smallest has."""
        counts = self.counts()[self.counts() > 0]
        return self.take(equal_groups(self.groups, int(counts.min()) * len(counts), seed))

    def examples(self, count: int) -> Grouped:
        """A few images, of as many groups as can be."""
        groups, firsts = np.unique(self.groups, return_index=True)
        # Diagonal by diagonal, so that few images show each class and each background.
        n = self.n_classes
        return self.take(firsts[np.argsort((groups % n - groups // n) % n, kind="stable")][:count])


def benchmark(
    train: Images, test: Images, colouring: Colouring, seed: int
) -> tuple[Grouped, Grouped, Grouped]:
    """The training set, and the validation and test sets with all groups equally large.

    The validation part and its colours do not depend on the seed, nor do the test's colours.

    Args:
      train: official training digits, of which a part is for validation.
      test: official test digits.
      colouring: see there.
      seed: of the training set's colours.
    """
    held_out = round(VALIDATION_SHARE * len(train.labels))
    digits, validation = split_validation(train, held_out)
    return (
        training_set(digits, colouring, seed),
        balanced_set(validation, colouring, 0),
        balanced_set(test, colouring, 0),
    )


def training_set(digits: Images, colouring: Colouring, seed: int) -> Grouped:
    """Coloured so that a share `strength` of each class has the class's own colour.

    Args:
      digits: uint8[n, height, width, 1], labels 0 to 9.
      colouring: see there.
      seed: of which image gets which background.
    """
    rng = np.random.default_rng(seed)
    classes = _classes(digits, colouring)
    noisy = _with_noise(rng, classes, colouring)
    backgrounds = np.empty(len(classes), np.int32)
    for own in range(colouring.n_classes):
        members = np.flatnonzero(classes == own)
        n_own = int(colouring.strength * len(members))
        others = np.delete(np.arange(colouring.n_classes), own)
        rest = others[np.arange(len(members) - n_own) % (colouring.n_classes - 1)]
        backgrounds[members] = rng.permutation(np.concatenate([np.full(n_own, own), rest]))
    return _coloured(rng, digits, noisy, backgrounds, colouring)


def balanced_set(digits: Images, colouring: Colouring, seed: int) -> Grouped:
    """Coloured so that all backgrounds are equally frequent in each class: validation and test."""
    rng = np.random.default_rng(seed)
    classes = _classes(digits, colouring)
    backgrounds = np.empty(len(classes), np.int32)
    for own in range(colouring.n_classes):
        members = np.flatnonzero(classes == own)
        backgrounds[members] = rng.permutation(np.arange(len(members)) % colouring.n_classes)
    return _coloured(rng, digits, classes, backgrounds, colouring)


class GroupAccuracies(NamedTuple):
    """Of one classifier.

    Attributes:
      worst: the least of all groups' accuracies.
      average: mean over groups, weighted by their share of the *training* set as usual.
      even: mean over groups with equal weights.
      each: float64[C * C].
    """

    worst: float
    average: float
    even: float
    each: np.ndarray


def group_accuracies(
    predictions: np.ndarray, test: Grouped, training_counts: np.ndarray
) -> GroupAccuracies:
    """Accuracies by group, in [0, 1].

    Args:
      predictions: int[test images].
      test: every group of it has images.
      training_counts: int[C * C], images of each group in the training set.
    """
    right = predictions == test.classes
    counts = test.counts()
    each = np.bincount(test.groups, weights=right, minlength=len(counts)) / counts
    average = float(each @ training_counts / training_counts.sum())
    return GroupAccuracies(float(each.min()), average, float(each.mean()), each)


def learned(
    classifier: ClassifierConfig,
    images: tuple[np.ndarray, np.ndarray],
    train: Grouped,
    test: Grouped,
    seed: int,
) -> GroupAccuracies:
    """What a classifier learns of images, such as those of a compressed training set.

    Args:
      classifier: network and training.
      images: pixels and classes.
      train: the training set that they stand for.
      test: every group of it has images.
      seed: of the training.
    """
    outcome = downstream.train(classifier, [images], test.images(), seeds=(seed,), runs_per_chunk=1)
    return group_accuracies(np.asarray(outcome.predictions)[0, 0], test, train.counts())


def colours(colouring: Colouring) -> np.ndarray:
    """uint8[C, 3]: the colour map at 0, 1/C, 2/C, ..."""
    import matplotlib as mpl  # slow to import, and used here only

    chosen = mpl.colormaps[colouring.palette](np.arange(colouring.n_classes) / colouring.n_classes)
    return np.round(255 * np.asarray(chosen)[:, :3]).astype(np.uint8)


def _classes(digits: Images, colouring: Colouring) -> np.ndarray:
    return (digits.labels // (10 // colouring.n_classes)).astype(np.int32)


def _with_noise(rng: np.random.Generator, classes: np.ndarray, colouring: Colouring) -> np.ndarray:
    noisy = classes.copy()
    wrong = rng.permutation(len(classes))[: int(colouring.label_noise * len(classes))]
    step = rng.integers(1, colouring.n_classes, len(wrong))
    noisy[wrong] = (classes[wrong] + step) % colouring.n_classes
    return noisy


def _coloured(
    rng: np.random.Generator,
    digits: Images,
    classes: np.ndarray,
    backgrounds: np.ndarray,
    colouring: Colouring,
) -> Grouped:
    grey = digits.pixels
    if colouring.core_noise:
        grey = grey * (rng.standard_normal(grey.shape) > _CORE_THRESHOLD).astype(np.uint8)
    background = (grey == 0) & _mask(rng, grey.shape, colouring.mask)
    pixels = np.where(background, colours(colouring)[backgrounds][:, None, None, :], grey)
    return Grouped(pixels, classes, backgrounds, colouring.n_classes)


def _mask(rng: np.random.Generator, shape: tuple[int, ...], kind: Mask) -> np.ndarray:
    """bool[n or 1, height, width, 1]: where a background may be."""
    count, height, width, _ = shape
    if kind in ("variance_medium", "variance_high"):
        halved = kind == "variance_medium"
        inside = (height // 2, width // 2) if halved else (height, width)
        order = rng.random((count, inside[0] * inside[1])).argsort(axis=1)
        mask = np.zeros((count, height, width, 1), bool)
        mask[:, : inside[0], : inside[1], 0] = (order < _SCATTERED).reshape(count, *inside)
        return mask
    mask = np.zeros((1, height, width, 1), bool)
    side = _PATCH.get(kind, max(height, width))
    mask[:, :side, :side] = True
    return mask
