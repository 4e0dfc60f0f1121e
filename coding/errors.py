"""The one exception that a damaged, truncated, foreign or hostile file may cause."""

from __future__ import annotations


class FormatError(ValueError):
    """Bytes that are not what the format says they are.

    Attributes:
      section: where the damage was found: a section's name, or "envelope" for the container itself.
    """

    def __init__(self, message: str, section: str = "envelope"):
        super().__init__(f"{section}: {message}")
        self.section = section
