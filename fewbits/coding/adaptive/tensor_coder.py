"""Tensors to bytes and back, one after the other, with contexts that all of them share."""

from __future__ import annotations

import math

import numpy as np

from fewbits.coding import binary_coder
from fewbits.coding.adaptive import (
    bit_mixer,
    level_code,
    logistic,
    pruned_scan,
    tensor_scan,
    trellis,
)
from fewbits.coding.adaptive.scan_state import FAILED, INDEX
from fewbits.io.errors import FormatError

_WEIGHT = 17 * bit_mixer.WEIGHT_ONE // 100
_WEIGHT_OF_PRUNED = 13 * bit_mixer.WEIGHT_ONE // 100
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

    _sizes = tensor_scan.SIZES
    _weight = _WEIGHT

    def __init__(self) -> None:
        self._tables = logistic.tables()
        n_slots = 2 * level_code.N_BINS * sum(self._sizes)
        self._slots = np.full(n_slots, bit_mixer.NEW_SLOT, np.int32)
        shape = (level_code.N_MIXERS, len(self._sizes) + 1)
        self._weights = np.full(shape, self._weight, np.int64)
        self._weights[:, -1] = 0
        self.coder = np.zeros(bit_mixer.BITS + 1, np.int64)
        self._tensors = 0

    def start(self, shape: tuple[int, ...]) -> tuple:
        """What the scan over a tensor of this shape changes; the last is the array `scan`."""
        a, b, c = axes(shape)
        sums = tuple(np.zeros(count, np.int64) for count in (a, b, c, b * c))
        self._tensors += 1
        return (a, b, c), sums, np.zeros(tensor_scan.N_NEIGHBOURS, np.int64), _new_scan()

    def scan(
        self, encode: bool, values: np.ndarray, last: int, started: tuple, states: int,
        data: np.ndarray,
    ) -> None:  # fmt: skip
        """Codes elements up to `last`."""
        shape, sums, taps, scan = started
        tensor_scan.scan_tensor(
            encode, values, last, shape, self._tensors - 1, trellis.next_states(states), sums, taps,
            scan, tensor_scan.STARTS, self._slots, self._weights, self.coder, data, self._tables,
        )  # fmt: skip

    def learn(self, shape: tuple[int, ...], values: np.ndarray) -> None:
        """Takes notice of a whole tensor."""


class _PrunedModel(_Model):
    """The same for networks that are mostly zeros; see `pruned_scan`."""

    _sizes = pruned_scan.SIZES
    _weight = _WEIGHT_OF_PRUNED

    def __init__(self) -> None:
        super().__init__()
        self._before: list[pruned_scan.Coded] = []

    def start(self, shape: tuple[int, ...]) -> tuple:
        """See `_Model.start`."""
        a, b, c = axes(shape)
        sums = tuple(np.zeros(count, np.int64) for count in (a, b, c))
        same = np.ones(c + 1, np.int64)
        same[[0, -1]] = 0
        counts = np.zeros(a * b, np.int64), np.zeros(c, np.int64), same
        known = pruned_scan.surroundings(self._before, shape, (a, b, c))
        self._tensors += 1
        return (a, b, c), sums, counts, tuple(known), _new_scan()

    def scan(
        self, encode: bool, values: np.ndarray, last: int, started: tuple, states: int,
        data: np.ndarray,
    ) -> None:  # fmt: skip
        """See `_Model.scan`."""
        shape, sums, counts, known, scan = started
        pruned_scan.scan_pruned(
            encode, values, last, shape, self._tensors - 1, trellis.next_states(states), sums,
            counts, known, scan, pruned_scan.STARTS, self._slots, self._weights, self.coder, data,
            self._tables,
        )  # fmt: skip

    def learn(self, shape: tuple[int, ...], values: np.ndarray) -> None:
        """See `_Model.learn`."""
        self._before.append(pruned_scan.Coded(shape, values != 0))


class Encoder:
    """Writes tensors of whole numbers."""

    def __init__(self, pruned: bool = False) -> None:
        self._model = _PrunedModel() if pruned else _Model()
        binary_coder.start(self._model.coder)
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
        started, coder = self._model.start(shape), self._model.coder
        values = np.ascontiguousarray(values, np.int32).ravel()
        buffer = np.empty(min(_BLOCK, values.size) * _BYTES_PER_ELEMENT, np.uint8)
        while started[-1][INDEX] < values.size:
            last = min(int(started[-1][INDEX]) + _BLOCK, values.size)
            coder[binary_coder.PLACE] = 0
            self._model.scan(True, values, last, started, states, buffer)
            self._written += buffer[: coder[binary_coder.PLACE]].tobytes()
        self._model.learn(shape, values)
        return len(self._written)

    def finish(self) -> bytes:
        """The whole stream."""
        return bytes(self._written) + binary_coder.last_bytes(self._model.coder)


class Decoder:
    """Reads what `Encoder` wrote."""

    def __init__(self, data: bytes, section: str, pruned: bool = False):
        self._model = _PrunedModel() if pruned else _Model()
        self._data = np.frombuffer(bytearray(data), np.uint8)
        binary_coder.start(self._model.coder, data)
        self._section = section

    def take(self, shape: tuple[int, ...], states: int) -> np.ndarray:
        """The next tensor's numbers, int32[n].

        Raises:
          FormatError: a number that no encoder writes, or bytes that came to an end.
        """
        started = self._model.start(shape)
        values = np.zeros(math.prod(shape), np.int32)
        while started[-1][INDEX] < values.size:
            last = min(int(started[-1][INDEX]) + _BLOCK, values.size)
            self._model.scan(False, values, last, started, states, self._data)
            if started[-1][FAILED] or self.used() > self._data.size:
                raise FormatError("the stream is damaged", self._section)
        self._model.learn(shape, values)
        return values

    def used(self) -> int:
        """Bytes that what was read has settled."""
        return int(self._model.coder[binary_coder.PLACE]) - 4

    def finish(self) -> None:
        """Asserts that the stream ends as an encoder ends it."""
        rest = self._data[self.used() :].tobytes()
        if rest != binary_coder.last_bytes(self._model.coder):
            raise FormatError("the stream does not end with its last tensor", self._section)


def _new_scan() -> np.ndarray:
    return np.array([0, 0, 0, 256, 0], np.int64)
