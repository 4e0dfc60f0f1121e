"""Bytes under a mixed model: the arithmetic coder's stream, with checksums along the way."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from fewbits.codecs.text.mixing import prior, state
from fewbits.coding import FormatError

CHECK_BYTES = 1 << 16
"""Of text between two checksums."""
_MOST_EXPANSION = 16
_REMEMBERED_LOG2 = 19
Progress = Callable[[int, int], None]
"""(bytes done, bytes in all)."""


class Shape(NamedTuple):
    """What a file says of its model.

    Attributes:
      contexts: `state.FULL` or `state.FAST`.
      log2: of the buckets of a context.
      prior: whether the model has read the prior.
    """

    contexts: int
    log2: int
    prior: bool


class Decoded(NamedTuple):
    """A text, or as much of it as is certain.

    Attributes:
      text: the bytes.
      damage: None for all of it, or what is wrong after them.
    """

    text: bytes
    damage: str | None


def compiled() -> bool:
    """Whether the compiled loops can be used; without numba there is the slow decoder."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def checks(size: int) -> int:
    """Number of checksums of a text."""
    return -(-size // CHECK_BYTES)


def encode(text: bytes, shape: Shape, progress: Progress | None = None) -> tuple[bytes, list[int]]:
    """The stream of a text, and the CRC-32 of the text so far after each 64 KiB and at its end."""
    from fewbits.codecs.text.mixing import kernel

    model = _begin(shape, len(text))
    crcs: list[int] = []
    pieces: list[bytes] = []
    crc = 0
    for at in range(0, len(text), CHECK_BYTES):
        part = text[at : at + CHECK_BYTES]
        out = np.zeros(_MOST_EXPANSION * len(part) + 16, np.uint8)
        model.registers[state.PLACE] = 0
        used = kernel.code(False, _array(part), out, model, state.constants())
        pieces.append(out[:used].tobytes())
        crc = zlib.crc32(part, crc)
        crcs.append(crc)
        if progress is not None:
            progress(at + len(part), len(text))
    low, high = (int(n) for n in model.registers[[state.LOW, state.HIGH]])
    pieces.append(_shortest(low, high))
    return b"".join(pieces), crcs


def decode(
    coded: bytes,
    size: int,
    crcs: list[int],
    shape: Shape,
    *,
    cut: bool = False,
    progress: Progress | None = None,
) -> Decoded:
    """The text of `encode`, until a checksum does not match.

    Args:
      coded: the stream.
      size: bytes of the text.
      crcs: checksums.
      shape: of the model.
      cut: whether the stream is known to end too early; its text ends where it does.
      progress: called after each checksum.
    """
    if not compiled():
        return _decode_slowly(coded, size, crcs, shape)
    from fewbits.codecs.text.mixing import kernel

    model = _begin(shape, size)
    stream = _array(coded)
    model.registers[state.CODE] = int.from_bytes(coded[:4].ljust(4, b"\0"), "big")
    model.registers[state.PLACE] = 4
    text = bytearray()
    crc = 0
    step = 256 if cut else CHECK_BYTES
    for at in range(0, size, step):
        part = np.zeros(min(step, size - at), np.uint8)
        used = kernel.code(True, part, stream, model, state.constants())
        if cut and used > len(coded):
            certain = len(text) // CHECK_BYTES * CHECK_BYTES
            checked = f"its first {certain:,}" if certain else "none of them"
            return Decoded(
                bytes(text),
                f"the file ends after {len(text):,} of {size:,} bytes; checksums cover {checked}, "
                "the others are right only where there is no other damage",
            )
        text += part.tobytes()
        crc = zlib.crc32(part.tobytes(), crc)
        done = len(text)
        if (done % CHECK_BYTES == 0 or done == size) and crc != crcs[checks(done) - 1]:
            certain = (checks(done) - 1) * CHECK_BYTES
            return Decoded(
                bytes(text[:certain]), f"the text is wrong between bytes {certain:,} and {done:,}"
            )
        if progress is not None:
            progress(done, size)
    # The decoder is four bytes ahead of what the encoder had to write.
    if not 0 <= int(model.registers[state.PLACE]) - len(coded) <= 4 and size:
        return Decoded(bytes(text), "the stream does not end where its text ends")
    return Decoded(bytes(text), None)


def _decode_slowly(coded: bytes, size: int, crcs: list[int], shape: Shape) -> Decoded:
    from fewbits.codecs.text.mixing import reference

    known = prior.load() if shape.prior else None
    start = state.plain_start(shape.contexts) if known is None else known.starts[shape.contexts]
    text = reference.decode(
        coded, size, shape.contexts, shape.log2, b"" if known is None else known.text, start
    )
    crc, certain = 0, 0
    for expected in crcs:
        crc = zlib.crc32(text[certain : certain + CHECK_BYTES], crc)
        if crc != expected:
            return Decoded(text[:certain], f"the text is wrong after byte {certain:,}")
        certain = min(size, certain + CHECK_BYTES)
    return Decoded(text, None)


def _begin(shape: Shape, size: int) -> state.State:
    """A model that has read the prior, if it is to, with room for so many bytes."""
    if not shape.prior:
        start = state.plain_start(shape.contexts)
        return state.empty(shape.contexts, shape.log2, size, start)
    if shape.log2 > _REMEMBERED_LOG2:
        return _prime(shape, size)
    primed = _primed(shape)
    text = np.zeros(len(primed.text) + size, np.uint8)
    text[: len(primed.text)] = primed.text
    copied = state.State(*(np.array(part) for part in primed))
    return copied._replace(text=text)


@lru_cache(maxsize=1)
def _primed(shape: Shape) -> state.State:
    """The last one is remembered, so that many small files cost it once."""
    return _prime(shape, 0)


def _prime(shape: Shape, size: int) -> state.State:
    """A model that has read the prior, with room for so many bytes more."""
    from fewbits.codecs.text.mixing import kernel

    known = prior.load()
    room = len(known.text) + size
    model = state.empty(shape.contexts, shape.log2, room, known.starts[shape.contexts])
    kernel.prime(_array(known.text), model, state.constants())
    return model


def _array(data: bytes) -> np.ndarray:
    """A writable array, since the compiled loops are compiled for those."""
    return np.frombuffer(bytearray(data) or bytearray(1), np.uint8)[: len(data)]


def _shortest(low: int, high: int) -> bytes:
    """The fewest bytes that, followed by zeros, are a number between the two."""
    for count in range(5):
        step = 1 << (32 - 8 * count)
        number = -(-low // step) * step
        if number <= high:
            return number.to_bytes(4, "big")[:count]
    raise AssertionError("low is above high")


def require(decoded: Decoded, section: str) -> bytes:
    """All of a text.

    Raises:
      FormatError: some of it is missing or wrong.
    """
    if decoded.damage is not None:
        raise FormatError(f"{decoded.damage}; --salvage writes what precedes", section)
    return decoded.text
