"""A text cut into streams that are coded in lock step, whatever it is that predicts.

Stream l is a contiguous part of the text; at each step a predictor gives every stream the integer
cumulative counts of its next byte. The encoder keeps the interval of each byte and pushes them all
onto `fewbits.coding.bits_back.stream_stack` in reverse; the decoder pops them forwards. The streams
differ by at most one byte in length, the longer ones come first, so the last step may have fewer
streams.

After steps 1, 2, 4, 8, ... a checksum of all bytes so far goes into the file: a decoder whose
predictor differs in the last bit, as on another kind of device, notices soon and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from fewbits.codecs.text import tables
from fewbits.codecs.text.checks import SECTION, Checks
from fewbits.coding import FormatError
from fewbits.coding.bits_back.stream_stack import StreamStack

Progress = Callable[[int, int], None]
"""(steps done, steps in all)."""
_TOGETHER = 64
"""Steps whose tables the encoder makes at once."""


State = Any
"""A tree of NumPy arrays of fixed shapes: where coding stands, to go on from in another process."""


class Predictor(Protocol):
    """What says which byte comes next in every stream; encoder and decoder make the same calls."""

    def gaps(self) -> jax.Array:
        """`tables.gaps` of every stream's next byte, Int16[streams, 256]."""
        ...

    def observe(self, byte: np.ndarray) -> None:
        """What it was, UInt8[streams]; 0 in a stream that has ended."""
        ...

    def state(self) -> State:
        """All that later predictions depend on; asked for between `observe` and `gaps`."""
        ...

    def restore(self, state: State) -> None:
        """Goes on from a state of a predictor that was made with the same arguments."""
        ...


class Coded(NamedTuple):
    """What a file holds of a text.

    Attributes:
      stack: `StreamStack.to_bytes`.
      checks: crc32 of the steps so far, after steps 1, 2, 4, ... and the last; 4 bytes each.
    """

    stack: bytes
    checks: bytes


def lengths(size: int, n_streams: int) -> np.ndarray:
    """Bytes in each stream, int64[n_streams]."""
    return size // n_streams + (np.arange(n_streams) < size % n_streams)


def split(text: bytes, n_streams: int) -> np.ndarray:
    """The text as UInt8[steps, streams]; streams that have ended hold 0."""
    counts = lengths(len(text), n_streams)
    steps = np.zeros((int(counts.max(initial=0)), n_streams), np.uint8)
    ends = np.cumsum(counts)
    array = np.frombuffer(text, np.uint8)
    for stream, (count, end) in enumerate(zip(counts, ends, strict=True)):
        steps[:count, stream] = array[end - count : end]
    return steps


def join(steps: np.ndarray, size: int) -> bytes:
    """The text of `split`."""
    counts = lengths(size, steps.shape[1])
    return b"".join(steps[:count, stream].tobytes() for stream, count in enumerate(counts))


class _InSteps:
    """How far an encoder or decoder has come."""

    _steps: np.ndarray
    _done: int

    @property
    def done(self) -> int:
        """Steps taken."""
        return self._done

    @property
    def steps(self) -> int:
        """Steps in all."""
        return len(self._steps)


class Encoder(_InSteps):
    """Codes a text of at least one byte under a predictor that has seen nothing yet."""

    def __init__(self, predictor: Predictor, text: bytes, n_streams: int):
        """Before the first step."""
        self._predictor, self._size, self._n_streams = predictor, len(text), n_streams
        self._steps = split(text, n_streams)
        self._starts = np.zeros(self._steps.shape, np.uint32)
        self._counts = np.zeros(self._steps.shape, np.uint32)
        self._checks = Checks(len(self._steps))
        self._done = 0

    def advance(self, last: int) -> None:
        """Takes the steps up to number `last`."""
        waiting: list[jax.Array] = []
        while self._done < last:
            byte = self._steps[self._done]
            waiting.append(self._predictor.gaps())
            self._predictor.observe(byte)
            self._done += 1
            self._checks.add(self._done, byte)
            if len(waiting) == _TOGETHER or self._done == last:
                rows = slice(self._done - len(waiting), self._done)
                found = tables.cumulative(np.stack([np.asarray(one) for one in waiting]))
                self._starts[rows], self._counts[rows] = _intervals(found, self._steps[rows])
                waiting.clear()

    def finish(self) -> Coded:
        """What the file holds, after the last step."""
        stack = StreamStack(self._n_streams)
        for number in range(len(self._steps), 0, -1):
            active = _active(number, self._size, self._n_streams)
            stack.push(self._starts[number - 1, :active], self._counts[number - 1, :active])
        return Coded(stack.to_bytes(), self._checks.taken)

    def state(self) -> State:
        """See `State`."""
        return {
            "done": np.array(self._done),
            "crc": np.array(self._checks.crc, np.uint32),
            "checks": _padded(self._checks.taken, self._checks.size),
            "starts": self._starts.copy(),
            "counts": self._counts.copy(),
            "predictor": self._predictor.state(),
        }

    def restore(self, state: State) -> None:
        """Goes on from a state of an encoder of the same text."""
        self._done = int(state["done"])
        self._starts, self._counts = state["starts"].copy(), state["counts"].copy()
        self._checks.restore(self._done, int(state["crc"]), state["checks"].tobytes())
        self._predictor.restore(state["predictor"])


