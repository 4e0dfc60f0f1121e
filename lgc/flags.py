"""Values of command-line flags."""

from __future__ import annotations

import argparse
from typing import Any


def components(text: str) -> int | None:
    """`auto`, which is None, or 1 to 100."""
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'auto' nor a number from 1 to 100")
    return int(text)


def bits(text: str) -> int | str:
    """2 to 16, float16 or float32."""
    if text in ("float32", "float16"):
        return text
    if not text.isdecimal() or not 2 <= int(text) <= 16:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither float32, float16 nor a number from 2 to 16"
        )
    return int(text)


def budget(text: str) -> int:
    """A number of bytes."""
    if not text.isdecimal() or not 1 <= int(text) <= 1 << 30:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 1 to 2^30")
    return int(text)


def teacher(text: str) -> int | str:
    """`auto`, `none` or a number of bytes."""
    if text in ("auto", "none"):
        return text
    if not text.isdecimal() or not 1 <= int(text) <= 1 << 20:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither 'auto', 'none' nor a number of bytes from 1 to 2^20"
        )
    return int(text)


def teacher_bytes(text: str) -> int:
    """A number of bytes; 0 for `none`."""
    found = teacher(text)
    if found == "auto":
        raise argparse.ArgumentTypeError("give a number of bytes, or 'none'")
    return found if isinstance(found, int) else 0


def rate_weight(text: str) -> float:
    """A number from 0 to 1."""
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a weight from 0 to 1, such as 1e-6")
    return weight


def epochs(text: str) -> int:
    """A number of passes over the data."""
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100000")
    return int(text)


class Recorded(argparse.Action):
    """Stores a value, and that the user gave it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Stores the value."""
        setattr(namespace, self.dest, values)
        namespace.given = namespace.given | {self.dest}
