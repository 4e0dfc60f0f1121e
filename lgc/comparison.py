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
    """

    n_images: int
    lossless_bytes: int
    file: Accuracies
    codec: str | None
    codec_images: int
    codec_bytes: int
    plain: Accuracies | None

    def values(self) -> dict[str, Any]:
        """For JSON."""
        plain = None if self.plain is None else self.plain._asdict()
        return {**self._asdict(), "file": self.file._asdict(), "plain": plain}

    def text(self, n_bytes: int) -> str:
        """A few lines about a file of `n_bytes`."""
        if self.lossless_bytes <= n_bytes:
            return (
                f"all images as xz take {self.lossless_bytes:,} bytes without loss, no more than "
                "this file: for a set like this use that, or `fewbits lgc distill`"
            )
        lines = [f"classifiers trained on this file: {self.file.text()}"]
        if self.plain is None:
            return lines[0]
        lines.append(
            f"on {self.codec_images:,} random images as {self.codec}, {self.codec_bytes:,} bytes: "
            f"{self.plain.text()}"
        )
        points = 100 * (self.file.mean() - self.plain.mean())
        if points < 0:
            lines.append(
                f"the file is {-points:.1f} points worse, on average: for a set like this use "
                "`fewbits lgc distill --budget-bytes N`, or the codec"
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
    best, theirs = None, None
    for each in plain:
        found = _accuracies(each.images, tests)
        if theirs is None or found.mean() > theirs.mean():
            best, theirs = each, found
    if best is None:
        return Comparison(n_tests, lossless, ours, None, 0, 0, None)
    count = len(best.images[1])
    return Comparison(n_tests, lossless, ours, best.name, count, best.n_bytes, theirs)


def _accuracies(train: panel.TrainingSet, tests: panel.TrainingSet) -> Accuracies:
    return Accuracies(panel.neighbour(train, *tests), panel.ridge(train, *tests))
