"""Any text file back into its text, whichever way it was made."""

from __future__ import annotations

from collections.abc import Mapping

from fewbits.codecs.text import header, offline, online, streams
from fewbits.coding import FormatError


def decompress(
    data: bytes,
    methods: Mapping[str, online.Build] = online.METHODS,
    run: streams.Run = streams.run,
) -> bytes:
    """The text that a text file holds.

    Args:
      data: the whole file.
      methods: what an online file may have learned with.
      run: takes the coder to its end; see `streams.Run`.

    Returns:
      The text. The package's docstring has an example.

    Raises:
      FormatError: damaged, foreign, or made where floats come out differently; says where it was
        made if that is not here.
    """
    described, coded, archive = header.read(data)
    try:
        if described.mode == offline.MODE:
            return offline.decompress(described, coded, archive, run)
        if archive.sections.keys() != {streams.SECTION}:
            raise FormatError("an online text has no other section", "header")
        return online.decompress(described, coded, methods, run)
    except FormatError as error:
        if described.made_with == header.here() or error.section != streams.SECTION:
            raise
        message = str(error).partition(": ")[2]
        raise FormatError(
            f"{message} (made on {described.made_with}; this is {header.here()})",
            streams.SECTION,
        ) from None