class Decoder(_InSteps):
    """Gives back the text that an `Encoder` was given with the same predictor."""

    def __init__(self, predictor: Predictor, coded: Coded, size: int, n_streams: int):
        """Before the first step.

        Raises:
          FormatError: a stream that cannot be one of so many bytes.
        """
        if size > most_bytes(len(coded.stack)):
            raise FormatError(f"{size} bytes do not fit in the stream", SECTION)
        self._stack = StreamStack.from_bytes(coded.stack, n_streams, SECTION)
        self._predictor, self._size, self._n_streams = predictor, size, n_streams
        self._stack_bytes = len(coded.stack)
        self._steps = np.zeros((-(-size // n_streams), n_streams), np.uint8)
        self._checks = Checks(len(self._steps), coded.checks)
        self._done = 0

    def advance(self, last: int) -> None:
        """Takes the steps up to number `last`.

        Raises:
          FormatError: bytes that no such text leads to, or a predictor that predicts otherwise.
        """
        while self._done < last:
            byte = self._steps[self._done]
            self._done += 1
            active = _active(self._done, self._size, self._n_streams)
            found = tables.cumulative(np.asarray(self._predictor.gaps()))[:active]
            place = self._stack.peek(active)
            byte[:active] = (found[:, 1:] <= place[:, None]).sum(axis=1)
            self._stack.pop(*_intervals(found, byte[:active]))
            self._predictor.observe(byte)
            self._checks.add(self._done, byte)

    def finish(self) -> bytes:
        """The text, after the last step.

        Raises:
          FormatError: the stream goes on.
        """
        if self._stack.payload(SECTION) != bytes(4 * self._n_streams):
            raise FormatError("the stream does not end where its text ends", SECTION)
        return join(self._steps, self._size)

    def state(self) -> State:
        """See `State`."""
        stack = self._stack.to_bytes()
        return {
            "done": np.array(self._done),
            "crc": np.array(self._checks.crc, np.uint32),
            "steps": self._steps.copy(),
            "stack": _padded(stack, self._stack_bytes + 8 * self._n_streams),
            "stack_bytes": np.array(len(stack)),
            "predictor": self._predictor.state(),
        }

    def restore(self, state: State) -> None:
        """Goes on from a state of a decoder of the same file."""
        self._done = int(state["done"])
        self._steps = state["steps"].copy()
        stack = state["stack"].tobytes()[: int(state["stack_bytes"])]
        self._stack = StreamStack.from_bytes(stack, self._n_streams, SECTION)
        self._checks.restore(self._done, int(state["crc"]))
        self._predictor.restore(state["predictor"])


Run = Callable[[Encoder | Decoder], None]
"""Takes an encoder or decoder to its last step, perhaps from where another process stopped."""


def run(coding: Encoder | Decoder, progress: Progress | None = None) -> None:
    """Takes all steps that are left, without a stop."""
    while coding.done < coding.steps:
        coding.advance(min(coding.done + _TOGETHER, coding.steps))
        if progress is not None:
            progress(coding.done, coding.steps)


def encode(predictor: Predictor, text: bytes, n_streams: int, run: Run = run) -> Coded:
    """Codes a text of at least one byte under a predictor that has seen nothing yet."""
    encoder = Encoder(predictor, text, n_streams)
    run(encoder)
    return encoder.finish()


def decode(predictor: Predictor, coded: Coded, size: int, n_streams: int, run: Run = run) -> bytes:
    """The text that `encode` was given with the same predictor.

    Raises:
      FormatError: bytes that no such text leads to, or a predictor that predicts otherwise.
    """
    decoder = Decoder(predictor, coded, size, n_streams)
    run(decoder)
    return decoder.finish()


def most_bytes(stack_bytes: int) -> int:
    """The longest text for a stack of so many bytes: no byte's share is over 1 - 255 / 2^28."""
    # -log2(1 - 255 / 2^28) > 2^-20 bits.
    return stack_bytes * 8 << 20


def _active(number: int, size: int, n_streams: int) -> int:
    """Streams that have a byte at step `number`, counted from 1."""
    return n_streams if number <= size // n_streams else size % n_streams


def _intervals(found: np.ndarray, byte: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and count of each byte; found [..., 257], byte [...]."""
    at = byte[..., None].astype(np.int64)
    start = np.take_along_axis(found, at, axis=-1)[..., 0]
    return start, np.take_along_axis(found, at + 1, axis=-1)[..., 0] - start


def _padded(data: bytes, size: int) -> np.ndarray:
    """Bytes as an array of a fixed size."""
    return np.frombuffer(data.ljust(size, b"\0"), np.uint8)
