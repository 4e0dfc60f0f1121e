"""Training sets from the bytes of any of this package's files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num, Shaped
from numpy.typing import ArrayLike

from fewbits.coding import InputError
from fewbits.io.image_sets import conforming, forms
from fewbits.io.image_sets.forms import Form
from lgc import files
from lgc.arguments import check_count, is_positive_number
from lgc.teachers.teacher_file import Teacher, softened


class Decompressed(NamedTuple):
    """A training set drawn from a file.

    Attributes:
      images: in the dtype, unit and axes of the images that the file was made of.
      labels: likewise, such as the same texts.
      soft_labels: the teacher's class probabilities of each image, classes by ascending label
        value; None for files without a teacher. They are computed in floats, so that another
        machine may round them differently.
    """

    images: Num[np.ndarray, "n height width ..."]
    labels: Shaped[np.ndarray, "n ..."]
    soft_labels: Float[np.ndarray, "n classes"] | None


def decompress(
    data: bytes,
    *,
    per_class: int | None = None,
    seed: int = 0,
    heavy: bool = False,
    temperature: float = 1.0,
) -> Decompressed:
    """Draw a training set from a file of `lgc.compress` or `lgc.distill`.

    The same file and seed give the same images.

    From a file with a teacher there are two kinds of training sets. By default images are drawn so
    that the labels of the stored images hold. With `heavy` they are augmented more, mixed and cut,
    and the teacher labels them: train on the soft labels or, where your method cannot use these, on
    the hard ones, which are the teacher's most probable classes and in no equal shares. Either is
    usually better.

    Args:
      data: the bytes of the file.
      per_class: images of each class (with groups, of each class in each group); None for as many
        as were compressed (mixtures), or for the stored images without augmentation (distilled
        images and subsets).
      seed: of the latents or the augmentation.
      heavy: whether to augment images for training on soft labels.
      temperature: of the soft labels, with `heavy` or without: what the teacher's logits are
        divided by. Above 1 they say more of the less probable classes, and networks often learn
        faster from them. The hard labels do not depend on it.

    Returns:
      Images and labels, class by class.

    Raises:
      FormatError: not an undamaged file of this package.
      InputError: `data` is no bytes, `per_class` or `temperature` is not positive, `heavy` without
        a teacher or without `per_class`, or `temperature` without a teacher.

    Example:
      >>> import lgc, numpy as np
      >>> images = np.zeros((20, 8, 8), np.uint8)
      >>> config = lgc.Config(hidden=8, latent=2, epochs=1, components=1)
      >>> data = lgc.compress(images, np.arange(20) % 2, config=config)
      >>> drawn = lgc.decompress(data, per_class=3, seed=1)
      >>> drawn.images.shape, drawn.labels.tolist(), drawn.soft_labels
      ((6, 8, 8), [0, 0, 0, 1, 1, 1], None)
    """
    _check_bytes(data, "decompress")
    if per_class is not None:
        check_count(per_class, "per_class")
    if heavy and per_class is None:
        raise InputError("heavy augmentation needs per_class, the number of images of each class")
    form, teacher = forms.of_file(data), files.teacher_of(data)
    _check_temperature(temperature, teacher)
    drawn = files.sample(
        data, per_class=per_class, seed=seed, heavy=_needed(teacher).mixing if heavy else None
    )
    values = files.label_values(data) if heavy else None
    return _own(*drawn, form, teacher, values, temperature)


def stream(
    data: bytes,
    batch_size: int,
    *,
    seed: int = 0,
    heavy: bool = False,
    temperature: float = 1.0,
) -> Iterator[Decompressed]:
    """Endless batches of training images, drawn one batch at a time.

    For training from a file: only the file's contents and one batch are in memory. Classes (with
    groups, classes in groups) are drawn in equal shares, in random order. The same file, batch size
    and seed give the same batches.

    Args:
      data: the bytes of a file of `lgc.compress` or `lgc.distill`.
      batch_size: images of a batch, 1 or more.
      seed: of latents, augmentation and order.
      heavy: whether to augment images for training on soft labels; see `decompress`.
      temperature: of the soft labels; see `decompress`.

    Returns:
      An iterator without end of `Decompressed`.

    Raises:
      FormatError: not an undamaged file of this package.
      InputError: a batch size below 1, a temperature that is not positive, or `heavy` or a
        temperature for a file without a teacher.

    Example:
      >>> import itertools, lgc, numpy as np
      >>> config = lgc.Config(hidden=8, latent=2, epochs=1, components=1)
      >>> data = lgc.compress(np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2, config=config)
      >>> for images, labels, _ in itertools.islice(lgc.stream(data, 4), 2):
      ...     print(images.shape, sorted(labels.tolist()))
      (4, 8, 8) [0, 0, 1, 1]
      (4, 8, 8) [0, 0, 1, 1]
    """
    _check_bytes(data, "stream")
    check_count(batch_size, "batch_size")
    form, teacher = forms.of_file(data), files.teacher_of(data)
    _check_temperature(temperature, teacher)
    drawn = files.batches(data, batch_size, seed, _needed(teacher).mixing if heavy else None)
    values = files.label_values(data) if heavy else None
    return (_own(*batch, form, teacher, values, temperature) for batch in drawn)


def classify(
    data: bytes, images: Num[ArrayLike, "n height width *channels"]
) -> Float[np.ndarray, "n classes"]:
    """Class probabilities of any images, by the teacher in a file.

    A teacher is a classifier of a few kilobytes. It is there to label what is drawn from its file;
    who only wants a classifier can use it alone.

    Args:
      data: the bytes of a file with a teacher.
      images: in the dtype, unit and axes of those that the file was made of; a value beyond
        their range counts as its end.

    Returns:
      Probabilities, classes by ascending label value.

    Raises:
      FormatError: not an undamaged file of this package.
      InputError: a file without a teacher, or images of another shape, dtype or unit.

    Example:
      >>> import pathlib, lgc
      >>> data = pathlib.Path("digits.lgc").read_bytes()  # doctest: +SKIP
      >>> lgc.classify(data, test_images).argmax(axis=1)  # doctest: +SKIP
      array([7, 2, 1])
    """
    _check_bytes(data, "classify")
    form, teacher = forms.of_file(data), _needed(files.teacher_of(data))
    return teacher.probabilities(conforming.levels(images, form, files.image_shape(data)))


def _check_bytes(data: bytes, what: str) -> None:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(
            f"{what} takes the bytes of a file, got {type(data).__name__}; "
            "read it with pathlib.Path(name).read_bytes()"
        )


def _check_temperature(temperature: float, teacher: Teacher | None) -> None:
    if not is_positive_number(temperature) or temperature == math.inf:
        raise InputError(f"temperature is {temperature!r}; use a positive number, such as 4")
    if temperature != 1:
        _needed(teacher)


def _needed(teacher: Teacher | None) -> Teacher:
    if teacher is None:
        raise InputError(
            "this file holds no teacher; make one with lgc.DistillConfig(teacher=BYTES), "
            "lgc.Config(teacher_bytes=BYTES), or --teacher BYTES on the command line"
        )
    return teacher


def _own(
    levels: np.ndarray,
    numbers: np.ndarray,
    form: Form,
    teacher: Teacher | None,
    values: np.ndarray | None,
    temperature: float,
) -> Decompressed:
    """As the user had them; labelled by the teacher where the values of the classes are given."""
    soft_labels = None
    if teacher is not None:
        logits = teacher.logits(levels)
        soft_labels = softened(logits, temperature)
        if values is not None:
            numbers = values[logits.argmax(axis=1)]
    images = forms.from_levels(levels, form)
    return Decompressed(images, forms.from_numbers(numbers, form), soft_labels)
