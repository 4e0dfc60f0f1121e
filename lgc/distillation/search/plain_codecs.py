"""What the same bytes hold with tools that everybody has: random images under xz, PNG, WebP, AVIF.

A search for a file is worth its time only where its result teaches more than these. All images of
one file stand on one sheet, which is how WebP and AVIF are smallest; labels cost nothing, as if the
images were sorted by class.
"""

from __future__ import annotations

import io
import lzma
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, features

from lgc.coresets.downsampling import Downsampling
from lgc.distillation import quantised_images
from lgc.distillation.search.panel import TrainingSet

_QUALITIES = (15, 40, 70)
_OPTIONS: dict[str, dict[str, Any]] = {
    "webp": {"method": 6}, "avif": {"speed": 6}, "png": {"optimize": True},
}  # fmt: skip
_LOW = {
    "half the side, 4 grey levels, xz": Downsampling(2, 2),
    "a third of the side, 4 grey levels, xz": Downsampling(3, 2),
}
_LEAST_SIDE = 5
"""Low-resolution images have at least so many rows and columns."""

Coded = tuple[int, np.ndarray]
"""Bytes, and the decoded images uint8[n, H, W, C]."""
Codec = Callable[[np.ndarray], Coded]
"""Images uint8[n, H, W, C] -> coded."""


class PlainFile(NamedTuple):
    """Random images of a set under a common codec, within a budget.

    Attributes:
      name: of the codec, with its setting.
      n_bytes: the size.
      images: decoded, uint8[n, H, W, C], and their class numbers.
    """

    name: str
    n_bytes: int
    images: TrainingSet


def codecs(shape: tuple[int, ...]) -> dict[str, Codec]:
    """Every codec that this machine has for images of a shape (height, width, channels), by name.

    Those that usually teach most come first.
    """
    found: dict[str, Codec] = {
        name: partial(_low, low)
        for name, low in _LOW.items()
        if min(shape[:2]) >= _LEAST_SIDE * low.factor
    }
    for quality in _QUALITIES if shape[-1] in (1, 3) else ():
        for name in ("avif", "webp"):
            if features.check(name):
                found[f"{name}, quality {quality}"] = _sheet_codec(name, quality)
    found["xz, lossless"] = _xz
    if shape[-1] in (1, 3):
        found["png"] = _sheet_codec("png", None)
    return found


def plain_files(
    pixels: np.ndarray,
    classes: np.ndarray,
    budget_bytes: int,
) -> Iterator[PlainFile]:
    """As many of the first images as fit a budget, under each codec that this machine has.

    Args:
      pixels: uint8[N, H, W, C], in random order.
      classes: int[N], class numbers.
      budget_bytes: no file is larger.

    Yields:
      One for each codec and quality that fits an image of each class.
    """
    for name, codec in codecs(pixels.shape[1:]).items():
        found = plain_file(name, codec, pixels, classes, budget_bytes)
        if found is not None:
            yield found


def plain_file(
    name: str, codec: Codec, pixels: np.ndarray, classes: np.ndarray, budget_bytes: int
) -> PlainFile | None:
    """The file of one of `codecs`; None where it does not fit an image of each class."""
    count, (size, decoded) = _most(codec, pixels, budget_bytes)
    if size > budget_bytes or len(np.unique(classes[:count])) <= classes.max():
        return None
    return PlainFile(name, size, (decoded, classes[:count]))


def _most(codec: Codec, pixels: np.ndarray, budget_bytes: int) -> tuple[int, Coded]:
    """How many of the first images fit, and they; one, whatever its size, where none does."""
    low, best = 1, codec(pixels[:1])
    high = len(pixels) + 1
    guess = min(len(pixels), 64)
    while high - low > max(1, low // 50):
        coded = codec(pixels[:guess])
        if coded[0] <= budget_bytes:
            low, best = guess, coded
            guess = min(2 * guess, (low + high) // 2) if high > len(pixels) else (low + high) // 2
        else:
            high = guess
            guess = (low + high) // 2
    return low, best


def xz_bytes(pixels: np.ndarray) -> int:
    """Size of images under xz, without loss."""
    return len(_lzma(pixels))


def _xz(pixels: np.ndarray) -> Coded:
    return xz_bytes(pixels), pixels


def _low(downsampling: Downsampling, pixels: np.ndarray) -> Coded:
    labels = np.zeros(len(pixels), np.int64)
    low = quantised_images.quantise(pixels, labels, downsampling)
    shown = low.interpolated()
    return len(_lzma(low.pixels)), shown


def _lzma(pixels: np.ndarray) -> bytes:
    return lzma.compress(pixels.tobytes(), preset=9 | lzma.PRESET_EXTREME)


def _sheet_codec(name: str, quality: int | None) -> Codec:
    def code(pixels: np.ndarray) -> Coded:
        sheet = _sheet(pixels)
        buffer = io.BytesIO()
        options = {"quality": quality, **_OPTIONS[name]} if quality else _OPTIONS[name]
        Image.fromarray(sheet).save(buffer, name, **options)
        mode = "L" if pixels.shape[-1] == 1 else "RGB"
        decoded = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert(mode))
        return buffer.tell(), _cut(decoded, pixels.shape)

    return code


def _sheet(pixels: np.ndarray) -> np.ndarray:
    """All images in a square of squares, as Pillow takes them; the last repeats where one lacks."""
    n, height, width, channels = pixels.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    padded = np.pad(pixels, [(0, rows * columns - n), (0, 0), (0, 0), (0, 0)], mode="edge")
    grid = padded.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    sheet = grid.reshape(rows * height, columns * width, channels)
    return np.ascontiguousarray(sheet[..., 0] if channels == 1 else sheet)


def _cut(sheet: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The images of a sheet again, uint8 of the given shape."""
    n, height, width, channels = shape
    rows, columns = sheet.shape[0] // height, sheet.shape[1] // width
    grid = sheet.reshape(rows, height, columns, width, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * columns, height, width, channels)[:n]
