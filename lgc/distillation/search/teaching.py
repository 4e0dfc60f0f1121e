"""Teachers of the anytime search: trained once for each width, and the sets that they label."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

import jax
import numpy as np

from fewbits.training.method import Key
from lgc.config import Progress
from lgc.coresets.downsampling import Downsampling
from lgc.distillation.augmentation import Augmentation, augmented_set
from lgc.distillation.search.config import AUGMENTATIONS, WIDE
from lgc.distillation.search.panel import TrainingSet
from lgc.teachers import mixing, network, teacher_file, training
from lgc.teachers.mixing import Mixing
from lgc.teachers.teacher_file import Teacher

SHARES = (0.3, 0.45, 0.15)
"""Of a budget that a teacher may take."""
FEW = 200
"""Images that are mixed in nearly every drawing."""


class Teaching:
    """The teachers of one image set.

    Args:
      key: typed PRNG key.
      images: uint8[n, H, W, C], the teachers' training images.
      classes: int[n], theirs.
      steps: of training a teacher.
      bits_weight: see `training.train`.
      progress: told of it; may raise to end it.
    """

    def __init__(
        self,
        key: Key,
        images: np.ndarray,
        classes: np.ndarray,
        steps: int,
        bits_weight: float,
        progress: Progress,
    ):
        self._key, self._images, self._classes = key, images, classes
        self._steps, self._bits_weight, self._progress = steps, bits_weight, progress
        self._n_classes = int(classes.max()) + 1
        self._sections: dict[int, bytes] = {}

    def width(self, n_bytes: float) -> int:
        """Of the widest teacher of about so many bytes; 0 if none is so small."""
        return network.width_for(self._images.shape[1:], self._n_classes, n_bytes)

    def section(self, width: int, ranges: Augmentation) -> bytes:
        """The weights of a teacher as they stand in a file.

        Args:
          width: of its network.
          ranges: of its training images; those of its first training stay.
        """
        if width not in self._sections:
            self._sections[width] = training.train(
                jax.random.fold_in(self._key, width), self._images, self._classes, width,
                self._steps, ranges=ranges, bits_weight=self._bits_weight,
                progress=self._progress,
            )  # fmt: skip
        return self._sections[width]

    def teacher(self, width: int, heavy: Mixing) -> Teacher:
        """One that has been trained."""
        return Teacher(teacher_file.stored(self._sections[width]), heavy)


def soft_set(stored: TrainingSet, teacher: Teacher, per_class: int, seed: int = 0) -> TrainingSet:
    """Images drawn for soft labels, and these; as `lgc.decompress` with `heavy` gives them."""
    drawn, _ = augmented_set(seed, *stored, per_class, teacher.mixing.ranges)
    shown = mixing.mixed(np.random.default_rng(seed), drawn, teacher.mixing)
    return shown, teacher.probabilities(shown)


def mixings(ranges: Augmentation, n_images: int) -> tuple[Mixing, ...]:
    """Heavy augmentations to try, where `ranges` are the best for hard labels.

    The fewer images there are, the more has to be made of each.
    """
    wide, wider = (
        Augmentation(*(max(pair) for pair in zip(ranges, known, strict=True)))
        for known in (WIDE, AUGMENTATIONS[-1])
    )
    usual = Mixing(ranges, 25, 35), Mixing(wide, 25, 35)
    return usual if n_images > FEW else (*usual, Mixing(wider, 20, 80))


def neighbours(known: Iterable[Downsampling], of: Downsampling) -> list[Downsampling]:
    """The two next with more and the two next with fewer bits an image, in turn.

    With a teacher the number of images matters less: fewer of finer ones may teach more, and where
    few fit, more of cruder ones.
    """

    def bits(each: Downsampling) -> float:
        return each.bits / each.factor**2

    ordered = sorted(known, key=bits)
    finer = [each for each in ordered if bits(each) > bits(of)][:2]
    cruder = [each for each in reversed(ordered) if bits(each) < bits(of)][:2]
    return [each for pair in zip_longest(finer, cruder) for each in pair if each is not None]
