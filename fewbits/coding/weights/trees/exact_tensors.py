"""Tensors stored exactly: dtype, shape and values, as they are or deflated."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from fewbits.coding.varint import ByteReader, varint
from fewbits.coding.weights.trees import parameter_tree
from fewbits.io.errors import FormatError

Description = tuple[np.dtype, tuple[int, ...]]
"""Dtype and shape."""

SECTION = "exact"
DTYPE_NAMES = (
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "complex64", "complex128", "float16", "float32", "float64", "bfloat16",
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e4m3b11fnuz",
    "float8_e4m3", "float8_e3m4", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn",
    "float4_e2m1fn", "int4", "uint4", "int2", "uint2",
)  # fmt: skip
"""A dtype's number in a file is its place here; new ones are added at the end."""

_RAW, _DEFLATED = range(2)
_DEFLATE_LIMIT = 1032  # no deflate stream unpacks to more times its size
_MAX_EXACT_BYTES = 1 << 31


def describe(array: np.ndarray) -> bytes:
    """Dtype and shape of a tensor, for a header."""
    return varint(DTYPE_NAMES.index(array.dtype.name)) + b"".join(map(varint, array.shape))


def read_description(code: bytes) -> Description:
    """The inverse of `describe`.

    Raises:
      FormatError: no description, or of a tensor too large for a file.
    """
    reader = ByteReader(code, "header")
    name = DTYPE_NAMES[reader.varint(len(DTYPE_NAMES) - 1, "dtype")]
    shape = []
    while reader.remaining:
        shape.append(reader.varint(1 << 31, "dimension"))
    if len(shape) > 64 or math.prod(max(size, 1) for size in shape) > parameter_tree.MAX_ELEMENTS:
        raise reader.error(f"an exact tensor of {len(shape)} dimensions, too large")
    return dtype_of(name), tuple(shape)


def dtype_of(name: str) -> np.dtype:
    """A dtype by its name, those of ml_dtypes included."""
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))


def pack(arrays: Sequence[np.ndarray]) -> bytes:
    """The values of tensors as a section."""
    data = b"".join(map(_to_bytes, arrays))
    deflated = zlib.compress(data, 9)
    return bytes([_RAW]) + data if len(data) <= len(deflated) else bytes([_DEFLATED]) + deflated


def unpack(section: bytes | None, described: Sequence[Description]) -> list[np.ndarray]:
    """The tensors of a section, which is None where there are none.

    Raises:
      FormatError: a section that does not hold these tensors.
    """
    if not described:
        if section is not None:
            raise FormatError("values of no tensor", SECTION)
        return []
    sizes = [math.prod(shape) * dtype.itemsize for dtype, shape in described]
    data = _unpacked(section, sum(sizes))
    arrays, at = [], 0
    for (dtype, shape), size in zip(described, sizes, strict=True):
        arrays.append(_from_bytes(data[at : at + size], dtype, shape))
        at += size
    return arrays


def _to_bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()


def _from_bytes(data: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    if dtype == np.bool_ and set(data) - {0, 1}:
        raise FormatError("a boolean is neither 0 nor 1", SECTION)
    array = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
    return array.reshape(shape)


def _unpacked(section: bytes | None, size: int) -> bytes:
    if not section or section[0] not in (_RAW, _DEFLATED):
        raise FormatError("values are missing", SECTION)
    body = section[1:]
    if section[0] == _DEFLATED:
        if size > min(_DEFLATE_LIMIT * len(body), _MAX_EXACT_BYTES):
            raise FormatError(f"{len(body)} bytes cannot unpack to {size}", SECTION)
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(body, size + 1)
        except zlib.error as error:
            raise FormatError(f"damaged: {error}", SECTION) from error
        if not unpacker.eof or unpacker.unused_data:
            raise FormatError("the deflate stream does not end with the values", SECTION)
    if len(body) != size:
        raise FormatError(f"{len(body)} bytes for tensors of {size}", SECTION)
    return body
