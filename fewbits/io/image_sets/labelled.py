"""Labelled images from whatever a user has them in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, Num, UInt8

from fewbits.io import datasets, npy
from fewbits.io.arrays import read_arrays
from fewbits.io.errors import InputError
from fewbits.io.image_sets import folders, forms, idx, prepared
from fewbits.io.image_sets.forms import Form, Label

IMAGE_NAMES = ("images", "image", "pixels", "x", "data", "inputs", "features")
LABEL_NAMES = ("labels", "label", "y", "targets", "target", "classes", "class")
_SPLIT_NAMES = {"train": ("train",), "test": ("test", "validation", "valid", "val")}
_IDX = forms.PLAIN._replace(axes="nhw", label_dtype="uint8")
_HOW = "a known data set, .npz, IDX, a folder of class subfolders, or a TFDS folder"


class Labelled(NamedTuple):
    """A labelled image set.

    Attributes:
      images: in the user's own unit and dtype, channels last. What the user gave as feature vectors
        is (N, features).
      labels: class number of each image; -1 for all where there are no labels.
      class_names: the name of every class number up to the largest.
      form: how the user has both, for giving back what a file holds in the same way.
      groups: an array `groups` of an .npz, such as the kind of background; None without.
    """

    images: Num[np.ndarray, "n ..."]
    labels: Int32[np.ndarray, " n"]
    class_names: tuple[str, ...]
    form: Form
    groups: np.ndarray | None = None

    def levels(self) -> UInt8[np.ndarray, "n height width channels"]:
        """The images in 256 levels, from the form's lowest value to its highest."""
        return forms.as_levels(self.images, self.form)

    def is_exact(self) -> bool:
        """Whether 256 levels hold the images without loss."""
        if self.images.dtype == np.uint8:
            return True
        back = forms.from_levels(self.levels(), self.form._replace(axes="nhwc"))
        return bool(np.array_equal(back, self.images))

    def user_labels(self) -> np.ndarray:
        """The labels as the user has them."""
        return forms.from_numbers(self.labels, self.form)


def read_labelled(
    path: str | os.PathLike[str],
    *,
    images: str | None = None,
    labels: str | None = None,
    layout: str = "nhwc",
    size: tuple[int, int] | None = None,
    classes: Sequence[Label] | None = None,
    split: str = "train",
    data_dir: str | os.PathLike[str] | None = None,
    features: bool = False,
    need_labels: bool = True,
) -> Labelled:
    """Images and labels of a user's, whatever they are stored in.

    Read are the data sets known by name (`fewbits.io.datasets.SOURCES`); .npz files with arrays of
    any usual names (images or x, labels or y, x_train and y_train); folders of PNG or JPEG files
    with one subfolder for each class, or with `train` and `test` of such subfolders; the IDX files
    of MNIST's kind; and folders that TensorFlow Datasets has prepared. Images are numbers of any
    dtype, labels whole numbers, text, booleans, a column, or one-hot.

    Args:
      path: a file, a folder, or the name of a data set.
      images: name of the array of images in an .npz that has several.
      labels: likewise of labels, or the path of an .npy or .npz that holds them alone.
      layout: "nchw" where channels come before height and width.
      size: (height, width) to resize images of a folder to; without it mixed sizes are refused.
      classes: `form.classes` of another set, such as the training set, to number classes alike.
      split: "train" or "test", where there are several.
      data_dir: of prepared data sets; see `fewbits.io.datasets.load`.
      features: feature vectors (N, M) are accepted as well.
      need_labels: without it the set may have no labels.

    Raises:
      InputError: nothing of the kind, or a part that cannot be used; one line names it.
      OSError: it cannot be read.

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> from fewbits.io import read_labelled
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = f"{folder}/pets.npz"
      ...     x = np.linspace(0, 1, 3 * 64).reshape(3, 8, 8)
      ...     np.savez(path, x=x, y=np.array(["dog", "cat", "dog"]))
      ...     pets = read_labelled(path)
      >>> pets.images.shape, pets.labels.tolist(), pets.class_names
      ((3, 8, 8, 1), [1, 0, 1], ('cat', 'dog'))
      >>> pets.form.axes, pets.levels().dtype, pets.user_labels().tolist()
      ('nhw', dtype('uint8'), ['dog', 'cat', 'dog'])
    """
    if layout not in ("nhwc", "nchw"):
        raise InputError(f"a layout is nhwc or nchw, not {layout!r}")
    if split not in _SPLIT_NAMES:
        raise InputError(f"a split is train or test, not {split!r}")
    place = Path(path)
    _check_flags(
        place,
        {"images": images, "labels": labels, "layout": None if layout == "nhwc" else layout},
        size,
    )
    if not place.exists() and str(path) in datasets.SOURCES:
        return _of_known(str(path), split, data_dir)
    if place.is_dir():
        return _of_folder(place, split, size, classes)
    if not place.exists():
        known = ", ".join(datasets.SOURCES)
        raise InputError(f"{path} does not exist; give a file, a folder, or one of {known}")
    if not place.is_file():
        raise InputError(f"{path} is not a regular file; give {_HOW}")
    if idx.is_idx(place):
        pixels, numbers = idx.read_pair(place)
        return _whole(pixels, numbers, _IDX, classes, f"{path}: ")
    arrays = _arrays(place)
    return _of_arrays(place, arrays, images, labels, layout, classes, split, features, need_labels)


