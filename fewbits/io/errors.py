"""What a file may cause, what a user asks for, and where a result cannot go."""

from __future__ import annotations

import re


class FormatError(ValueError):
    """Bytes that are not what the format says: damaged, truncated, foreign or hostile.

    Attributes:
      section: where the damage was found: a section's name, or "envelope" for the container itself.

    Example:
      >>> from fewbits.coding import FormatError, params_from_bytes
      >>> try:
      ...     params_from_bytes(b"PK, a zip archive")
      ... except FormatError as error:
      ...     print(error.section, "-", error)
      envelope - not a fewbits file
    """

    def __init__(self, message: str, section: str = "envelope"):
        whole = section in ("envelope", "checkpoint")  # the file itself, which callers name
        where = "header" if section == "header" else f"section {section}"
        super().__init__(message if whole else f"{where}: {message}")
        self.section = section

    def of(self, path: object) -> FormatError:
        """The same error, naming the file that it is about."""
        if names(str(self), path):
            return self
        named = FormatError(f"{path}: {self}", "envelope")
        named.section = self.section
        return named


def names(message: str, path: object) -> bool:
    """Whether a message names a path, and not only a word that holds its letters."""
    return re.search(rf"(?<![\w./-]){re.escape(str(path))}(?![\w/-])", message) is not None


class InputError(ValueError):
    """A user's mistake; the message is one line that names the value and the remedy.

    The commands print it without a traceback and exit with status 2.

    Example:
      >>> from fewbits.coding import InputError
      >>> raise InputError("labels.npy: 90 labels for 100 images")
      Traceback (most recent call last):
      fewbits.io.errors.InputError: labels.npy: 90 labels for 100 images
    """


class OutputError(InputError, OSError):
    """A result that cannot go where the user wants it; what is there is untouched.

    Example:
      >>> from fewbits.io import OutputError, open_output
      >>> try:
      ...     with open_output("no such folder/net.fewbits") as file:
      ...         pass
      ... except OutputError as error:
      ...     print(error)
      no such folder/net.fewbits: the folder no such folder does not exist; make it first
    """
