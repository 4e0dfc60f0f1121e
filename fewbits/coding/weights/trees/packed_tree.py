"""A parameter tree's description in few bytes: DEFLATE with a dictionary of usual names."""

from __future__ import annotations

import zlib
from typing import Any

from fewbits.coding import cbor
from fewbits.io.errors import FormatError

_LARGEST = 1 << 22
_ZEROS = bytes(5)
DICTIONARY = (
    b"running_meanrunning_varnum_batches_trackedembeddingbatch_stats"
    b"featuresclassifierdownsamplelayer1.0.bn1.conv1.conv2.BatchNorm_0Conv_0Dense_0layers_0."
    b"linear.weight.biasscalenormstatemeanvarparamsfc1fc2fc3conv3dense3"
    + b"\xa4econv1\xa2dbiasG\x22\x14" + _ZEROS + b"fkernelJ\x86\x05\x05\x01\x14\x00"
    + b"\xa3fdense1\xa2dbiasG\x30" + _ZEROS + b"fkernelM" + _ZEROS
    + b"fdense2\xa2dbiasG\x22\x64" + _ZEROS + b"foutput\xa2dbiasG\x22\x0a" + _ZEROS + b"fkernelIP"
)  # fmt: skip
"""What both sides know, frequent last. Part of the format."""


def pack(described: Any) -> bytes:
    """The bytes of a header value that holds a tree."""
    raw, found = cbor.dumps(described), []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED):
        coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy, DICTIONARY)
        found.append(coder.compress(raw) + coder.flush())
    return min(found, key=len)


def unpack(data: Any) -> Any:
    """The inverse of `pack`.

    Raises:
      FormatError: bytes that `pack` does not give.
    """
    if not isinstance(data, bytes):
        raise FormatError("a packed tree is bytes", "header")
    coder = zlib.decompressobj(-15, zdict=DICTIONARY)
    try:
        raw = coder.decompress(data, _LARGEST)
    except zlib.error as error:
        raise FormatError(f"the packed tree is damaged: {error}", "header") from error
    if not coder.eof or coder.unused_data:
        raise FormatError("the packed tree has no end, or bytes behind it", "header")
    return cbor.loads(raw, "header")
