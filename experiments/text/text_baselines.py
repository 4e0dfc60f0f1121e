"""What general compressors make of the same bytes, whole: no restarts, no chunks."""

from __future__ import annotations

import bz2
import gzip
import lzma

_PPMD_MEMORY = 1 << 29


def sizes(text: bytes) -> dict[str, int]:
    """Bytes of each compressor's file; those that are not installed are left out."""
    found = {
        "xz -9e": len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)),
        "bzip2 -9": len(bz2.compress(text, 9)),
        "gzip -9": len(gzip.compress(text, 9, mtime=0)),
    }
    try:  # the `text` extra
        import pyppmd
        import zstandard
    except ImportError:
        return found
    strongest = zstandard.ZstdCompressionParameters.from_level(
        19, window_log=27, enable_ldm=True, source_size=len(text)
    )
    compressor = zstandard.ZstdCompressor(compression_params=strongest)
    found["zstd -19 --long=27"] = len(compressor.compress(text))
    memory = min(_PPMD_MEMORY, max(1 << 20, 64 * len(text)))
    encoder = pyppmd.Ppmd7Encoder(8, memory)
    found["PPMd (variant H) order 8"] = len(encoder.encode(text)) + len(encoder.flush())
    return found
