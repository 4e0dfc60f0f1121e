"""A labelled image set's own form, so that what comes out of a file looks like what went in.

The methods work on images of 256 levels with a channel axis and on class numbers. A user's images
may be floats or 16-bit integers, without a channel or with channels first; their labels text,
booleans, a column or one-hot. A `Form` remembers which, in a few bytes of a file's header.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import container
from fewbits.io.errors import FormatError, InputError

ENTRY = container.FORM
"""Key in the header of a file; left out where the form is the plain one."""
LEVELS = 255
_AXES = ("nhwc", "nhw", "nchw")
_LABEL_AXES = ("n", "n1", "one-hot")
_MOST_CLASSES = 1 << 12
_LARGEST_INDEX = 1 << 16
_MOST_TEXT_BYTES = 1 << 10
_MOST_NAMES = 1 << 18
_PART = 1024

Label = int | float | str | bool


class Form(NamedTuple):
    """How a user has images and labels.

    Attributes:
      axes: "nhwc", "nhw" (no channel axis) or "nchw".
      dtype: of the images.
      low: the value that level 0 of 255 stands for.
      high: the value of level 255.
      label_dtype: of the labels; text has its own width.
      label_axes: "n", "n1" (a column) or "one-hot".
      classes: the user's name of each class number; None where the number is the name.
      folder: whether the images came from a folder of class subfolders.
    """

    axes: str = "nhwc"
    dtype: str = "uint8"
    low: float = 0.0
    high: float = 255.0
    label_dtype: str = "int32"
    label_axes: str = "n"
    classes: tuple[Label, ...] | None = None
    folder: bool = False


PLAIN = Form()


def number_labels(
    labels: Any, n_images: int, *, classes: Sequence[Label] | None = None, source: str = "labels"
) -> tuple[np.ndarray, Form]:
    """Class numbers int32[N] of labels of any kind, and their form.

    Whole numbers from 0 to 65,535 are their own class numbers, so that sets without some of the
    classes agree; columns of one-hot labels likewise. Other labels are numbered in ascending order.

    Args:
      labels: whole numbers, text, booleans or floats that are whole numbers, (N,) or (N, 1); or
        one-hot, (N, classes).
      n_images: N.
      classes: of another set, to number these labels as those are.
      source: what messages call the labels.

    Raises:
      InputError: labels that are no such thing.
    """
    array = np.asarray(labels)
    if array.dtype.kind == "O" and all(isinstance(label, str) for label in array.ravel()):
        array = array.astype(str)
    if array.dtype.kind not in "iubfUS":
        raise InputError(f"{source} are {array.dtype}; give whole numbers, text or booleans")
    if array.dtype.kind in "US" and array.dtype.itemsize > _MOST_TEXT_BYTES:
        array = np.array(array.tolist())  # as wide as the longest needs
        if array.dtype.itemsize > _MOST_TEXT_BYTES:
            raise InputError(f"{source} are texts of more than {_MOST_TEXT_BYTES // 4} letters")
    dtype, axes = array.dtype.str if array.dtype.kind in "US" else array.dtype.name, "n"
    if array.ndim == 2 and array.shape[1] == 1:
        array, axes = array[:, 0], "n1"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"{source}: {int((~np.isfinite(array)).sum())} are NaN or infinite; replace them"
        )
    if array.ndim == 2 and array.shape[0] == n_images and array.dtype.kind in "iubf":
        if not (((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()):
            raise InputError(
                f"{source} have shape {array.shape} and are not one-hot; give one label an image"
            )
        numbers = np.argmax(array, axis=1).astype(np.int32)
        named = tuple(range(array.shape[1]))
        return numbers, PLAIN._replace(label_dtype=dtype, label_axes="one-hot", classes=named)
    if array.shape != (n_images,):
        raise InputError(
            f"{source} have shape {array.shape} for {n_images} images; give one label an image"
        )
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        broken = array[array != np.round(array)][0]
        raise InputError(
            f"{source} are whole numbers, text or booleans, not {broken}; make classes of a "
            "quantity first (numpy.digitize)"
        )
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{source} are bytes that are no UTF-8 text") from error
    form = PLAIN._replace(label_dtype=dtype, label_axes=axes)
    small = array.dtype.kind in "iuf" and array.size > 0
    if classes is None and small and 0 <= array.min() and array.max() < _LARGEST_INDEX:
        return array.astype(np.int32), form
    if classes is None:
        values, numbers = np.unique(array, return_inverse=True)
        if len(values) > _MOST_CLASSES:
            raise InputError(f"{source} have {len(values):,} classes; at most {_MOST_CLASSES:,}")
        names = tuple(values.tolist())
        if sum(len(str(name)) for name in names) > _MOST_NAMES:
            raise InputError(f"{source} have names of more than {_MOST_NAMES:,} letters in all")
        return numbers.astype(np.int32), form._replace(classes=names)
    place = {name: number for number, name in enumerate(classes)}
    unknown = [label for label in np.unique(array).tolist() if label not in place]
    if unknown:
        raise InputError(f"{source}: {unknown[0]!r} is none of the {len(place)} known classes")
    numbers = np.array([place[label] for label in array.tolist()], np.int32)
    return numbers, form._replace(classes=tuple(classes))


def with_channels(
    images: np.ndarray, layout: str = "nhwc", *, source: str = "images"
) -> tuple[np.ndarray, Form]:
    """Images (N, H, W, C) in their own dtype, and their form.

    Args:
      images: (N, H, W), or (N, H, W, C), or (N, C, H, W) with the layout "nchw"; finite numbers.
      layout: "nhwc" or "nchw".
      source: what messages call the images.

    Raises:
      InputError: images that are no such thing.
    """
    if images.dtype.kind not in "iufb":
        what = "no array of numbers of one shape" if images.dtype == object else images.dtype
        raise InputError(f"{source} are {what}; give numbers")
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise InputError(f"{source} have shape {images.shape}; give (N, H, W) or (N, H, W, C)")
    if len(images) == 0:
        raise InputError(f"{source} have shape {images.shape}; give one image at least")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        count = int((~np.isfinite(images)).sum())
        raise InputError(f"{source} hold {count} values that are NaN or infinite; replace them")
    axes = "nhw" if images.ndim == 3 else layout
    if images.ndim == 3:
        images = images[..., None]
    elif layout == "nchw":
        images = np.moveaxis(images, 1, -1)
    elif images.shape[3] > 4 >= images.shape[1]:
        raise InputError(
            f"{source} have shape {images.shape}, which looks like channels first; "
            "add --layout nchw"
        )
    low, high = value_range(images)
    dtype = images.dtype.name
    return images, PLAIN._replace(axes=axes, dtype=dtype, low=low, high=high)


def value_range(images: np.ndarray) -> tuple[float, float]:
    """The values that levels 0 and 255 stand for: a usual range that holds all, or the exact one.

    Usual are 0 to 1 and -1 to 1 for floats, 0 to 255 for both, 0 to 2^k - 1 for integers. Floats
    that reach a quarter of 255 at most have another unit: few levels would be left of them.
    """
    if images.dtype == np.uint8:
        return 0.0, 255.0
    if images.dtype == np.bool_:
        return 0.0, 1.0
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind == "f":
        usual = [(0.0, 1.0), (-1.0, 1.0)] + [(0.0, 255.0)] * (high > LEVELS / 4)
    else:
        usual = [(0.0, 2.0**k - 1) for k in (8, 10, 12, 14, 16)]
    for least, most in usual:
        if least <= low and high <= most:
            return least, most
    if not math.isfinite(high - low):
        raise InputError(f"images reach from {low} to {high}; scale them")
    return low, high if high > low else low + 1.0


def as_levels(images: np.ndarray, form: Form) -> np.ndarray:
    """Images as uint8: 256 levels from the form's lowest value to its highest."""
    if form.dtype == "uint8":
        return images
    scale = LEVELS / (form.high - form.low)
    levels = np.empty(images.shape, np.uint8)
    for part in _parts(len(images)):
        values = (images[part].astype(np.float64) - form.low) * scale
        levels[part] = np.rint(values)
    return levels


