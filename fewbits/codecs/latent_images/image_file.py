"""A file of grey images under bits-back coding: the model, the coded images, and a payload.

The payload is what the first images borrow from. It has to be sent anyway, and here it is the
images' labels; so the file gives back both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fewbits.codecs.latent_images import image_code, vae_file
from fewbits.codecs.latent_images.integer_vae import SIDE, IntegerVae
from fewbits.coding import FormatError, read_archive, write_archive
from fewbits.coding.bits_back.stream_stack import StreamStack

KIND = "images"
MAX_STREAMS = 256
_MAX_ROWS = 256
"""Rows are decoded one after another, at some tenths of a second each."""
_CLASSES = 10


class Sizes(NamedTuple):
    """Bytes of a file's parts.

    Attributes:
      model: the model's file inside the file.
      images: coded images and labels.
      total: the whole file.
    """

    model: int
    images: int
    total: int


def write(model: IntegerVae, pixels: np.ndarray, labels: np.ndarray, n_streams: int) -> bytes:
    """The file of images and their labels.

    Args:
      model: see `IntegerVae`.
      pixels: uint8[n, 28, 28, 1].
      labels: int[n], 0 to 9.
      n_streams: images side by side, 1 to 256; there are at most 256 rows of them.

    Raises:
      ValueError: images and labels that do not go together, streams that cannot be, or too few
        labels to borrow from: take fewer streams.
    """
    labels = np.asarray(labels)
    if pixels.dtype != np.uint8 or pixels.shape != (labels.size, SIDE, SIDE, 1) or not labels.size:
        raise ValueError(f"images {pixels.shape}, {pixels.dtype}, with {labels.size} labels")
    if labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() < _CLASSES:
        raise ValueError(f"labels are 0 to {_CLASSES - 1}, not {labels.min()} to {labels.max()}")
    if not 1 <= n_streams <= MAX_STREAMS or labels.size > _MAX_ROWS * n_streams:
        raise ValueError(
            f"1 to {MAX_STREAMS} streams of at most {_MAX_ROWS} images, not {labels.size} images "
            f"in {n_streams}"
        )
    payload = _pack_labels(labels)
    if len(payload) < 4 * n_streams:
        raise ValueError(f"{labels.size} labels are too few for {n_streams} streams")
    stack = image_code.encode(model, pixels, n_streams, payload).to_bytes()
    header = {"count": labels.size, "lanes": n_streams}
    return write_archive(KIND, header, {"model": vae_file.write(model), "stack": stack})


def read(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8[n, 28, 28, 1] and labels int32[n].

    Raises:
      FormatError: not an undamaged file of images.
    """
    archive = read_archive(data, kind=KIND)
    if archive.sections.keys() != {"model", "stack"} or archive.header.keys() != {"count", "lanes"}:
        raise FormatError("a file of images has count, streams, model and stack", "header")
    count, n_streams = archive.header["count"], archive.header["lanes"]
    if type(n_streams) is not int or not 1 <= n_streams <= MAX_STREAMS:
        raise FormatError(f"streams are 1 to {MAX_STREAMS}, not {n_streams!r:.80}", "header")
    # A hostile model can pay for the pixels with the refund for its latents, so memory and time are
    # bounded by rule: at least one byte for each image (an honest one takes 17 bits for its pixels,
    # each costing at least log2(2^14 / (2^14 - 255))), and not too many rows.
    most = min(_MAX_ROWS * n_streams, len(archive.sections["stack"]))
    if type(count) is not int or not 1 <= count <= most:
        raise FormatError(f"images are 1 to {most}, not {count!r:.80}", "header")
    model = vae_file.read(archive.sections["model"])
    stack = StreamStack.from_bytes(archive.sections["stack"], n_streams)
    pixels = image_code.decode(model, stack, count)
    return pixels, _unpack_labels(stack.payload(), count)


def sizes(data: bytes) -> Sizes:
    """Where the bytes of a file went."""
    sections = read_archive(data, kind=KIND).sections
    return Sizes(len(sections["model"]), len(sections["stack"]), len(data))


def _pack_labels(labels: np.ndarray) -> bytes:
    """The digits 1, label, label, ... as one decimal number, in whole words."""
    number = 1
    for label in labels.tolist():
        number = _CLASSES * number + label
    return number.to_bytes(_packed_size(number), "little")


def _packed_size(number: int) -> int:
    return -(-number.bit_length() // 32) * 4


def _unpack_labels(payload: bytes, count: int) -> np.ndarray:
    number, first = int.from_bytes(payload, "little"), _CLASSES**count
    # Checked first: taking digits off a number of any length could take for ever.
    if not first <= number < 2 * first or len(payload) != _packed_size(number):
        raise FormatError("the payload is not labels", "stack")
    digits = np.zeros(count, np.int32)
    for place in reversed(range(count)):
        number, digits[place] = divmod(number, _CLASSES)
    return digits
