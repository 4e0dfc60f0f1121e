"""What a model knows before it reads a text: a file in the package, made from public texts.

`PRIOR.md` beside it says of which texts, and under which licences they are.
"""

from __future__ import annotations

import lzma
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fewbits.codecs.text.mixing import state as st
from fewbits.coding import container

FILE = "prior_1.fwb"
KIND = "text_prior"
NUMBER = 1
"""Of this prior in a text file; later ones have other numbers, and this one stays."""


class Prior(NamedTuple):
    """What is known before a text.

    Attributes:
      text: bytes that the model reads first.
      starts: numbers to start from, by contexts.
    """

    text: bytes
    starts: dict[int, st.Start]


@lru_cache(maxsize=1)
def load() -> Prior:
    """The prior of this package."""
    archive = container.load(path(), kind=KIND)
    return Prior(
        lzma.decompress(archive.sections["text"]),
        {
            contexts: _unpacked(lzma.decompress(archive.sections[name]), contexts)
            for contexts, name in ((st.FULL, "full"), (st.FAST, "fast"))
        },
    )


def path() -> Path:
    """Of the file, whose size comparisons have to name."""
    return Path(__file__).with_name(FILE)


def write(prior: Prior, note: str) -> bytes:
    """The bytes of a prior's file."""
    sections = {
        "text": lzma.compress(prior.text, preset=9 | lzma.PRESET_EXTREME),
        "full": lzma.compress(_packed(prior.starts[st.FULL])),
        "fast": lzma.compress(_packed(prior.starts[st.FAST])),
    }
    return container.write_archive(KIND, {"number": NUMBER, "note": note}, sections)


def _packed(start: st.Start) -> bytes:
    """Whole numbers of 32 bits: history, match, weights, final weights, count."""
    parts = (start.history, start.match, start.weights, start.final_weights)
    count = np.array([start.history_count], "<i4").tobytes()
    return b"".join(part.astype("<i4").tobytes() for part in parts) + count


def _unpacked(packed: bytes, contexts: int) -> st.Start:
    numbers = np.frombuffer(packed, "<i4").astype(np.int64)
    shapes = (
        (st.FULL, 256),
        (len(st.MATCHES), st.MATCH_STATES),
        (len(st.SETS), st.inputs(contexts)),
        (len(st.SETS),),
    )
    parts, at = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        parts.append(numbers[at : at + size].reshape(shape))
        at += size
    history, match, weights, final = parts
    return st.Start(history, int(numbers[at]), match, weights, final)
