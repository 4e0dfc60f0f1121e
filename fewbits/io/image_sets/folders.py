"""Folders of pictures with one subfolder for each class, read and written with Pillow."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fewbits.io import npy
from fewbits.io.errors import InputError

T = TypeVar("T")

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_GREY = ("1", "L", "LA")
_SIXTEEN = ("I;16", "I;16B", "I;16L", "I")
_FORBIDDEN = str.maketrans(dict.fromkeys('/\\:*?"<>|\0', "_"))


class Pictures(NamedTuple):
    """What a folder holds.

    Attributes:
      images: uint8 or uint16, (N, H, W) where all are grey, else (N, H, W, 3).
      numbers: class of each image, 0 to the number of classes - 1.
      classes: the subfolders' names, ascending.
    """

    images: np.ndarray
    numbers: np.ndarray
    classes: tuple[str, ...]


def has_classes(folder: Path) -> bool:
    """Whether some subfolder holds pictures."""
    return any(_pictures(part) for part in _subfolders(folder))


def read(folder: Path, size: tuple[int, int] | None = None) -> Pictures:
    """The pictures of all classes, class by class in the order of names.

    Grey pictures stay grey where all are; otherwise all become RGB, without transparency.

    Args:
      folder: its subfolders are the classes.
      size: (height, width) to resize to.

    Raises:
      InputError: no class subfolders, a damaged picture, or pictures of several sizes.
    """
    files = [(part.name, path) for part in _subfolders(folder) for path in _pictures(part)]
    if not files:
        loose = _pictures(folder)
        found = f"{len(loose)} pictures but no" if loose else "no"
        raise InputError(
            f"{folder} has {found} class subfolders of pictures; make one subfolder for each class "
            "(folder/cat/1.png), or give an .npz"
        )
    heads = [_head(path) for _, path in files]
    modes = {mode for mode, _ in heads}
    target = "L" if modes <= set(_GREY) else "I;16" if modes <= set(_SIXTEEN) else "RGB"
    if target == "RGB" and modes & set(_SIXTEEN):
        deep = next(p for (_, p), (mode, _) in zip(files, heads, strict=True) if mode in _SIXTEEN)
        raise InputError(f"{deep} has 16 bits, other pictures have 8; convert one kind")
    first = heads[0][1]
    for (_, path), (_, found) in zip(files, heads, strict=True):
        if size is None and found != first:
            raise InputError(
                f"{path} is {_sized(found)}, {files[0][1]} is {_sized(first)}; resize them, "
                "or add --size HEIGHTxWIDTH"
            )
    height, width = size if size is not None else first[::-1]
    shape = (len(files), height, width, *((3,) if target == "RGB" else ()))
    dtype = np.dtype(np.uint16 if target == "I;16" else np.uint8)
    if math.prod(shape) * dtype.itemsize > npy.memory_limit():
        raise InputError(
            f"{folder}: {len(files):,} pictures of {_sized((width, height))} do not fit in this "
            "machine's memory; add --size HEIGHTxWIDTH"
        )
    images = np.empty(shape, dtype)
    for row, (_, path) in enumerate(files):
        picture = _load(path)
        images[row] = _array(picture if size is None else _resized(picture, size, path), target)
    classes = tuple(dict.fromkeys(name for name, _ in files))
    place = {name: number for number, name in enumerate(classes)}
    return Pictures(images, np.array([place[name] for name, _ in files], np.int32), classes)


def write(folder: Path, images: np.ndarray, labels: Sequence[Any]) -> None:
    """PNG files in one subfolder for each class, numbered within it.

    Args:
      folder: an existing one.
      images: uint8 or uint16 (N, H, W), or uint8 (N, H, W, 1 or 3).
      labels: of each image; its text names the subfolder.

    Raises:
      InputError: images that are no pictures.
    """
    from PIL import Image

    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    pictures = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    deep = images.dtype == np.uint16 and images.ndim == 3
    if not pictures or not (images.dtype == np.uint8 or deep):
        raise InputError(
            f"images {images.shape[1:]} of {images.dtype} are no pictures; write an .npz"
        )
    counts: dict[str, int] = {}
    width = len(str(len(images)))
    for image, label in zip(images, labels, strict=True):
        name = str(label).translate(_FORBIDDEN).strip(". ") or "_"
        counts[name] = counts.get(name, 0) + 1
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / name / f"{counts[name]:0{width}}.png")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _head(path: Path) -> tuple[str, tuple[int, int]]:
    """Mode and size (width, height), without decoding."""
    return opened(path, lambda picture: (picture.mode, picture.size))


def _load(path: Path) -> Any:
    return opened(path, lambda picture: picture.copy())


def opened(path: Path, use: Callable[[Any], T]) -> T:
    """What `use` makes of a picture.

    Raises:
      InputError: it is none, damaged, or so large that it would fill the memory.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", ResourceWarning)
            with Image.open(path) as picture:
                return use(picture)
    except (
        OSError, SyntaxError, ValueError, EOFError, MemoryError,
        Image.DecompressionBombError, Image.DecompressionBombWarning,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:80]
        raise InputError(
            f"{path} cannot be read as a picture: {reason}; replace or remove it"
        ) from error


def _resized(picture: Any, size: tuple[int, int], path: Path) -> Any:
    from PIL import Image

    height, width = size
    if picture.size == (width, height):
        return picture
    if picture.mode in _SIXTEEN:
        raise InputError(f"{path} has 16 bits; resize such pictures before")
    mode = "L" if picture.mode in _GREY else "RGB"
    return picture.convert(mode).resize((width, height), Image.Resampling.LANCZOS)


def _array(picture: Any, target: str) -> np.ndarray:
    if target == "I;16":
        return np.asarray(picture).astype(np.uint16)
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")
    return np.asarray(picture.convert(target))


def _sized(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
