"""Tensors to bytes and back, one after the other, with contexts that all of them share."""

from __future__ import annotations

import math

import numpy as np

from fewbits.coding import binary_coder
from fewbits.coding.adaptive import bit_mixer, logistic, tensor_scan, trellis
from fewbits.coding.adaptive.tensor_scan import FAILED, INDEX
from fewbits.io.errors import FormatError

_WEIGHT = 17 * bit_mixer.WEIGHT_ONE // 100
_BLOCK = 1 << 14
_BYTES_PER_ELEMENT = 180
"""More than the bits of the largest number can take."""


def axes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The three axes (a, b, c) that a tensor is scanned along.

    Axes of length 1 say nothing. Of three or more axes, those of the kernel's places are taken
    together: the first ones of flax's layout (h, w, in, out), the last ones of PyTorch's.
    """
    long = tuple(length for length in shape if length != 1)
    if len(long) < 2:
        return (1, 1, math.prod(long))
    if len(long) == 2:
        return (long[0], 1, long[1])
    behind, before = math.prod(long[2:]), math.prod(long[:-2])
    if behind <= before:
        return (long[0], long[1], behind)
    return (before, long[-2], long[-1])


class _Model:
    """What encoder and decoder learn in the same way."""

    def __init__(self) -> None:
        self._tables = logistic.tables()
        self._slots = np.full(tensor_scan.N_SLOTS, bit_mixer.NEW_SLOT, np.int32)
        shape = (tensor_scan.N_MIXERS, tensor_scan.N_CONTEXTS + 1)
        self._weights = np.full(shape, _WEIGHT, np.int64)
        self._weights[:, -1] = 0
        self._coder = np.zeros(bit_mixer.BITS + 1, np.int64)
        self._tensors = 0

    def _start(self, shape: tuple[int, ...]) -> tuple:
        a, b, c = axes(shape)
        sums = tuple(np.zeros(count, np.int64) for count in (a, b, c, b * c))
        scan = np.array([0, 0, 0, 256, 0], np.int64)
        self._tensors += 1
        return (a, b, c), sums, np.zeros(tensor_scan.N_NEIGHBOURS, np.int64), scan

    def _scan(
        self, encode: bool, values: np.ndarray, last: int, started: tuple, states: int,
        data: np.ndarray,
    ) -> None:  # fmt: skip
        shape, sums, taps, scan = started
        tensor_scan.scan_tensor(
            encode, values, last, shape, self._tensors - 1, trellis.next_states(states), sums, taps,
            scan, tensor_scan.STARTS, self._slots, self._weights, self._coder, data, self._tables,
        )  # fmt: skip


class Encoder(_Model):
    """Writes tensors of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        binary_coder.start(self._coder)
        self._written = bytearray()

    def add(self, values: np.ndarray, shape: tuple[int, ...], states: int) -> int:
        """Codes a tensor.

        Args:
          values: int32[...] in C order, in units of the step, at most 2^30 - 1 in magnitude; of a
            trellis, what a path through it gives.
          shape: the tensor's.
          states: logarithm to base two of the trellis's states; 0 for plain rounding.

        Returns:
          Bytes that the stream has so far, the last few not counted.
        """
        started = self._start(shape)
        values = np.ascontiguousarray(values, np.int32).ravel()
        buffer = np.empty(min(_BLOCK, values.size) * _BYTES_PER_ELEMENT, np.uint8)
        while started[-1][INDEX] < values.size:
            last = min(int(started[-1][INDEX]) + _BLOCK, values.size)
            self._coder[binary_coder.PLACE] = 0
            self._scan(True, values, last, started, states, buffer)
            self._written += buffer[: self._coder[binary_coder.PLACE]].tobytes()
        return len(self._written)

    def finish(self) -> bytes:
        """The whole stream."""
        return bytes(self._written) + binary_coder.last_bytes(self._coder)


class Decoder(_Model):
    """Reads what `Encoder` wrote."""

    def __init__(self, data: bytes, section: str):
        super().__init__()
        self._data = np.frombuffer(bytearray(data), np.uint8)
        binary_coder.start(self._coder, data)
        self._section = section

    def take(self, shape: tuple[int, ...], states: int) -> np.ndarray:
        """The next tensor's numbers, int32[n].

        Raises:
          FormatError: a number that no encoder writes, or bytes that came to an end.
        """
        started = self._start(shape)
        values = np.zeros(math.prod(shape), np.int32)
        while started[-1][INDEX] < values.size:
            last = min(int(started[-1][INDEX]) + _BLOCK, values.size)
            self._scan(False, values, last, started, states, self._data)
            if started[-1][FAILED] or self.used() > self._data.size:
                raise FormatError("the stream is damaged", self._section)
        return values

    def used(self) -> int:
        """Bytes that what was read has settled."""
        return int(self._coder[binary_coder.PLACE]) - 4

    def finish(self) -> None:
        """Asserts that the stream ends as an encoder ends it."""
        rest = self._data[self.used() :].tobytes()
        if rest != binary_coder.last_bytes(self._coder):
            raise FormatError("the stream does not end with its last tensor", self._section)
