"""Data sets that need no download: scikit-learn's digits, and Greek letters drawn from fonts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_DIGITS_TRAIN = 1_297
"""scikit-learn's digits have no official split: the last 500 of the file are the test set."""
LETTERS = "αβγδεζθλφω"
_FONTS = "fonts/ttf/DejaVuS*[!y].ttf", "fonts/ttf/STIXGeneral*.ttf"
_DRAWN = {"train": (2_500, 36), "test": (2_000, 37)}
"""Images and seed of each part."""


def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's handwritten digits: uint8[n, 8, 8, 1], int32[n]."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    # The embedded images have 17 grey levels, 0 to 16; bytes keep them apart and full-scale.
    pixels = np.minimum(np.round(found.images * (255 / 16)), 255).astype(np.uint8)[..., None]
    part = slice(None, _DIGITS_TRAIN) if split == "train" else slice(_DIGITS_TRAIN, None)
    return pixels[part], found.target.astype(np.int32)[part]


def greek_letters(split: str) -> tuple[np.ndarray, np.ndarray]:
    """`LETTERS` in the fonts that matplotlib brings: uint8[n, 28, 28, 1], int32[n].

    Moved, rotated and blurred, over noise.
    """
    import matplotlib as mpl
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    count, seed = _DRAWN[split]
    rng = np.random.default_rng(seed)
    folder = Path(mpl.get_data_path())
    fonts = sorted(path for pattern in _FONTS for path in folder.glob(pattern))
    labels = np.arange(count, dtype=np.int32) % len(LETTERS)
    images = np.empty((count, 28, 28, 1), np.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        font = ImageFont.truetype(fonts[rng.integers(len(fonts))], int(rng.integers(20, 30)))
        sheet = Image.new("L", (56, 56))
        ink = int(rng.integers(140, 256))
        ImageDraw.Draw(sheet).text((28, 28), LETTERS[label], ink, font, anchor="mm")
        sheet = sheet.rotate(rng.normal(0, 9), Image.Resampling.BILINEAR)
        sheet = sheet.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8)))
        left, top = (14 + rng.integers(-2, 3, 2)).tolist()
        shown = np.asarray(sheet.crop((left, top, left + 28, top + 28)), np.float64)
        image[..., 0] = np.clip(shown + rng.normal(0, 6, shown.shape) + 12, 0, 255)
    return images, labels


LOADERS = {"digits": digits, "greek_letters": greek_letters}
"""(split) -> images and labels, by the name of the data set."""
