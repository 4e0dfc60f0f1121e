"""The text file that decodes anywhere: mixed contexts in whole numbers, or the bytes as they are.

`FORMAT.md` gives it byte by byte. A file never has more than 47 bytes over its text.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from fewbits.codecs.text.mixing import coder, state
from fewbits.codecs.text.mixing import prior as priors
from fewbits.coding import Archive, FormatError, InputError, container
from fewbits.coding.varint import ByteReader, varint

KIND = "text"
SCHEME = 2
MIXED, STORED = "mixed", "stored"
FAST_FROM_BYTES = 32_000_000
"""Longer texts are coded with fewer contexts, unless asked otherwise: minutes, not hours."""
OVERHEAD_BYTES = 47
"""The most that a file has over its text."""
_CRC_BYTES = 4
_MOST_RATIO = 1 << 14
"""No bit costs less than 4 / 65536 of a bit's probability: more text does not fit in a stream."""
_SAMPLE, _SAMPLES = 1 << 16, 8


class Salvaged(NamedTuple):
    """What can be had of a damaged file.

    Attributes:
      text: all that is certain, and of a file that is cut what it still holds.
      damage: what is wrong after it, None for nothing.
    """

    text: bytes
    damage: str | None


def compress(
    data: bytes,
    *,
    fast: bool | None = None,
    prior: bool = True,
    progress: coder.Progress | None = None,
) -> bytes:
    """A file of any bytes, smallest for texts; see `decompress` for the way back.

    Args:
      data: at most 2^31 bytes, less the file's own.
      fast: 8 contexts instead of 22, about three times as fast and a few percent larger; None for
        that above 32 MB.
      prior: whether the model reads the package's English and Python text first, which takes about
        a second and makes small files much smaller.
      progress: called with (bytes done, bytes in all).

    Returns:
      The file. It decodes to the same bytes on every machine; nothing that is already compressed
      gets more than 47 bytes longer.

    Raises:
      InputError: numba is not installed, which this direction needs.

    Example:
      >>> from fewbits.codecs import text
      >>> poem = b"A rose is a rose is a rose. " * 20
      >>> len(text.compress(poem)) < 100
      True
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(f"compress takes bytes, got {type(data).__name__}; encode text as UTF-8")
    data = bytes(data)
    stored = container.write_archive(KIND, {"scheme": SCHEME}, {STORED: data})
    if not data or _incompressible(data):
        return stored
    if not coder.compiled():
        raise InputError("compressing a text needs numba; install fewbits[text]")
    if fast is None:
        fast = len(data) > FAST_FROM_BYTES
    shape = _shape(len(data), fast, prior)
    coded, crcs = coder.encode(data, shape, progress)
    first = (shape.contexts == state.FAST) | prior << 4
    payload = b"".join(
        [
            bytes([first, shape.log2]),
            varint(len(data)),
            *(crc.to_bytes(_CRC_BYTES, "little") for crc in crcs),
            coded,
        ]
    )
    mixed = container.write_archive(KIND, {"scheme": SCHEME}, {MIXED: payload})
    return min(mixed, stored, key=len)


def decompress(archive: Archive, progress: coder.Progress | None = None) -> bytes:
    """The bytes of an undamaged file of scheme 2.

    Raises:
      FormatError: not what `compress` wrote.
    """
    if archive.header != {"scheme": SCHEME} or len(archive.sections) != 1:
        raise FormatError("a text file of scheme 2 has one section and nothing else", "header")
    ((name, payload),) = archive.sections.items()
    if name == STORED:
        return payload
    if name != MIXED:
        raise FormatError(f"no text file has a section {name!r}", "header")
    return coder.require(_decode(payload, progress=progress), MIXED)


def salvage(data: bytes, progress: coder.Progress | None = None) -> Salvaged:
    """All text before the damage of a file of scheme 2.

    Args:
      data: the file, damaged or cut.
      progress: called with (bytes done, bytes in all).

    Returns:
      Salvaged. Bytes that were stored as they are have no checksums of parts: all come back.

    Raises:
      FormatError: the damage is in the file's first bytes, or it is another file.
    """
    reader = ByteReader(data, "envelope")
    try:
        reader.take(len(container.MAGIC) + 1)
        kind = reader.take(reader.varint(32, "length of a name"))
        header = reader.take(reader.varint(container.MAX_HEADER_BYTES, "length of the header"))
        sections = reader.varint(container.MAX_SECTIONS, "number of sections")
        name = reader.take(reader.varint(32, "length of a name")).decode("latin-1")
        size = reader.varint(container.MAX_FILE_BYTES, "length of a section")
        crc = int.from_bytes(reader.take(_CRC_BYTES), "little")
    except FormatError:
        raise FormatError("the first bytes of the file are damaged: nothing can be read") from None
    if (kind, sections) != (KIND.encode(), 1) or name not in (MIXED, STORED) or len(header) != 9:
        raise FormatError("no text file, or one whose first bytes are damaged")
    start = 6 + 1 + 1 + len(kind) + 1 + len(header) + 1 + 1 + len(name) + len(varint(size)) + 4
    payload = data[start : start + size]
    whole = len(payload) == size and zlib.crc32(payload) == crc
    if name == STORED:
        missing = size - len(payload)
        ends = f"the file ends {missing:,} bytes too early, and what it holds has no checksum"
        wrong = "some of these bytes are wrong; they were stored, without checksums of parts"
        return _complete(data, Salvaged(payload, None if whole else ends if missing else wrong))
    cut = len(payload) < size
    return _complete(data, Salvaged(*_decode(payload, cut=cut, progress=progress)))


def _complete(data: bytes, found: Salvaged) -> Salvaged:
    """Damage beside the text is said as well."""
    if found.damage is not None:
        return found
    try:
        container.read_archive(data)
    except FormatError as error:
        damage = f"the text is whole by its checksums, but the file is damaged beside it ({error})"
        return found._replace(damage=damage)
    return found


def _decode(
    payload: bytes, *, cut: bool = False, progress: coder.Progress | None = None
) -> coder.Decoded:
    reader = ByteReader(payload, MIXED)
    first, log2 = reader.take(2)
    size = reader.varint(container.MAX_FILE_BYTES, "length of the text")
    if first & ~0x11:
        raise FormatError(f"a model of kind {first}; this program knows 0, 1, 16 and 17", MIXED)
    if not state.FEWEST_BUCKETS_LOG2 <= log2 <= state.MOST_BUCKETS_LOG2:
        raise FormatError(f"2^{log2} buckets", MIXED)
    if not size or size > len(payload) * _MOST_RATIO:
        raise FormatError(f"{size} bytes do not fit in the stream", MIXED)
    crcs = [int.from_bytes(reader.take(_CRC_BYTES), "little") for _ in range(coder.checks(size))]
    shape = coder.Shape(state.FAST if first & 1 else state.FULL, log2, bool(first & 16))
    used = 2 + len(varint(size)) + _CRC_BYTES * len(crcs)
    return coder.decode(payload[used:], size, crcs, shape, cut=cut, progress=progress)


def _shape(size: int, fast: bool, with_prior: bool) -> coder.Shape:
    known = len(priors.load().text) if with_prior else 0
    return coder.Shape(
        state.FAST if fast else state.FULL, state.buckets_log2(known + size), with_prior
    )


def _incompressible(data: bytes) -> bool:
    """Whether samples all over a long input are like random bytes, so that minutes are saved."""
    if len(data) < _SAMPLE:
        return False
    starts = range(0, len(data) - _SAMPLE + 1, max(1, (len(data) - _SAMPLE) // (_SAMPLES - 1)))
    return all(len(zlib.compress(data[start : start + _SAMPLE], 6)) >= _SAMPLE for start in starts)
