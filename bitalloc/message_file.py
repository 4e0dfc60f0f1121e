"""The file of a batch of messages.

It holds the messages alone, back to back, and the digest of the model that wrote them, so that a
receiver with another model refuses them instead of guessing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

from fewbits.coding import FormatError, read_archive, write_archive

KIND = "bitalloc_messages"


class Messages(NamedTuple):
    """What a message file holds.

    Attributes:
      payload: the messages' bytes.
      n: how many messages.
      bits: of each, where that is fewer than the model's; None is all.
    """

    payload: bytes
    n: int
    bits: int | None


def digest(model_bytes: bytes) -> bytes:
    """What a message file remembers of the model that wrote it."""
    return blake2b(model_bytes, digest_size=8).digest()


def write_messages(model_bytes: bytes, payload: bytes, n: int, bits: int | None = None) -> bytes:
    """The file of N messages.

    Args:
      model_bytes: those of the model's file.
      payload: `bitalloc.encode`'s bytes.
      n: how many messages.
      bits: of each, where that is fewer than the model's.
    """
    header: dict[str, Any] = {"model": digest(model_bytes), "n_images": n}
    if bits is not None:
        header["bits"] = bits
    return write_archive(KIND, header, {"messages": payload})


def read_messages(data: bytes, model_bytes: bytes) -> Messages:
    """The messages, how many there are, and how long they are.

    Args:
      data: the message file.
      model_bytes: the model that is to decode them.

    Raises:
      FormatError: if the file is damaged, or another model wrote it.
    """
    archive = read_archive(data, kind=KIND)
    n_images, payload = archive.header.get("n_images"), archive.sections.get("messages")
    bits = archive.header.get("bits")
    if type(n_images) is not int or n_images < 0 or payload is None:
        raise FormatError("not a message file", "header")
    if bits is not None and (type(bits) is not int or bits < 1):
        raise FormatError(f"messages of {bits} bits", "header")
    if archive.header.get("model") != digest(model_bytes):
        raise FormatError("these messages were written with another model", "header")
    return Messages(payload, n_images, bits)