def from_levels(images: np.ndarray, form: Form) -> np.ndarray:
    """Images uint8 (N, H, W, C) in the user's axes, dtype and unit."""
    if form.dtype != "uint8":
        levels, dtype = images, np.dtype(form.dtype)
        images = np.empty(levels.shape, dtype)
        for part in _parts(len(levels)):
            # Divided first: level q of 255 is then q / 255, as users compute it.
            values = form.low + levels[part] / LEVELS * (form.high - form.low)
            images[part] = np.rint(values) if dtype.kind in "iub" else values
    if form.axes == "nhw" and images.shape[-1] == 1:
        return images[..., 0]
    return np.ascontiguousarray(np.moveaxis(images, -1, 1)) if form.axes == "nchw" else images


def _parts(count: int) -> list[slice]:
    """Images in parts, so that no float64 copy of them all is made."""
    return [slice(first, first + _PART) for first in range(0, count, _PART)]


def from_numbers(numbers: np.ndarray, form: Form) -> np.ndarray:
    """Class numbers (N,) as the user's own labels.

    Raises:
      FormatError: a number that is no class.
    """
    dtype = np.dtype(form.label_dtype)
    if form.label_axes == "one-hot":
        n_classes = len(form.classes or ())
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < n_classes:
            raise FormatError(f"a label beyond {n_classes} classes", "header")
        return np.eye(n_classes, dtype=dtype)[numbers]
    if form.classes is None:
        labels = numbers.astype(dtype)
    else:
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(form.classes):
            raise FormatError(f"a label beyond {len(form.classes)} classes", "header")
        names = np.array(form.classes)
        if dtype.kind == "S":
            names = np.char.encode(names, "utf-8")
        labels = names.astype(dtype)[numbers]
    return labels[:, None] if form.label_axes == "n1" else labels


