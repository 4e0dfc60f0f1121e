"""Whether a file teaches more than random images in as many bytes under a common codec."""

from __future__ import annotations

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


class Comparison(NamedTuple):
    """How much classifiers learn from a file, and from its bytes spent otherwise.

    Attributes:
      n_images: on which they are tested.
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
        lines = [
            f"classifiers trained on this file, tested on {self.n_images:,} of its own images, "
            f"which favours it: {self.file.text()}"
        ]
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
        if points < 0:
            lines.append(
                f"the file is {-points:.1f} points worse, on average: for a set like this use "
                "`fewbits lgc distill --budget-bytes N`, or the codec"
            )
        elif points < _CLOSE_POINTS and self.codec_bytes <= n_bytes / 2:
            lines.append(
                f"the codec teaches nearly as much in {self.codec_bytes / n_bytes:.0%} of the "
                "bytes: for a set like this use it, or `fewbits lgc distill --budget-bytes N`"
            )
        return "\n".join(lines)


def compare(data: bytes, images: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Comparison:
    """Compare a file of mixtures with random images in its bytes, by two quick classifiers.

    They are the nearest neighbour and ridge regression on random features (`panel`), tested on a
    fifth of the images, at most 2,000, which the codecs do not store. The mixtures were fitted to
    these images as well, which favours the file.

    Args:
      data: the file.
      images: uint8[N, H, W] or [N, H, W, C], what was compressed.
      labels: integers [N].
      seed: of the choice and of the drawn images.
    """
    checked = check(images, labels)
    order = strategies.stratified_permutation(jax.random.key(seed), checked.classes)
    pixels, classes = checked.pixels[order], checked.classes[order]
    n_tests = min(_TESTED, len(order) // 5)
    tested = np.random.default_rng(seed).permutation(len(order))[:n_tests]
    stored = np.delete(np.arange(len(order)), tested)
    tests = (pixels[tested], classes[tested])
    plain = plain_codecs.plain_files(pixels[stored], classes[stored], len(data))
    per_class = -(-_TRAINED // len(checked.labels))
    drawn, numbers = files.sample(data, per_class=per_class, seed=seed)
    known = np.searchsorted(np.array(checked.labels), numbers)
    ours = _accuracies((drawn, known), tests)
    lossless = plain_codecs.xz_bytes(pixels)
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
    return Comparison(n_tests, lossless, ours, *said, theirs, soft, alone)


def _accuracies(train: panel.TrainingSet, tests: panel.TrainingSet) -> Accuracies:
    return Accuracies(panel.neighbour(train, *tests), panel.ridge(train, *tests))
