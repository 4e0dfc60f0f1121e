"""Binary arithmetic coding with probabilities of 16 bits, in whole numbers.

An interval of 32-bit numbers is divided in the proportion of the two bits, and the part of the bit
that came is kept; leading bytes on which both ends agree are written (Witten, Neal and Cleary 1987,
with the carry-less renormalisation of PAQ, Mahoney 2005). What a reader takes behind the end of the
stream is zeros.
"""

from __future__ import annotations

import numpy as np

from fewbits.coding.compiled import compiled

LOW, HIGH, CODE, PLACE = range(4)
"""What the first four registers hold: the interval's ends, what a reader compares with them, the
place in the bytes."""
REGISTERS = 4
_LIMIT = (1 << 32) - 1


@compiled
def code(encode: bool, bit: int, probability: int, registers: np.ndarray, data: np.ndarray) -> int:
    """Codes a bit.

    Args:
      encode: whether `bit` is written; otherwise it is read.
      bit: 0 or 1; ignored when reading.
      probability: of a 1, in units of 2^-16, from 1 to 2^16 - 1.
      registers: int64[4 or more], see `LOW`; changed.
      data: uint8[...], written or read; what does not fit is not written.

    Returns:
      The bit.
    """
    low, high = registers[LOW], registers[HIGH]
    split = low + (((high - low) * probability) >> 16)
    if not encode:
        bit = 1 if registers[CODE] <= split else 0
    if bit:
        high = split
    else:
        low = split + 1
    while (low ^ high) >> 24 == 0:
        place = registers[PLACE]
        if not encode:
            byte = data[place] if place < data.size else 0
            registers[CODE] = ((registers[CODE] << 8) & _LIMIT) | byte
        elif place < data.size:
            data[place] = high >> 24
        registers[PLACE] = place + 1
        low = (low << 8) & _LIMIT
        high = ((high << 8) & _LIMIT) | 255
    registers[LOW], registers[HIGH] = low, high
    return bit


def start(registers: np.ndarray, data: bytes | None = None) -> None:
    """Sets the registers to where a writer starts or, given `data`, a reader."""
    registers[:REGISTERS] = (0, _LIMIT, 0, 0)
    if data is not None:
        registers[CODE] = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        registers[PLACE] = 4


def last_bytes(registers: np.ndarray) -> bytes:
    """The fewest bytes that end a stream: zeros follow, and the number lies in the interval."""
    low, high = int(registers[LOW]), int(registers[HIGH])
    for count in range(4):
        unit = 1 << (8 * (4 - count))
        value = -(-low // unit) * unit
        if value <= high:
            return value.to_bytes(4, "big")[:count]
    return low.to_bytes(4, "big")
