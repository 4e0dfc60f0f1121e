"""Coding that survives being killed: where an encoder or decoder stands, in a file beside it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fewbits.codecs.text import streams
from fewbits.io.outputs import open_output

EVERY_SECONDS = 120.0
_TOGETHER = 256


def resumable(path: Path, every_seconds: float = EVERY_SECONDS) -> streams.Run:
    """A way to the end that starts where an earlier process stopped, if there was one.

    Args:
      path: of the file with the state; its name has to say what is coded, and how. Removed at the
        end.
      every_seconds: between two states.
    """

    def run(coding: streams.Encoder | streams.Decoder) -> None:
        if path.is_file():
            coding.restore(load(path, coding.state()))
        saved = time.monotonic()
        while coding.done < coding.steps:
            coding.advance(min(coding.done + _TOGETHER, coding.steps))
            if time.monotonic() - saved > every_seconds:
                save(path, coding.state())
                saved = time.monotonic()
        path.unlink(missing_ok=True)

    return run


def save(path: Path, state: streams.State) -> None:
    """Writes a state whole; the one before is replaced."""
    leaves: dict[str, Any] = {
        f"leaf{n}": _plain(leaf) for n, leaf in enumerate(jax.tree.leaves(state))
    }
    with open_output(path, force=True) as file:
        np.savez(file, **leaves)


def load(path: Path, like: streams.State) -> Any:
    """A state of the same structure, shapes and types as `like`.

    Raises:
      ValueError: a state of another structure.
    """
    leaves, structure = jax.tree.flatten(like)
    with np.load(path, allow_pickle=False) as stored:
        found = [stored[f"leaf{n}"] for n in range(len(stored.files))]
    if [leaf.shape for leaf in found] != [_plain(leaf).shape for leaf in leaves]:
        raise ValueError(f"{path} is the state of something else; remove it")
    viewed = [
        (stored if stored.dtype == leaf.dtype else stored.view(leaf.dtype)).reshape(leaf.shape)
        for stored, leaf in zip(found, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, viewed)


def _plain(leaf: np.ndarray) -> np.ndarray:
    """Types that NumPy has no name for, such as bfloat16, as bytes."""
    return leaf if leaf.dtype.kind in "biuf" else np.atleast_1d(leaf).view(np.uint8)
