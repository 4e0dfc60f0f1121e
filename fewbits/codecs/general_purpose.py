"""General-purpose compressors at their strongest: what a file of ours is compared with.

>>> from fewbits.codecs import general_purpose
>>> text = b"what repeats, repeats; " * 100
>>> sizes = general_purpose.sizes(text)
>>> sizes["xz -9e"] < len(text) / 10
True
>>> xz = general_purpose.CODECS["xz -9e"]
>>> xz.decompress(xz.compress(text)) == text
True
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

_PPMD_MEMORY = 1 << 29
_PPMD_ORDERS = (4, 5, 6, 8)
STRONGEST = ("brotli -q 11", "PPMd (variant H), best order", "zpaq -m5")
"""What the files of `fewbits text` are compared with."""


class Codec(NamedTuple):
    """One compressor.

    Attributes:
      suffix: of its files.
      compress: at its strongest setting; equal bytes give equal files.
      decompress: the inverse.
    """

    suffix: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


CODECS = {
    "xz -9e": Codec(
        ".xz",
        lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
        lzma.decompress,
    ),
    "bzip2 -9": Codec(".bz2", lambda data: bz2.compress(data, 9), bz2.decompress),
    "gzip -9": Codec(".gz", lambda data: gzip.compress(data, 9, mtime=0), gzip.decompress),
}
"""Of Python's standard library."""


def sizes(data: bytes) -> dict[str, int]:
    """Bytes that each compressor makes of `data`, whole, by name.

    Zstandard, PPMd and brotli come with the extra `text`, zpaq is a program (a Debian package); one
    that is missing is named on stderr and left out.
    """
    found = {name: len(codec.compress(data)) for name, codec in CODECS.items()}
    try:
        import zstandard
    except ImportError:
        _missing("zstandard")
    else:
        strongest = zstandard.ZstdCompressionParameters.from_level(
            19, window_log=27, enable_ldm=True, source_size=len(data)
        )
        compressor = zstandard.ZstdCompressor(compression_params=strongest)
        found["zstd -19 --long=27"] = len(compressor.compress(data))
    ppmd = _ppmd(data, (8,))
    if ppmd:
        found["PPMd (variant H) order 8"] = ppmd[8]
    return found | _brotli(data) | _zpaq(data)


def image_sizes(pixels: np.ndarray) -> dict[str, int]:
    """Bytes of grey images without loss, by each of `CODECS` and as PNG; all of them decoded.

    Args:
      pixels: uint8[n, height, width] or [n, height, width, 1].

    Raises:
      ValueError: one of them gives other pixels back.
    """
    sheet = np.ascontiguousarray(pixels.reshape(-1, pixels.shape[2]))
    content = sheet.tobytes()
    found = {}
    for name, codec in CODECS.items():
        data = codec.compress(content)
        if codec.decompress(data) != content:
            raise ValueError(f"{name} gives other pixels back")
        found[name] = len(data)
    found["PNG, one file each"] = sum(_png_bytes(each.reshape(each.shape[:2])) for each in pixels)
    return {**found, "PNG, one file for all": _png_bytes(sheet)}


def _png_bytes(pixels: np.ndarray) -> int:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    with Image.open(file) as image:
        if not np.array_equal(np.asarray(image), pixels):
            raise ValueError("PNG gives other pixels back")
    return len(file.getvalue())


def strongest(data: bytes) -> dict[str, int]:
    """Bytes that the three of `STRONGEST` make of `data`; PPMd at the best of four orders.

    One that is missing is named on stderr and left out.
    """
    ppmd = _ppmd(data, _PPMD_ORDERS)
    found = _brotli(data) | _zpaq(data)
    found |= {STRONGEST[1]: min(ppmd.values())} if ppmd else {}
    return {name: found[name] for name in STRONGEST if name in found}


def _ppmd(data: bytes, orders: tuple[int, ...]) -> dict[int, int]:
    try:
        import pyppmd
    except ImportError:
        _missing("pyppmd")
        return {}
    memory = min(_PPMD_MEMORY, max(1 << 20, 64 * len(data)))
    found = {}
    for order in orders:
        encoder = pyppmd.Ppmd7Encoder(order, memory)
        found[order] = len(encoder.encode(data)) + len(encoder.flush())
    return found


def _brotli(data: bytes) -> dict[str, int]:
    try:
        import brotli
    except ImportError:
        _missing("brotli")
        return {}
    return {STRONGEST[0]: len(brotli.compress(data, quality=11, lgwin=24))}


def _zpaq(data: bytes) -> dict[str, int]:
    command = shutil.which("zpaq")
    if command is None:
        _missing("zpaq")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").write_bytes(data)
        run = [command, "add", "data.zpaq", "data", "-m5", "-t1"]
        subprocess.run(run, cwd=folder, check=True, capture_output=True)
        return {STRONGEST[2]: (Path(folder) / "data.zpaq").stat().st_size}


def _missing(name: str) -> None:
    sys.stderr.write(f"{name} is not installed; it is left out of the comparison\n")
