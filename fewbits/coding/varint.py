"""Whole numbers as bytes: varints, zigzag and a bit string, read with every bound checked.

A number has exactly one encoding, so two files that decode to the same thing are the same file.
"""

from __future__ import annotations

from collections.abc import Iterable

from fewbits.io.errors import FormatError

_MAX_VARINT_BYTES = 10
_MAX_GOLOMB_PREFIX = 24


def varint(value: int) -> bytes:
    """A whole number >= 0, seven bits a byte, low bits first, the high bit set on all but the last.

    Raises:
      ValueError: `value` is negative or needs more than 64 bits.
    """
    if not 0 <= value < 1 << 64:
        raise ValueError(f"a varint holds 0 to 2^64 - 1, not {value}")
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def zigzag(value: int) -> int:
    """A signed number as a whole number: 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """The inverse of `zigzag`."""
    return value // 2 if value % 2 == 0 else -(value + 1) // 2


class ByteReader:
    """Reads bytes from the front; every shortage is a `FormatError` that names the section."""

    def __init__(self, data: bytes, section: str):
        self._data = data
        self._at = 0
        self.section = section

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._at

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if not 0 <= count <= self.remaining:
            raise self.error(f"{count} bytes wanted at byte {self._at}, {self.remaining} are left")
        self._at += count
        return self._data[self._at - count : self._at]

    def byte(self) -> int:
        """The next byte, as a number."""
        return self.take(1)[0]

    def varint(self, limit: int, what: str = "number") -> int:
        """The next varint, in its shortest form and at most `limit`."""
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if byte == 0 and place > 0:
                    raise self.error(f"{what} is not in its shortest form")
                if value > limit:
                    raise self.error(f"{what} is {value}, at most {limit} is allowed")
                return value
        raise self.error(f"{what} is longer than {_MAX_VARINT_BYTES} bytes")

    def finish(self) -> None:
        """Asserts that every byte was read."""
        if self.remaining:
            raise self.error(f"{self.remaining} bytes follow the end: damaged")

    def error(self, message: str) -> FormatError:
        """A `FormatError` for this section."""
        return FormatError(message, self.section)


def exp_golomb(values: Iterable[int], order: int) -> bytes:
    """Whole numbers in exponential Golomb code of the given order, as one padded bit string.

    With w = value + 2^order: as many zeros as w has bits beyond order + 1, then w in binary. The
    bits fill bytes from the high end; the last byte is padded with zeros.
    """
    pieces = []
    for value in values:
        shifted = value + (1 << order)
        pieces.append("0" * (shifted.bit_length() - order - 1) + format(shifted, "b"))
    bits = "".join(pieces)
    size = (len(bits) + 7) // 8
    return int(bits.ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")


def read_exp_golomb(reader: ByteReader, count: int, order: int) -> list[int]:
    """Reads `count` numbers written by `exp_golomb`, with the padding bits checked."""
    if count > 8 * reader.remaining:
        raise reader.error(f"{count} coded numbers cannot fit in {reader.remaining} bytes")
    values = []
    window, available = 0, 0
    for _ in range(count):
        prefix = 0
        while True:
            if available == 0:
                window, available = reader.byte(), 8
            available -= 1
            if window >> available & 1:
                break
            prefix += 1
            if prefix > _MAX_GOLOMB_PREFIX:
                raise reader.error("a coded number is too long")
        need = prefix + order
        window &= (1 << available) - 1
        while available < need:
            window, available = window << 8 | reader.byte(), available + 8
        available -= need
        values.append((1 << need) + (window >> available) - (1 << order))
        window &= (1 << available) - 1
    if window:
        raise reader.error("padding bits are not zero")
    return values