def _check_flags(place: Path, of_arrays: Mapping[str, str | None], size: Any) -> None:
    """Arguments without effect are errors.

    Raises:
      InputError: names the argument.
    """
    if size is not None and not place.is_dir():
        raise InputError(f"--size is for folders of pictures, which {place} is not; drop it")
    given = [name for name, value in of_arrays.items() if value is not None]
    known = not place.exists() and str(place) in datasets.SOURCES
    if given and (known or place.is_dir() or (place.is_file() and idx.is_idx(place))):
        raise InputError(f"--{given[0]} is for .npz and .npy files, which {place} is not; drop it")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    return {path.stem: npy.read_npy(path)} if npy.is_npy(path) else read_arrays(path)


def _of_known(name: str, split: str, data_dir: Any) -> Labelled:
    try:
        found = datasets.load(name, split, data_dir=data_dir)
    except datasets.DataError as error:
        raise InputError(" ".join(str(error).split())) from error
    return Labelled(found.pixels, found.labels, found.label_names, forms.PLAIN)


def _of_folder(
    folder: Path, split: str, size: tuple[int, int] | None, classes: Sequence[Label] | None
) -> Labelled:
    if prepared.is_prepared(folder):
        pixels, numbers, names = prepared.read(folder, split)
        return Labelled(pixels, numbers, names, forms.PLAIN)
    if idx.has_split(folder, split):
        try:
            pixels, numbers, _ = idx.read_split(folder, split)
        except ValueError as error:
            raise InputError(str(error)) from error
        return _whole(pixels[..., 0], numbers, _IDX, classes, f"{folder}: ")
    for name in _SPLIT_NAMES[split]:
        if (folder / name).is_dir() and folders.has_classes(folder / name):
            folder = folder / name
            break
    found = folders.read(folder, size)
    numbers, form = forms.number_labels(
        np.array(found.classes)[found.numbers],
        len(found.images),
        classes=found.classes if classes is None else classes,
        source=f"{folder}: class subfolders",
    )
    images, own = forms.with_channels(found.images, source=str(folder))
    form = own._replace(
        label_dtype=form.label_dtype, classes=form.classes, axes=own.axes, folder=True
    )
    assert form.classes is not None
    return Labelled(images, numbers, tuple(map(str, form.classes)), form)


