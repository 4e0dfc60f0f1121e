"""The one exception that a file may cause, and the one for what a user asks for."""

from __future__ import annotations


class FormatError(ValueError):
    """Bytes that are not what the format says: damaged, truncated, foreign or hostile.

    Attributes:
      section: where the damage was found: a section's name, or "envelope" for the container itself.
    """

    def __init__(self, message: str, section: str = "envelope"):
        super().__init__(f"{section}: {message}")
        self.section = section


class InputError(ValueError):
    """A user's mistake; the message is one line that names the value and the remedy."""
