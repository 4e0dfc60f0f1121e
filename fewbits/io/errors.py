"""The one exception that a file may cause, and the one for what a user asks for."""

from __future__ import annotations


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
      envelope - envelope: not a fewbits file
    """

    def __init__(self, message: str, section: str = "envelope"):
        super().__init__(f"{section}: {message}")
        self.section = section


class InputError(ValueError):
    """A user's mistake; the message is one line that names the value and the remedy.

    The commands print it without a traceback and exit with status 2.

    Example:
      >>> from fewbits.coding import InputError
      >>> raise InputError("labels.npy: 90 labels for 100 images")
      Traceback (most recent call last):
      fewbits.io.errors.InputError: labels.npy: 90 labels for 100 images
    """
