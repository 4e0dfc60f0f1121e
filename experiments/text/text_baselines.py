"""What general compressors make of the same bytes, whole: no restarts, no chunks."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
from typing import Any

PPMD_ORDER = 8
_PPMD_MEMORY = 1 << 29


def sizes(text: bytes) -> dict[str, int]:
    """Bytes of each compressor's file; those that are not installed are left out."""
    found = {
        "xz": len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)),
        "bzip2": len(bz2.compress(text, 9)),
        "gzip": len(gzip.compress(text, 9, mtime=0)),
    }
    if (zstandard := _installed("zstandard")) is not None:
        strongest = zstandard.ZstdCompressionParameters.from_level(
            19, window_log=27, enable_ldm=True, source_size=len(text)
        )
        found["zstd"] = len(zstandard.ZstdCompressor(compression_params=strongest).compress(text))
    if (pyppmd := _installed("pyppmd")) is not None:
        memory = min(_PPMD_MEMORY, max(1 << 20, 64 * len(text)))
        encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, memory)
        found["PPMd"] = len(encoder.encode(text)) + len(encoder.flush())
    return found


def _installed(module: str) -> Any:
    """A module of the `text` extra, or None."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


COMMANDS = {
    "xz": "xz -9e",
    "zstd": "zstd -19 --long=27",
    "bzip2": "bzip2 -9",
    "gzip": "gzip -9",
    "PPMd": f"PPMd (variant H) order {PPMD_ORDER}",
}
"""Names for tables."""
