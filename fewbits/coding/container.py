"""The only writer of artefacts: a magic number, a version, a header and checked sections.

    magic[6] version  kind  header-length  header  sections  {name, length, crc32}*  payloads
    digest[8] of all that precedes

This is version 1; small files have a shorter form, version 2 (`short_form`).

`fewbits/coding/FORMAT.md` gives both byte by byte. The checks find damage; they are no defence
against someone who writes a file on purpose, so every length, number and name is bounded as well
before it is used, and nothing in a file is ever executed.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fewbits.coding import cbor, short_form
from fewbits.coding.inspection.kinds import wrong_kind
from fewbits.coding.varint import ByteReader, varint
from fewbits.io import outputs
from fewbits.io.errors import FormatError

T = TypeVar("T")

MAGIC = b"\x89FWB\r\n"
"""Neither text nor any other format; breaks visibly when line ends or eighth bits are changed."""
VERSION = 1
FORM = "form"
"""The header entry of any file that says how its user has images and labels
(`fewbits.io.image_sets.forms`); the methods know nothing of it."""
MAX_FILE_BYTES = 1 << 31
MAX_HEADER_BYTES = 1 << 20
MAX_SECTIONS = 256
_DIGEST_BYTES = 8
_CRC_BYTES = 4
_MAX_NAME_BYTES = 32
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")


class Archive(NamedTuple):
    """What a file holds.

    Attributes:
      kind: what the file is for, such as "model"; says how to read header and sections.
      version: the container's format version, 1, or 2 for the short form.
      header: None, bool, int, float, str, bytes, lists and dicts of them.
      sections: payload by name, in the order of names.

    Example:
      >>> from fewbits.coding import Archive, read_archive, write_archive
      >>> data = write_archive("notes", {"author": "me"}, {"text": b"few bits"})
      >>> archive = read_archive(data, kind="notes")
      >>> isinstance(archive, Archive), archive.header, archive.sections["text"]
      (True, {'author': 'me'}, b'few bits')
    """

    kind: str
    version: int
    header: dict[str, Any]
    sections: dict[str, bytes]


def write_archive(
    kind: str, header: Mapping[str, Any], sections: Mapping[str, bytes | bytearray | memoryview]
) -> bytes:
    """The bytes of a file; the same content always gives the same bytes.

    Args:
      kind: a name of lower-case letters, digits and underscores.
      header: small values (see `fewbits.coding.cbor`), at most 1 MiB; bulk belongs into sections.
      sections: payload by name, at most 256; names as for `kind`.

    Returns:
      The file: magic number, header, sections with a CRC-32 each, and a digest of everything.

    Raises:
      ValueError: a name, a header or a size that the format does not allow.

    Example:
      >>> from fewbits.coding import write_archive
      >>> len(write_archive("notes", {}, {"text": b"few bits"}))
      42
    """
    for name in (kind, *sections):
        if not isinstance(name, str) or not _NAME.match(name):
            raise ValueError(f"names are at most 32 of a-z, 0-9 and _, not {name!r}")
    for name, payload in sections.items():
        if not isinstance(payload, bytes | bytearray | memoryview):
            raise ValueError(f"section {name} is {type(payload).__name__}; give bytes")
    if not isinstance(header, Mapping):
        raise ValueError(f"a header is a mapping, not {type(header).__name__}")
    encoded_header = cbor.dumps(header)
    cbor.loads(encoded_header)  # what cannot be read must not be written
    if len(encoded_header) > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {len(encoded_header)} bytes; at most {MAX_HEADER_BYTES}")
    if len(sections) > MAX_SECTIONS:
        raise ValueError(f"{len(sections)} sections; at most {MAX_SECTIONS}")
    payloads = {name: bytes(sections[name]) for name in sorted(sections)}
    short = short_form.pack(kind, header, payloads)
    if short is not None:
        body = MAGIC + varint(short_form.VERSION) + short
        return _within_limit(body + short_form.digest(body))
    pieces = [MAGIC, varint(VERSION), _text(kind), varint(len(encoded_header)), encoded_header]
    pieces.append(varint(len(payloads)))
    for name, payload in payloads.items():
        pieces += [_text(name), varint(len(payload)), _crc(payload)]
    pieces += payloads.values()
    body = b"".join(pieces)
    return _within_limit(body + _digest(body))


def _within_limit(data: bytes) -> bytes:
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"an archive of {len(data)} bytes; at most {MAX_FILE_BYTES}")
    return data


def read_archive(data: bytes, *, kind: str | None = None) -> Archive:
    """Reads what `write_archive` wrote, after checking all of it.

    Args:
      data: the whole file.
      kind: the kind that is expected; None accepts any.

    Returns:
      Archive.

    Raises:
      FormatError: anything else than an undamaged archive of that kind; names the section.

    Example:
      >>> from fewbits.coding import FormatError, read_archive, write_archive
      >>> data = write_archive("notes", {}, {"text": b"few bits"})
      >>> try:
      ...     read_archive(data[:-9] + b"!" + data[-8:])
      ... except FormatError as error:
      ...     print(error)
      section text: the checksum does not match
    """
    data = bytes(data)
    if not data.startswith(MAGIC):
        raise FormatError("not a fewbits file")
    if len(data) > MAX_FILE_BYTES:
        raise FormatError(f"{len(data)} bytes; at most {MAX_FILE_BYTES}")
    if len(data) < len(MAGIC) + 1 + short_form.DIGEST_BYTES:
        raise FormatError("cut off: the file ends too early")
    version = data[len(MAGIC)]
    if version not in (VERSION, short_form.VERSION):
        raise FormatError(
            f"format version {version}; this program reads {VERSION} and {short_form.VERSION}: the "
            "file is newer, or damaged"
        )
    if version == VERSION:
        intact = _digest(memoryview(data)[:-_DIGEST_BYTES]) == data[-_DIGEST_BYTES:]
        # A damaged file is taken apart all the same, to say which section the damage is in.
        archive = _parse(data)
    else:
        end = len(data) - short_form.DIGEST_BYTES
        intact = short_form.digest(memoryview(data)[:end]) == data[end:]
        body = data[len(MAGIC) + 1 : end]
        found, header, sections = short_form.unpack(body, MAX_HEADER_BYTES)
        archive = Archive(found, version, header, sections)
    if not intact:
        raise FormatError("damaged: the digest of the file does not match")
    if kind is not None and archive.kind != kind:
        raise wrong_kind(archive.kind, repr(kind))
    return archive


def _parse(data: bytes) -> Archive:
    reader = ByteReader(data[:-_DIGEST_BYTES], "envelope")
    reader.take(len(MAGIC) + 1)
    kind = _read_text(reader)
    encoded_header = reader.take(reader.varint(MAX_HEADER_BYTES, "length of the header"))
    directory = []
    for _ in range(reader.varint(MAX_SECTIONS, "number of sections")):
        name = _read_text(reader)
        if directory and name <= directory[-1][0]:
            raise FormatError(f"section {name!r} repeats or is out of order")
        directory.append(
            (name, reader.varint(MAX_FILE_BYTES, f"length of {name!r}"), reader.take(4))
        )
    sections = {}
    for name, size, crc in directory:
        reader.section = name
        sections[name] = reader.take(size)
        if _crc(sections[name]) != crc:
            raise reader.error("the checksum does not match")
    reader.section = "envelope"
    reader.finish()
    header = cbor.loads(encoded_header)
    if not isinstance(header, dict):
        raise FormatError("not a map", "header")
    return Archive(kind, VERSION, header, sections)


def read_contents(data: bytes, kind: str, parse: Callable[[Archive], T]) -> T:
    """What `parse` makes of an archive; parts that do not belong together are a FormatError too.

    Args:
      data: of a file.
      kind: that the file has to be of.
      parse: may raise FormatError, and the errors of fields that are missing or of another shape.

    Raises:
      FormatError: damaged, foreign or inconsistent.
    """
    archive = read_archive(data, kind=kind)
    header = {name: value for name, value in archive.header.items() if name != FORM}
    try:
        return parse(archive._replace(header=header))
    except FormatError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FormatError(f"inconsistent file: {error}", "header") from error


def overhead_bytes() -> int:
    """What the container adds to two kilobyte-sized sections with an empty header."""
    sections = {"symbols": bytes(4096), "tables": bytes(100)}
    return len(write_archive("model", {}, sections)) - sum(map(len, sections.values()))


def save(path: str | os.PathLike[str], data: bytes | Archive) -> None:
    """Writes a whole file or nothing (`fewbits.io.open_output`).

    Args:
      path: where to; a file that is there is replaced, a symbolic link's target written.
      data: the bytes of the file, or an archive.

    Raises:
      OSError: the folder is missing, `path` is there and no regular file, or the disk refuses; what
        was at `path` is untouched.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from fewbits.coding import load, save, write_archive
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(Path(folder) / "notes", write_archive("notes", {}, {"text": b"few bits"}))
      ...     load(Path(folder) / "notes").sections
      {'text': b'few bits'}
    """
    if isinstance(data, Archive):
        data = write_archive(data.kind, data.header, data.sections)
    with outputs.open_output(path, force=True) as file:
        file.write(data)


def load(path: str | os.PathLike[str], *, kind: str | None = None) -> Archive:
    """Reads and checks an archive file; `save` has an example.

    Args:
      path: the file.
      kind: the kind that is expected; None accepts any.

    Returns:
      Archive.

    Raises:
      OSError: there is no such file, or it cannot be read.
      FormatError: as `read_archive`; a foreign file is refused after its first bytes.
    """
    data = load_bytes(path)
    try:
        return read_archive(data, kind=kind)
    except FormatError as error:
        raise error.of(path) from None


def load_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file that begins as an archive does, of a size that an archive may have."""
    path = Path(path)
    # Asked before opening: opening a named pipe would wait for a writer.
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise FormatError(f"{path} is not a regular file; name a file")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise FormatError(f"{path} is not a fewbits file")
        if status.st_size > MAX_FILE_BYTES:
            raise FormatError(f"{path} has {status.st_size} bytes; at most {MAX_FILE_BYTES}")
        file.seek(0)
        return file.read(MAX_FILE_BYTES + 1)


def _text(name: str) -> bytes:
    return varint(len(name)) + name.encode("ascii")


def _read_text(reader: ByteReader) -> str:
    encoded = reader.take(reader.varint(_MAX_NAME_BYTES, "length of a name"))
    name = encoded.decode("latin-1")
    if not _NAME.match(name):
        raise reader.error(f"a name is {name!r}")
    return name


def _crc(payload: bytes) -> bytes:
    return zlib.crc32(payload).to_bytes(_CRC_BYTES, "little")


def _digest(body: bytes | memoryview) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()
