"""Whether a file teaches more than random images under a common codec in its bytes or fewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from lgc import files
from lgc.coresets import strategies
from lgc.distillation.search import panel, plain_codecs
from lgc.distillation.search.panel import Accuracies
from lgc.images import check

_TESTED = 2_000
_TRAINED = 6_000
_CLOSE_POINTS = 2.0
"""A lead that is not worth twice the bytes."""
MOST_TWICE = 10_000
"""Images; of more, no second file is made without the held-out ones."""

Make = Callable[[np.ndarray, np.ndarray], bytes]
"""Images and class numbers -> a file like the one that is compared."""


class Comparison(NamedTuple):
    """How much classifiers learn from a file, and from its bytes spent otherwise.

    Attributes:
      n_images: on which they are tested.
      held_out: whether the file that is drawn from was made without these images.
      noise: a difference of accuracies that chance explains (`panel.noise`).
      lossless_bytes: of all images under xz.
      file: accuracies from the file.
      codec: the best common codec, or None where none fits an image of each class.
      codec_images: random images that it stores.
      codec_bytes: of its file.
      plain: accuracies from these images.
      soft: from the file's soft labels, where it has a teacher.
      teacher: accuracy of the teacher alone.
    """

    n_images: int
    held_out: bool
    noise: float
    lossless_bytes: int
    file: Accuracies
    codec: str | None
    codec_images: int
    codec_bytes: int
    plain: Accuracies | None
    soft: Accuracies | None = None
    teacher: float | None = None

    def values(self) -> dict[str, Any]:
        """For JSON."""
        found = (self.file, self.plain, self.soft)
        mappings = [None if each is None else each._asdict() for each in found]
        return {**self._asdict(), **dict(zip(("file", "plain", "soft"), mappings, strict=True))}

    def text(self, n_bytes: int) -> str:
        """A few lines about a file of `n_bytes`."""
        if self.lossless_bytes <= n_bytes:
            return (
                f"all images as xz take {self.lossless_bytes:,} bytes without loss, no more than "
                "this file: for a set like this use that, or `fewbits lgc distill`"
            )
        tested = (
            f"such a file of the other images, tested on {self.n_images:,} held-out ones"
            if self.held_out
            else f"this file, tested on {self.n_images:,} of its own images, which favours it"
        )
        lines = [f"classifiers trained on {tested}: {self.file.text()}"]
        if self.soft is not None and self.teacher is not None:
            lines.append(
                f"with its soft labels (decompress --heavy): {self.soft.text()}; its teacher "
                f"alone: {100 * self.teacher:.1f} %"
            )
        if self.plain is None:
            return "\n".join(lines)
        lines.append(
            f"on {self.codec_images:,} random images as {self.codec}, {self.codec_bytes:,} bytes: "
            f"{self.plain.text()}"
        )
        best = self.file if self.soft is None else self.file.best(self.soft)
        points = 100 * (best.mean() - self.plain.mean())
        close = max(_CLOSE_POINTS, 100 * self.noise)
        instead = "for a set like this use `fewbits lgc distill --budget-bytes N`, or the codec"
        if points <= -100 * self.noise:
            lines.append(f"the file is {-points:.1f} points worse, on average: {instead}")
        elif points < close and self.codec_bytes <= n_bytes / 2:
            share = self.codec_bytes / n_bytes
            lines.append(f"the codec teaches about as much in {share:.0%} of the bytes: {instead}")
        elif abs(points) < 100 * self.noise:
            lines.append(
                f"a difference of {abs(points):.1f} points, on average, within the noise of the "
                f"held-out images ({100 * self.noise:.1f} points)"
            )
        else:
            lines.append(f"the file is {points:.1f} points better, on average")
        return "\n".join(lines)


def compare(
    data: bytes,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int = 0,
    make: Make | None = None,
) -> Comparison | None:
    """Compare a file of mixtures with random images in its bytes, by two quick classifiers.

    They are the nearest neighbour and ridge regression on random features (`panel`), tested on a
    fifth of the images, at most 2,000, which the codecs do not store. Mixtures that were fitted to
    these images as well would be favoured, by tens of points where images are few: with `make`,
    what is drawn comes from a file of the other images.

    Args:
      data: the file.
      images: uint8[N, H, W] or [N, H, W, C], what was compressed.
      labels: integers [N].
      seed: of the choice and of the drawn images.
      make: makes the file of the other images; None to draw from `data` itself.

    Returns:
      The comparison; None where no class has a third image to test.
    """
    checked = check(images, labels)
    order = strategies.stratified_permutation(jax.random.key(seed), checked.classes)
    pixels, classes = checked.pixels[order], checked.classes[order]
    tested = _tested(classes, np.random.default_rng(seed))
    if not len(tested):
        return None
    stored = np.delete(np.arange(len(order)), tested)
    tests = (pixels[tested], classes[tested])
    plain = list(plain_codecs.plain_files(pixels[stored], classes[stored], len(data)))
    lossless = plain_codecs.xz_bytes(pixels)
    if make is not None:
        data = make(pixels[stored], np.asarray(labels)[order][stored])
    per_class = -(-_TRAINED // len(checked.labels))
    drawn, numbers = files.sample(data, per_class=per_class, seed=seed)
    known = np.searchsorted(np.array(checked.labels), numbers)
    ours = _accuracies((drawn, known), tests)
    soft = alone = None
    if (teacher := files.teacher_of(data)) is not None:
        heavy, _ = files.sample(data, per_class=per_class, seed=seed, heavy=teacher.mixing)
        soft = _accuracies((heavy, teacher.probabilities(heavy)), tests)
        alone = panel.balanced_accuracy(teacher.probabilities(tests[0]).argmax(axis=1), tests[1])
    best, theirs = None, None
    for each in plain:
        found = _accuracies(each.images, tests)
        if theirs is None or found.mean() > theirs.mean():
            best, theirs = each, found
    said = (None, 0, 0) if best is None else (best.name, len(best.images[1]), best.n_bytes)
    noise = panel.noise((ours if soft is None else ours.best(soft)).mean(), tests[1])
    held_out = make is not None
    return Comparison(len(tested), held_out, noise, lossless, ours, *said, theirs, soft, alone)


def _tested(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Indices of a fifth of each class that leaves two images of it, `_TESTED` at most in all."""
    share = min(0.2, _TESTED / len(classes))
    chosen = [
        rng.permutation(members)[: min(max(1, round(share * len(members))), len(members) - 2)]
        for members in (np.flatnonzero(classes == each) for each in np.unique(classes))
    ]
    return np.concatenate(chosen)


def _accuracies(train: panel.TrainingSet, tests: panel.TrainingSet) -> Accuracies:
    return Accuracies(panel.neighbour(train, *tests), panel.ridge(train, *tests))
