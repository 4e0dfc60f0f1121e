"""Baseline: as many whole images as fit, losslessly compressed, in one file."""

from __future__ import annotations

import bz2
import lzma
import zlib

import numpy as np

from fewbits.coding import FormatError, read_archive, write_archive

KIND = "subset"
_MAX_BYTES = 1 << 31

_PACK = {
    "zlib": lambda data: zlib.compress(data, 9),
    "bz2": lambda data: bz2.compress(data, 9),
    "xz": lambda data: lzma.compress(
        data,
        lzma.FORMAT_RAW,
        filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}],
    ),
}


def write(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Images sorted by class, under the best of zlib, bz2 and xz.

    Args:
      images: uint8 (N, H, W, C).
      labels: integers (N,), 0 to 255.
    """
    order = np.argsort(labels, kind="stable")
    data = np.ascontiguousarray(images[order]).tobytes()
    packed = {codec: pack(data) for codec, pack in _PACK.items()}
    codec = min(packed, key=lambda name: len(packed[name]))
    counts = np.bincount(labels, minlength=int(labels.max(initial=0)) + 1)
    header = {
        "shape": [int(size) for size in images.shape],
        "counts": [int(count) for count in counts],
        "codec": codec,
    }
    return write_archive(KIND, header, {"pixels": packed[codec]})


def read(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, H, W, C), sorted by class, and labels int32 (N,).

    Raises:
      FormatError: not an undamaged subset file.
    """
    archive = read_archive(data, kind=KIND)
    try:
        shape = tuple(archive.header["shape"])
        counts = archive.header["counts"]
        codec = archive.header["codec"]
        size = 1
        for side in shape:
            size *= side
        if len(shape) != 4 or min(shape) < 0 or size > _MAX_BYTES or sum(counts) != shape[0]:
            raise ValueError(f"shape {shape} with class counts {counts}")
        raw = _unpack(codec, archive.sections["pixels"], size)
        labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return np.frombuffer(raw, np.uint8).reshape(shape), labels
    except FormatError:
        raise
    except (
        KeyError,
        TypeError,
        ValueError,
        EOFError,
        OSError,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise FormatError(str(error), section="pixels") from error


def largest(
    images: np.ndarray, labels: np.ndarray, budget_bytes: int, seed: int
) -> tuple[bytes, int]:
    """The file of the largest random subset that fits `budget_bytes`, and how many images it has.

    The subset is a prefix of one random order, and its file grows with every image but for a few
    bytes of noise, so a bisection finds it. One image is the least.
    """
    order = np.random.default_rng(seed).permutation(len(labels))

    def file(count: int) -> bytes:
        return write(images[order[:count]], labels[order[:count]])

    low = 1  # doubling first: compressing far too many images would cost far too long
    while 2 * low <= len(labels) and len(file(2 * low)) <= budget_bytes:
        low *= 2
    high = min(2 * low, len(labels))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(file(middle)) <= budget_bytes else (low, middle - 1)
    return file(low), low


def _unpack(codec: str, packed: bytes, size: int) -> bytes:
    """Decompress to exactly `size` bytes, never allocating more than that and a little."""
    if codec == "zlib":
        decoder = zlib.decompressobj()
        raw = decoder.decompress(packed, size + 1)
        complete = decoder.eof and not decoder.unused_data
    elif codec == "bz2":
        decoder = bz2.BZ2Decompressor()
        raw = decoder.decompress(packed, size + 1)
        complete = decoder.eof and not decoder.unused_data
    elif codec == "xz":
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        raw = decoder.decompress(packed, size + 1)
        complete = not decoder.unused_data
    else:
        raise ValueError(f"unknown codec {codec!r}")
    if len(raw) != size or not complete:
        raise ValueError(f"{len(raw)} bytes of pixels where {size} are declared")
    return raw
