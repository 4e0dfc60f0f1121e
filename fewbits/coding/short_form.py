"""Version 2 of the container: files of one section, whose names both sides know.

A pruned network may take two hundred bytes, of which names, lengths and several checks would be a
sixth. Here a number stands for the kind and all names, and one digest guards everything.

    magic[6] version  number  header-length  header  payload  digest[4] of all that precedes
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from fewbits.coding import cbor
from fewbits.coding.varint import ByteReader, varint
from fewbits.io.errors import FormatError

VERSION = 2
DIGEST_BYTES = 4


class Form(NamedTuple):
    """What a number stands for.

    Attributes:
      kind: of the file.
      section: its only one.
      entries: of the header, of which a file has the first ones.
    """

    kind: str
    section: str
    entries: tuple[str, ...]


FORMS = (Form("adaptive", "symbols", ("tree", "pruned")),)
"""By their numbers. Part of the format."""


def pack(kind: str, header: Mapping[str, Any], sections: Mapping[str, bytes]) -> bytes | None:
    """All behind the version but the digest; None for what has no short form."""
    for number, form in enumerate(FORMS):
        entries = form.entries[: len(header)]
        named = bool(entries) and header.keys() == set(entries)
        if kind == form.kind and named and list(sections) == [form.section]:
            encoded = cbor.dumps([header[name] for name in entries])
            return b"".join([varint(number), varint(len(encoded)), encoded, sections[form.section]])
    return None


def unpack(body: bytes, most_header_bytes: int) -> tuple[str, dict[str, Any], dict[str, bytes]]:
    """Kind, header and sections: the inverse of `pack`.

    Raises:
      FormatError: not what `pack` gives.
    """
    reader = ByteReader(body, "envelope")
    form = FORMS[reader.varint(len(FORMS) - 1, "number of the form")]
    encoded = reader.take(reader.varint(most_header_bytes, "length of the header"))
    payload = reader.take(reader.remaining)
    values = cbor.loads(encoded)
    if not isinstance(values, list) or not 1 <= len(values) <= len(form.entries):
        raise FormatError("not the entries of its kind", "header")
    header = dict(zip(form.entries, values, strict=False))
    return form.kind, header, {form.section: payload}


def digest(body: bytes | memoryview) -> bytes:
    """The check of a file."""
    return blake2b(body, digest_size=DIGEST_BYTES).digest()