def as_pictures(images: np.ndarray, form: Form) -> np.ndarray:
    """Images in the user's form as what PNG files hold: channels last, bytes or 16-bit grey."""
    if form.axes == "nchw":
        images = np.moveaxis(images, 1, -1)
    if images.dtype == np.uint16 and (images.ndim == 3 or images.shape[3] == 1):
        return images
    return as_levels(images, form)


def in_words(labels: np.ndarray, form: Form) -> list[str]:
    """The user's labels as text."""
    if form.label_axes == "one-hot":
        labels = np.argmax(labels, axis=1)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if labels.dtype.kind == "f":
        labels = labels.astype(np.int64)
    return [str(label) for label in labels.reshape(-1).tolist()]


def attach(data: bytes, form: Form) -> bytes:
    """A file with a form in its header; the file itself where the form is the plain one."""
    if form == PLAIN:
        return data
    archive = container.read_archive(data)
    header = {**archive.header, ENTRY: to_header(form)}
    return container.write_archive(archive.kind, header, archive.sections)


def reserve(form: Form) -> int:
    """Bytes by which `attach` makes a file longer, at most."""
    empty = container.write_archive("empty", {}, {})
    longer = len(attach(empty, form)) - len(empty)
    return longer + 2 if longer else 0  # lengths of the header may take a byte more


def of_file(data: bytes) -> Form:
    """The form in a file's header; the plain one where there is none.

    Raises:
      FormatError: not an undamaged file, or a form that there is not.
    """
    header = container.read_archive(data).header
    return from_header(header[ENTRY]) if ENTRY in header else PLAIN


def to_header(form: Form) -> dict[str, Any]:
    """The fields that are not the plain form's."""
    fields: dict[str, Any] = {}
    if form.axes != PLAIN.axes:
        fields["axes"] = _AXES.index(form.axes)
    if form.dtype != PLAIN.dtype:
        fields["dtype"] = np.dtype(form.dtype).str
        fields["range"] = [form.low, form.high]
    if form.label_dtype != PLAIN.label_dtype:
        fields["labels"] = np.dtype(form.label_dtype).str
    if form.label_axes != PLAIN.label_axes:
        fields["label_axes"] = _LABEL_AXES.index(form.label_axes)
    if form.classes is not None:
        n_classes = len(form.classes)
        counted = form.classes == tuple(range(n_classes))
        fields["classes"] = n_classes if counted else list(form.classes)
    if form.folder:
        fields["folder"] = True
    return fields


def from_header(fields: Any) -> Form:
    """The inverse of `to_header`.

    Raises:
      FormatError: not what `to_header` gives.
    """
    try:
        return _from_header(dict(fields))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise FormatError(f"no form of images and labels: {error}"[:120], "header") from error


def _from_header(fields: dict[str, Any]) -> Form:
    form = PLAIN._replace(folder=bool(fields.pop("folder", False)))
    if "axes" in fields:
        form = form._replace(axes=_AXES[_index(fields.pop("axes"))])
    if "dtype" in fields:
        low, high = (float(one) for one in fields.pop("range"))
        form = form._replace(dtype=_dtype(fields.pop("dtype"), "iufb"), low=low, high=high)
        if not high > low:
            raise ValueError(f"values from {low} to {high}")
    if "labels" in fields:
        form = form._replace(label_dtype=_dtype(fields.pop("labels"), "iufbUS"))
    if "label_axes" in fields:
        form = form._replace(label_axes=_LABEL_AXES[_index(fields.pop("label_axes"))])
    if "classes" in fields:
        classes = fields.pop("classes")
        if type(classes) is int:
            if not 0 <= classes <= _LARGEST_INDEX:
                raise ValueError(f"{classes} classes")
            classes = range(classes)
        if not all(isinstance(name, bool | int | float | str) for name in classes):
            raise ValueError("a class that is neither a number nor text")
        form = form._replace(classes=tuple(classes))
    if fields:
        raise ValueError(f"an unknown field {min(fields)!r}")
    return form


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a number {value!r}")
    return value


def _dtype(text: Any, kinds: str) -> str:
    dtype = np.dtype(str(text))
    if dtype.kind not in kinds or dtype.itemsize > _MOST_TEXT_BYTES:
        raise ValueError(f"the dtype {dtype}")
    return dtype.str if dtype.kind in "US" else dtype.name
