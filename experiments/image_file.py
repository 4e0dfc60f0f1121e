"""A file of grey images under bits-back coding: the model, the coded images, and a payload.

The payload is what the first images borrow from. It has to be sent anyway, and here it is the
images' labels; so the file gives back both.

`python -m experiments.image_file decode IN OUT.npz` decodes a file in a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coding import FormatError, container, read_archive, write_archive
from coding.lane_stack import LaneStack
from experiments import integer_vae
from experiments.integer_vae import IntegerVae

KIND = "images"
_MAX_IMAGES = 1 << 20
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


def write(model: IntegerVae, pixels: np.ndarray, labels: np.ndarray, n_lanes: int) -> bytes:
    """The file of images uint8[n, 28, 28, 1] and their labels, 0 to 9.

    Raises:
      FormatError: too few labels to borrow from: take fewer lanes.
    """
    payload = _pack_labels(labels)
    if len(payload) < 4 * n_lanes:
        raise FormatError(f"{len(labels)} labels are too few for {n_lanes} lanes", "stack")
    stack = integer_vae.encode(model, pixels, n_lanes, payload)
    header = {"count": len(pixels), "lanes": n_lanes}
    sections = {"model": integer_vae.write(model), "stack": stack.to_bytes()}
    return write_archive(KIND, header, sections)


def read(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels.

    Raises:
      FormatError: not an undamaged file of images.
    """
    archive = read_archive(data, kind=KIND)
    count, n_lanes = archive.header.get("count"), archive.header.get("lanes")
    if archive.sections.keys() != {"model", "stack"} or not (
        type(count) is int and type(n_lanes) is int and 0 <= count <= _MAX_IMAGES
    ):
        raise FormatError("count, lanes, model or stack missing", "header")
    model = integer_vae.read(archive.sections["model"])
    stack = LaneStack.from_bytes(archive.sections["stack"], n_lanes)
    pixels = integer_vae.decode(model, stack, count)
    return pixels, _unpack_labels(stack.payload(), count)


def sizes(data: bytes) -> Sizes:
    """Where the bytes of a file went."""
    sections = read_archive(data, kind=KIND).sections
    return Sizes(len(sections["model"]), len(sections["stack"]), len(data))


def _pack_labels(labels: np.ndarray) -> bytes:
    """Ten-valued digits as one large number, in whole words."""
    number = int("1" + "".join(map(str, np.asarray(labels).tolist())))
    size = -(-number.bit_length() // 32) * 4
    return number.to_bytes(size, "little")


def _unpack_labels(payload: bytes, count: int) -> np.ndarray:
    number = int.from_bytes(payload, "little")
    digits = np.zeros(count, np.int32)
    for place in reversed(range(count)):
        number, digits[place] = divmod(number, _CLASSES)
    if number != 1:
        raise FormatError("the payload is not labels", "stack")
    return digits


def main(arguments: list[str]) -> int:
    """`decode IN OUT.npz`."""
    if len(arguments) != 3 or arguments[0] != "decode":
        print("usage: python -m experiments.image_file decode IN OUT.npz", file=sys.stderr)
        return 2
    try:
        pixels, labels = read(container.load_bytes(arguments[1]))
    except (FormatError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    np.savez(Path(arguments[2]), pixels=pixels, labels=labels)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
