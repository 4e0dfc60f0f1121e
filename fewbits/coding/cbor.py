"""Header values as bytes: a small deterministic subset of CBOR (RFC 8949).

None, booleans, integers, floats, strings, byte strings, lists and maps with string keys; each
value has exactly one encoding, and a reader refuses every other one. Nothing is ever executed,
nesting and the number of values are bounded, and no length is believed before it is checked.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

from fewbits.coding.varint import ByteReader

MAX_DEPTH = 32
MAX_VALUES = 1 << 14
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _, _SIMPLE = range(8)
_FALSE, _TRUE, _NULL, _FLOAT32, _FLOAT64 = 20, 21, 22, 26, 27
_ARGUMENT_FORMATS = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}


def dumps(value: Any) -> bytes:
    """The deterministic CBOR of a value.

    Tuples are written as lists, NumPy and JAX scalars as Python numbers.

    Raises:
      ValueError: a type that is not in the subset, a key that is not a string, an integer beyond
        64 bits, a float that is not finite, or too much nesting.
    """
    return _dump(value, depth=0)


def _dump(value: Any, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise ValueError(f"header values nest at most {MAX_DEPTH} deep")
    if getattr(value, "ndim", None) == 0:
        value = value.item()  # a scalar of NumPy or JAX
    if value is None or isinstance(value, bool):
        return bytes([_SIMPLE << 5 | (_NULL if value is None else _TRUE if value else _FALSE)])
    if isinstance(value, int):
        return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, float):
        return _dump_float(value)
    if isinstance(value, bytes | bytearray):
        return _head(_BYTES, len(value)) + bytes(value)
    if isinstance(value, str):
        text = value.encode("utf-8")
        return _head(_TEXT, len(text)) + text
    if isinstance(value, list | tuple):
        return _head(_LIST, len(value)) + b"".join(_dump(item, depth + 1) for item in value)
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise ValueError(f"header keys are strings, not {wrong[0]!r}")
        pairs = sorted((_dump(key, depth + 1), _dump(value[key], depth + 1)) for key in value)
        return _head(_MAP, len(pairs)) + b"".join(key + item for key, item in pairs)
    raise ValueError(f"a header cannot hold {type(value).__name__}: {value!r}"[:200])


def _dump_float(number: float) -> bytes:
    if not math.isfinite(number):
        raise ValueError(f"header numbers are finite, not {number}")
    if _fits_float32(number):
        return bytes([_SIMPLE << 5 | _FLOAT32]) + struct.pack(">f", number)
    return bytes([_SIMPLE << 5 | _FLOAT64]) + struct.pack(">d", number)


def _fits_float32(number: float) -> bool:
    try:
        return struct.unpack(">f", struct.pack(">f", number))[0] == number
    except OverflowError:
        return False


def _head(major: int, argument: int) -> bytes:
    """CBOR's initial byte and argument, in the shortest of its five forms."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for extra, layout in _ARGUMENT_FORMATS.items():
        if argument < 1 << 8 * struct.calcsize(layout):
            return bytes([major << 5 | extra]) + struct.pack(layout, argument)
    raise ValueError(f"an integer of {argument.bit_length()} bits does not fit in a header")


def loads(data: bytes, section: str = "header") -> Any:
    """The value whose deterministic CBOR is `data`.

    Raises:
      FormatError: anything but the deterministic CBOR of exactly one value.
    """
    parser = _Parser(ByteReader(data, section))
    value = parser.value(depth=0)
    parser.reader.finish()
    return value


class _Parser:
    def __init__(self, reader: ByteReader):
        self.reader = reader
        self.values = 0

    def value(self, depth: int) -> Any:
        self.values += 1
        if depth > MAX_DEPTH:
            raise self.reader.error(f"values nest more than {MAX_DEPTH} deep")
        if self.values > MAX_VALUES:
            raise self.reader.error(f"more than {MAX_VALUES} values")
        initial = self.reader.byte()
        major, info = initial >> 5, initial & 31
        if major == _SIMPLE:
            return self._simple(info)
        argument = self._argument(info)
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _BYTES:
            return self.reader.take(argument)
        if major == _TEXT:
            return self._text(argument)
        if major == _LIST:
            self._bound(argument, bytes_each=1)
            return [self.value(depth + 1) for _ in range(argument)]
        if major == _MAP:
            self._bound(argument, bytes_each=2)
            return self._map(argument, depth)
        raise self.reader.error(f"unknown type of value {initial:#04x}")

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info not in _ARGUMENT_FORMATS:
            raise self.reader.error("unknown form of a length")
        layout = _ARGUMENT_FORMATS[info]
        size = struct.calcsize(layout)
        argument = struct.unpack(layout, self.reader.take(size))[0]
        if argument < (24 if size == 1 else 1 << 4 * size):
            raise self.reader.error("a number is not in its shortest form")
        return argument

    def _simple(self, info: int) -> Any:
        if info in (_FALSE, _TRUE):
            return info == _TRUE
        if info == _NULL:
            return None
        if info == _FLOAT32:
            number = struct.unpack(">f", self.reader.take(4))[0]
        elif info == _FLOAT64:
            number = struct.unpack(">d", self.reader.take(8))[0]
            if _fits_float32(number):
                raise self.reader.error("a float is not in its shortest form")
        else:
            raise self.reader.error(f"unknown simple value {info}")
        if not math.isfinite(number):
            raise self.reader.error("a float is not finite")
        return number

    def _text(self, size: int) -> str:
        try:
            return self.reader.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise self.reader.error("a string is not UTF-8") from None

    def _map(self, size: int, depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        previous = b""
        for _ in range(size):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise self.reader.error("a key is not a string")
            encoded = _dump(key, 0)
            if encoded <= previous:
                raise self.reader.error(f"keys repeat or are out of order at {key[:40]!r}")
            previous = encoded
            pairs[key] = self.value(depth + 1)
        return pairs

    def _bound(self, count: int, bytes_each: int) -> None:
        if count * bytes_each > self.reader.remaining:
            raise self.reader.error(f"{count} entries cannot fit in the bytes that are left")
