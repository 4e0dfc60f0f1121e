"""Any text file back into its text, whichever way it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fewbits.codecs.text import mixed
from fewbits.coding import Archive, FormatError, container

if TYPE_CHECKING:
    from fewbits.codecs.text import online, streams
    from fewbits.codecs.text.mixing.coder import Progress


def decompress(
    data: bytes,
    methods: Mapping[str, online.Build] | None = None,
    run: streams.Run | None = None,
    *,
    salvage: bool = False,
    progress: Progress | None = None,
) -> bytes:
    """The text that a text file holds.

    Args:
      data: the whole file.
      methods: what a file of a network that learned online may have learned with.
      run: takes the coder of a network's file to its end; see `streams.Run`.
      salvage: give what precedes the damage of a damaged file, instead of an error.
      progress: called with (bytes done, bytes in all).

    Returns:
      The text.

    Raises:
      FormatError: damaged or foreign; or a network's file, made where floats come out differently,
        which says where it was made if that is not here.

    Example:
      >>> from fewbits.codecs import text
      >>> text.decompress(text.compress(b"few bits"))
      b'few bits'
    """
    data = bytes(data)
    if salvage:
        return mixed.salvage(data, progress).text
    archive = container.read_archive(data, kind=mixed.KIND)
    if archive.header.get("scheme") == mixed.SCHEME:
        return mixed.decompress(archive, progress)
    return _of_a_network(data, archive, methods, run)


def _of_a_network(
    data: bytes,
    archive: Archive,
    methods: Mapping[str, online.Build] | None,
    run: streams.Run | None,
) -> bytes:
    # Imported here, so that files without a network need no JAX.
    from fewbits.codecs.text import header, offline, online, streams

    run = streams.run if run is None else run
    described, coded, _ = header.read(data)
    try:
        if described.mode == offline.MODE:
            return offline.decompress(described, coded, archive, run)
        if archive.sections.keys() != {streams.SECTION}:
            raise FormatError("an online text has no other section", "header")
        return online.decompress(described, coded, methods or online.METHODS, run)
    except FormatError as error:
        if described.made_with == header.here() or error.section != streams.SECTION:
            raise
        message = str(error).partition(": ")[2]
        raise FormatError(
            f"{message} (made on {described.made_with}; this is {header.here()})",
            streams.SECTION,
        ) from None