def _of_arrays(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    images_name: str | None,
    labels_name: str | None,
    layout: str,
    classes: Sequence[Label] | None,
    split: str,
    features: bool,
    need_labels: bool,
) -> Labelled:
    outside = None
    if labels_name is not None and labels_name not in arrays and Path(labels_name).is_file():
        found = _arrays(Path(labels_name))
        if len(found) != 1:
            raise InputError(f"{labels_name} holds {len(found)} arrays; labels are one")
        outside, labels_name = next(iter(found.values())), None
    image = _chosen(path, arrays, images_name, IMAGE_NAMES, split, "images")
    label = None
    if outside is None:
        label = _chosen(path, arrays, labels_name, LABEL_NAMES, split, "labels")
    if image is None or (label is None and outside is None):
        guess = _by_shape(arrays, features)
        image = image or guess[0]
        label = label or (guess[1] if outside is None else None)
        if label == image:
            label = None
    if image is None:
        raise InputError(
            f"{path} has no array of images ({_listed(arrays)}); name it with --images, or save "
            "images=..., labels=... with numpy.savez"
        )
    given = outside if outside is not None else None if label is None else arrays[label]
    if given is None and need_labels:
        raise InputError(
            f"{path} has no array of labels ({_listed(arrays)}); name it with --labels, or save "
            "images=..., labels=... with numpy.savez"
        )
    source = f"{path}: {image}"
    data = arrays[image]
    if features and data.ndim == 2 and data.dtype.kind in "iufb":
        pixels, form = data, forms.PLAIN._replace(dtype=data.dtype.name)
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            example = int(np.argwhere(~np.isfinite(data))[0][0])
            raise InputError(f"{source}: NaN or infinity in example {example}; replace it")
    else:
        pixels, form = forms.with_channels(data, layout, source=source)
    groups = arrays.get("groups")
    if given is None:
        return Labelled(pixels, np.full(len(pixels), -1, np.int32), (), form, groups)
    where = f"{path}: {label}" if outside is None else str(labels_name or "labels")
    numbers, own = forms.number_labels(given, len(pixels), classes=classes, source=where)
    form = form._replace(
        label_dtype=own.label_dtype, label_axes=own.label_axes, classes=own.classes
    )
    return Labelled(pixels, numbers, _names(form, numbers), form, groups)


def _whole(
    images: np.ndarray,
    labels: np.ndarray,
    form: Form,
    classes: Sequence[Label] | None,
    prefix: str,
) -> Labelled:
    pixels, _ = forms.with_channels(images, source=f"{prefix}images")
    numbers, own = forms.number_labels(
        labels, len(pixels), classes=classes, source=f"{prefix}labels"
    )
    form = form._replace(classes=own.classes)
    return Labelled(pixels, numbers, _names(form, numbers), form)


def _names(form: Form, numbers: np.ndarray) -> tuple[str, ...]:
    if form.classes is not None:
        return tuple(map(str, form.classes))
    return tuple(map(str, range(int(numbers.max(initial=-1)) + 1)))


def _chosen(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    name: str | None,
    usual: tuple[str, ...],
    split: str,
    what: str,
) -> str | None:
    """The array that is named, or the one with a usual name; of the split, where there are both."""
    if name is not None:
        if name not in arrays:
            raise InputError(f"{path} has no array {name!r} ({_listed(arrays)})")
        return name
    by_lower: dict[str, list[str]] = {}
    for one in arrays:
        by_lower.setdefault(one.lower(), []).append(one)
    for plain in usual:
        of_split = [f"{plain}_{part}" for part in _SPLIT_NAMES[split]]
        of_split += [f"{part}_{plain}" for part in _SPLIT_NAMES[split]]
        for candidate in (plain, *of_split):
            found = by_lower.get(candidate, [])
            if len(found) > 1:
                raise InputError(f"{path} has {' and '.join(found)}; choose with --{what}")
            if found:
                return found[0]
    return None


def _by_shape(arrays: Mapping[str, np.ndarray], features: bool) -> tuple[str | None, str | None]:
    """Images and labels where shapes leave one choice."""
    ranks = (2, 3, 4) if features else (3, 4)
    images = [n for n, one in arrays.items() if one.ndim in ranks and one.dtype.kind in "iufb"]
    if len(images) != 1:
        return None, None
    count = len(arrays[images[0]])
    labels = [
        n for n, a in arrays.items() if n not in (images[0], "groups") and a.shape[:1] == (count,)
    ]
    return images[0], labels[0] if len(labels) == 1 else None


def _listed(arrays: Mapping[str, np.ndarray]) -> str:
    shown = [f"{name} {array.shape}" for name, array in list(arrays.items())[:6]]
    return f"it has {', '.join(shown) or 'none'}{', ...' if len(arrays) > 6 else ''}"
