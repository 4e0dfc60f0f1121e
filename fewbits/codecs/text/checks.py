"""Checksums along the way: a decoder that computes otherwise notices soon, and says so.

After steps 1, 2, 4, 8, ... and after the last, the CRC-32 of all bytes so far.
"""

from __future__ import annotations

import zlib

import numpy as np

from fewbits.coding import FormatError

SECTION = "text"
_CHECK_BYTES = 4


class Checks:
    """Writes the checksums of the steps so far, or compares them.

    Attributes:
      taken: the checksums so far.
      crc: of all bytes so far.
    """

    def __init__(self, steps: int, expected: bytes | None = None):
        """Before the first of so many steps.

        Args:
          steps: at least 1.
          expected: what a file says; None to write.

        Raises:
          FormatError: checksums of another number of steps.
        """
        self._due = sorted({1 << power for power in range(steps.bit_length())} | {steps})
        self.taken = b""
        self.crc = 0
        self._expected = expected
        if expected is not None and len(expected) != self.size:
            raise FormatError(f"{len(expected)} bytes of checksums", "header")

    @property
    def size(self) -> int:
        """Bytes of all checksums."""
        return _CHECK_BYTES * len(self._due)

    def add(self, number: int, byte: np.ndarray) -> None:
        """The bytes of one more step, `number` counted from 1.

        Raises:
          FormatError: a checksum of the file does not match.
        """
        self.crc = zlib.crc32(byte.tobytes(), self.crc)
        if number != self._due[len(self.taken) // _CHECK_BYTES]:
            return
        self.taken += self.crc.to_bytes(_CHECK_BYTES, "little")
        if self._expected is not None and not self._expected.startswith(self.taken):
            raise FormatError(
                f"the text is wrong by step {number}: the file was made on another kind of "
                "device or by other versions (see `inspect`), or is damaged",
                SECTION,
            )

    def restore(self, done: int, crc: int, taken: bytes | None = None) -> None:
        """After `done` steps; a decoder has compared what it expected until then."""
        known = self._expected if taken is None else taken
        assert known is not None
        count = sum(number <= done for number in self._due)
        self.taken, self.crc = known[: _CHECK_BYTES * count], crc
