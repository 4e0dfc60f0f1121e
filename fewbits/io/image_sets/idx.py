"""The IDX files of the original MNIST distribution: big-endian header, then raw bytes."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from fewbits.io.errors import InputError

ORIGINAL_MD5 = {
    "mnist": {
        "train": ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
        "test": ("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    },
    "fashion_mnist": {
        "train": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"),
        "test": ("8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
    },
}
"""MD5 of the raw (not gzipped) image and label files of each split."""

_STEMS = {"train": "train", "test": "t10k"}
_MAX_BYTES = 1 << 30


def read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
    """Read one split from its two IDX files.

    Returns:
      pixels uint8 (N, H, W, 1), labels int32 (N,), and the MD5 of the two raw files.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file is not a sound IDX file, or images and labels disagree in number.
    """
    stem = _STEMS[split]
    image_bytes = _read(folder, f"{stem}-images-idx3-ubyte", f"{stem}-images.idx3-ubyte")
    label_bytes = _read(folder, f"{stem}-labels-idx1-ubyte", f"{stem}-labels.idx1-ubyte")
    pixels = parse(image_bytes, dimensions=3, name=f"{stem}-images")[..., None]
    labels = parse(label_bytes, dimensions=1, name=f"{stem}-labels").astype(np.int32)
    if len(pixels) != len(labels):
        raise ValueError(f"{len(pixels)} {split} images but {len(labels)} labels in {folder}")
    image_digest, label_digest = (
        hashlib.md5(data).hexdigest() for data in (image_bytes, label_bytes)
    )
    return pixels, labels, (image_digest, label_digest)


def is_idx(path: Path) -> bool:
    """Whether a file begins as one of IDX images, plain or gzipped by its name."""
    with path.open("rb") as file:
        start = file.read(4)
    return start == bytes([0, 0, 8, 3]) or (path.suffix == ".gz" and "idx3" in path.name)


def has_split(folder: Path, split: str) -> bool:
    """Whether a folder holds the images of a split."""
    stem = f"{_STEMS[split]}-images"
    return any(path.name.startswith(stem) and path.is_file() for path in folder.iterdir())


def read_pair(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, H, W) of a file and labels uint8 (N,) of the one beside it.

    Raises:
      InputError: the file of labels is missing, or one of the two is no sound IDX file.
    """
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    labels_path = path.with_name(name)
    if name == path.name or not labels_path.is_file():
        raise InputError(
            f"{path} holds images; its labels are looked for in {labels_path.name}, beside it"
        )
    try:
        images, labels = (
            _gunzip(one) if one.suffix == ".gz" else one.read_bytes() for one in (path, labels_path)
        )
        return (
            parse(images, dimensions=3, name=str(path)),
            parse(labels, dimensions=1, name=str(labels_path)),
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def parse(data: bytes, *, dimensions: int, name: str) -> np.ndarray:
    """Return the uint8 array of an IDX file: 0, 0, type 8, rank, sizes (u32 each), bytes."""
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{name} is not an IDX file of {dimensions}-dimensional bytes")
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, header, 4))
    expected = 1
    for size in shape:
        expected *= size
    if len(data) != header + expected:
        raise ValueError(
            f"{name} declares shape {shape} but holds {len(data) - header:,} bytes after its header"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read(folder: Path, *names: str) -> bytes:
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return _gunzip(path) if path.suffix == ".gz" else path.read_bytes()
    raise FileNotFoundError(f"neither {names[0]} nor {names[0]}.gz is in {folder}")


def _gunzip(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a sound gzip file: {error}") from error
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{path} unpacks to more than {_MAX_BYTES:,} bytes")
    return data
