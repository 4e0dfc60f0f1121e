"""Training sets from the bytes of any of this package's files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num, Shaped

from fewbits.coding import InputError
from fewbits.io.image_sets import forms
from fewbits.io.image_sets.forms import Form
from lgc import files


class Decompressed(NamedTuple):
    """A training set drawn from a file.

    Attributes:
      images: in the dtype, unit and axes of the images that the file was made of.
      labels: likewise, such as the same texts.
      soft_labels: class probabilities of each image, classes by ascending label value; None for
        files that hold none, which is all kinds of files today.
    """

    images: Num[np.ndarray, "n height width ..."]
    labels: Shaped[np.ndarray, "n ..."]
    soft_labels: Float[np.ndarray, "n classes"] | None


def decompress(data: bytes, *, per_class: int | None = None, seed: int = 0) -> Decompressed:
    """Draw a training set from a file of `lgc.compress` or `lgc.distill`.

    The same file and seed give the same images.

    Args:
      data: the bytes of the file.
      per_class: images of each class (with groups, of each class in each group); None for as many
        as were compressed (mixtures), or for the stored images without augmentation (distilled
        images and subsets).
      seed: of the latents or the augmentation.

    Returns:
      Images and labels, class by class.

    Raises:
      FormatError: not an undamaged file of this package.
      InputError: `data` is no bytes, or `per_class` is not positive.

    Example:
      >>> import lgc, numpy as np
      >>> images = np.zeros((20, 8, 8), np.uint8)
      >>> config = lgc.Config(hidden=8, latent=2, epochs=1, components=1)
      >>> data = lgc.compress(images, np.arange(20) % 2, config=config)
      >>> drawn = lgc.decompress(data, per_class=3, seed=1)
      >>> drawn.images.shape, drawn.labels.tolist(), drawn.soft_labels
      ((6, 8, 8), [0, 0, 0, 1, 1, 1], None)
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(
            f"decompress takes the bytes of a file, got {type(data).__name__}; "
            "read it with pathlib.Path(name).read_bytes()"
        )
    if per_class is not None and per_class < 1:
        raise InputError(f"per_class is {per_class}; use 1 or more")
    form = forms.of_file(data)
    return _own(*files.sample(data, per_class=per_class, seed=seed), form)


def stream(data: bytes, batch_size: int, *, seed: int = 0) -> Iterator[Decompressed]:
    """Endless batches of training images, drawn one batch at a time.

    For training from a file: only the file's contents and one batch are in memory. Classes (with
    groups, classes in groups) are drawn in equal shares, in random order. The same file, batch size
    and seed give the same batches.

    Args:
      data: the bytes of a file of `lgc.compress` or `lgc.distill`.
      batch_size: images of a batch, 1 or more.
      seed: of latents, augmentation and order.

    Returns:
      An iterator without end of `Decompressed`.

    Raises:
      FormatError: not an undamaged file of this package.
      InputError: a batch size below 1.

    Example:
      >>> import itertools, lgc, numpy as np
      >>> config = lgc.Config(hidden=8, latent=2, epochs=1, components=1)
      >>> data = lgc.compress(np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2, config=config)
      >>> for images, labels, _ in itertools.islice(lgc.stream(data, 4), 2):
      ...     print(images.shape, sorted(labels.tolist()))
      (4, 8, 8) [0, 0, 1, 1]
      (4, 8, 8) [0, 0, 1, 1]
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; use 1 or more")
    form = forms.of_file(data)
    return (_own(*batch, form) for batch in files.batches(data, batch_size, seed))


def _own(levels: np.ndarray, numbers: np.ndarray, form: Form) -> Decompressed:
    images = forms.from_levels(levels, form)
    return Decompressed(images, forms.from_numbers(numbers, form), None)
