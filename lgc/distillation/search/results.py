"""What the anytime search finds, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import panel
from lgc.distillation.search.panel import Accuracies


class Distilled(NamedTuple):
    """A file within a budget, and how it was made.

    Attributes:
      data: of the file.
      point: its operating point.
      accuracies: on held-out images, of classifiers trained on what such a file gives.
      seconds: since the search began.
    """

    data: bytes
    point: OperatingPoint
    accuracies: Accuracies
    seconds: float


class OutOfTime(Exception):
    """Ends a stage whose result is then not used."""


class Compared(NamedTuple):
    """What the same bytes teach under a common codec.

    Attributes:
      name: of the codec.
      n_bytes: of its file.
      n_images: in it.
      accuracies: on the same held-out images by the same proxies.
    """

    name: str
    n_bytes: int
    n_images: int
    accuracies: Accuracies


class HeldOut(NamedTuple):
    """Classes of the images that gave accuracies.

    Attributes:
      quick: int[m], those of the nearest neighbour and of ridge regression.
      convnet: int[v], those of the ConvNet.
    """

    quick: np.ndarray
    convnet: np.ndarray

    def noise(self, accuracies: Accuracies) -> float:
        """Of the mean of accuracies, in [0, 1] (`panel.noise`), were they wrong all together."""
        accuracy = accuracies.mean()
        trained = [self.quick, self.quick] + [self.convnet] * (accuracies.convnet is not None)
        return sum(panel.noise(accuracy, each) for each in trained) / len(trained)


class AgainstCodecs(NamedTuple):
    """A file beside random images under common codecs.

    Attributes:
      file: accuracies of classifiers trained on it with hard labels.
      codecs: with the same bytes, sorted by what they teach, best first.
      missing: what there was no time for.
      held_out: the images that gave the accuracies.
    """

    file: Accuracies
    codecs: list[Compared]
    missing: tuple[str, ...]
    held_out: HeldOut


OnBetter = Callable[[Distilled], None]


class Alone(NamedTuple):
    """A teacher as a classifier.

    Attributes:
      n_bytes: of its weights in the file.
      accuracy: on held-out images, in [0, 1].
    """

    n_bytes: int
    accuracy: float
