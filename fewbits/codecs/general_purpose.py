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
import lzma
from collections.abc import Callable
from typing import NamedTuple

_PPMD_MEMORY = 1 << 29


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

    Zstandard and PPMd (variant H, order 8) come with the extra `text` and are left out without it.
    """
    found = {name: len(codec.compress(data)) for name, codec in CODECS.items()}
    try:
        import pyppmd
        import zstandard
    except ImportError:
        return found
    strongest = zstandard.ZstdCompressionParameters.from_level(
        19, window_log=27, enable_ldm=True, source_size=len(data)
    )
    compressor = zstandard.ZstdCompressor(compression_params=strongest)
    found["zstd -19 --long=27"] = len(compressor.compress(data))
    memory = min(_PPMD_MEMORY, max(1 << 20, 64 * len(data)))
    encoder = pyppmd.Ppmd7Encoder(8, memory)
    found["PPMd (variant H) order 8"] = len(encoder.encode(data)) + len(encoder.flush())
    return found
