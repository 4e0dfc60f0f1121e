"""Checks of a labelled image set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fewbits.coding import InputError
from fewbits.io.image_sets import forms
from fewbits.io.image_sets.forms import Form


class LabelledImages(NamedTuple):
    """A checked image set, its labels replaced by class numbers.

    Attributes:
      pixels: uint8[N, H, W, C].
      classes: int32[N], 0 to the number of classes - 1.
      labels: the label value of each class, ascending.
      counts: images of each class.
    """

    pixels: np.ndarray
    classes: np.ndarray
    labels: tuple[int, ...]
    counts: tuple[int, ...]


def own_form(images: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray, Form]:
    """A user's arrays as levels uint8 (N, H, W, C) and class numbers int32 (N,), and their form.

    Args:
      images: numbers of any dtype, (N, H, W) or (N, H, W, C). Others than bytes are rounded to 256
        levels, from 0 to 1 and the like (`forms.value_range`).
      labels: whole numbers, text, booleans, a column, or one-hot.

    Raises:
      InputError: arrays that are no such thing, or a class of one image.
    """
    pixels, form = forms.with_channels(np.asarray(images))
    numbers, own = forms.number_labels(labels, len(pixels))
    form = form._replace(
        label_dtype=own.label_dtype, label_axes=own.label_axes, classes=own.classes
    )
    check_counts(numbers, form)
    return forms.as_levels(pixels, form), numbers, form


def check_counts(numbers: np.ndarray, form: Form) -> None:
    """Asserts that no class has one image alone.

    Raises:
      InputError: naming the class as the user does.
    """
    values, counts = np.unique(numbers, return_counts=True)
    if counts.min() < 2:
        lonely = values[[np.argmin(counts)]]
        name = forms.from_numbers(lonely, form._replace(label_axes="n"))[0]
        raise InputError(
            f"class {name} has one image; every class needs at least two, add some or drop it"
        )


def check(images: np.ndarray, labels: np.ndarray) -> LabelledImages:
    """Check shapes, types and class sizes.

    Args:
      images: uint8 (N, H, W) or (N, H, W, C).
      labels: integers (N,), any values that fit int32.

    Raises:
      InputError: something is wrong with either.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise InputError(
            f"images hold {int((~np.isfinite(images)).sum())} values that are NaN or infinite; "
            "clean them and store bytes (uint8, 0 to 255)"
        )
    if images.dtype != np.uint8:
        raise InputError(
            f"images are {images.dtype}; store them as uint8, 0 to 255 (floats from 0 to 1: "
            "numpy.round(255 * images).astype(numpy.uint8))"
        )
    if images.ndim == 3:
        images = images[..., None]
    if len(images) == 0:
        raise InputError(f"there are no images: their shape is {images.shape}")
    if images.ndim != 4 or 0 in images.shape:
        raise InputError(f"images have shape {images.shape}; expected (N, H, W) or (N, H, W, C)")
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"labels are {labels.dtype}; store them as integers: "
            "names, labels = numpy.unique(labels, return_inverse=True)"
        )
    if labels.shape != images.shape[:1]:
        raise InputError(f"labels have shape {labels.shape} for {len(images)} images")
    if labels.min() < -(2**31) or labels.max() >= 2**31:
        raise InputError(f"labels reach from {labels.min()} to {labels.max()}; they must fit int32")
    values, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        lonely = values[np.argmin(counts)]
        raise InputError(
            f"class {lonely} has one image; every class needs at least two, add some or drop it"
        )
    return LabelledImages(
        images,
        classes.astype(np.int32),
        tuple(int(value) for value in values),
        tuple(int(count) for count in counts),
    )


def check_groups(groups: np.ndarray, classes: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """The values of the groups, ascending, and the number of each image's, int32 (N,).

    Args:
      groups: integers (N,), any values that fit int32.
      classes: int32 (N,), the class number of each image.

    Raises:
      InputError: they are not one integer for each image, all alike, or the classes again, or a
        group has one image alone.
    """
    groups, count = np.asarray(groups), len(classes)
    if groups.dtype.kind not in "iu":
        raise InputError(f"groups are {groups.dtype}; store them as integers")
    if groups.shape != (count,):
        raise InputError(f"groups have shape {groups.shape} for {count} images")
    if groups.min() < -(2**31) or groups.max() >= 2**31:
        raise InputError(f"groups reach from {groups.min()} to {groups.max()}; they must fit int32")
    values, members = np.unique(groups, return_inverse=True)
    if len(values) < 2:
        raise InputError(f"all images are of group {values[0]}; leave groups out")
    sizes = np.bincount(members)
    if sizes.min() < 2:
        raise InputError(
            f"{(sizes == 1).sum()} of {len(values)} groups have one image, such as group "
            f"{values[sizes.argmin()]}; every group needs at least two: name kinds of backgrounds"
        )
    pairs = len(np.unique(np.stack([members, classes]), axis=1).T)
    if pairs == len(values) == len(np.unique(classes)):
        raise InputError(
            "every group is one class: groups are the labels again; name what varies within classes"
        )
    return tuple(int(value) for value in values), members.astype(np.int32)
