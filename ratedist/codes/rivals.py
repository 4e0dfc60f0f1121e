"""Bytes of a signal at an error as one would code it otherwise: JPEG, WebP, integers with xz."""

from __future__ import annotations

import functools
import io
import lzma

import numpy as np

_NOTHING = 1e-12
"""A squared error of pixels that counts as none."""


def sizes(values: np.ndarray, error: float) -> dict[str, float]:
    """Bytes at a mean squared error, by name; without a codec that does not come so close.

    Args:
      values: a picture, uint8 of (rows, columns) or (rows, columns, 3), which Pillow's JPEG
        (optimised Huffman tables) and WebP (method 6) are given; or any array of numbers, which is
        quantised uniformly and packed by xz.
      error: mean squared error.
    """
    grey, colour = values.ndim == 2, values.ndim == 3 and values.shape[-1] == 3
    if values.dtype == np.uint8 and (grey or colour):
        found = {name: picture_bytes(values, error, name) for name in ("JPEG", "WebP")}
        return {name: size for name, size in found.items() if np.isfinite(size)}
    return {"xz": uniform_xz_bytes(values, error)}


def picture_bytes(values: np.ndarray, error: float, kind: str) -> float:
    """Bytes of Pillow's JPEG or WebP at a squared error, interpolated between qualities.

    inf where quality 100 has more error than that.
    """
    sizes, errors = _qualities(values.tobytes(), values.shape, kind)
    asked, reached = np.log(np.maximum(error, _NOTHING)), np.log(np.maximum(errors, _NOTHING))
    return float(np.exp(np.interp(asked, reached[::-1], np.log(sizes[::-1]), left=np.inf)))


@functools.lru_cache(maxsize=4)
def _qualities(pixels: bytes, shape: tuple[int, ...], kind: str) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    values = np.frombuffer(pixels, np.uint8).reshape(shape)
    found = []
    for quality in range(1, 101):
        file = io.BytesIO()
        options = {"optimize": True} if kind == "JPEG" else {"method": 6}
        Image.fromarray(values).save(file, kind, quality=quality, **options)
        with Image.open(io.BytesIO(file.getvalue())) as back:
            restored = np.asarray(back.convert("L" if values.ndim == 2 else "RGB"))
        found.append((len(file.getvalue()), ((restored.astype(float) - values) ** 2).mean()))
    # Larger files that are not better are nobody's choice.
    sizes, errors = [found[0][0]], [found[0][1]]
    for size, error in found[1:]:
        if error < errors[-1]:
            sizes.append(size)
            errors.append(error)
    return np.array(sizes, float), np.array(errors)


def uniform_xz_bytes(values: np.ndarray, error: float) -> int:
    """Bytes of xz for the indices of uniform quantisation with at most this squared error."""
    x = values.astype(np.float64)
    largest = float(np.abs(x).max()) or 1.0

    def meets(step: float) -> bool:
        return ((np.rint(x / step) * step - x) ** 2).mean() <= error

    # No number is wrong by more than half a step.
    low = 1e-3 if meets(1e-3) else 2 * max(error**0.5, 1e-9 * largest)
    high = 4 * largest + 1
    for _ in range(60):
        step = float(np.sqrt(low * high))
        low, high = (step, high) if meets(step) else (low, step)
    indices = np.rint(x / low)
    types = (np.int8, np.int16, np.int32)
    small = next(kind for kind in types if np.abs(indices).max() <= np.iinfo(kind).max)
    orders = (indices, indices.T) if indices.ndim > 1 else (indices,)
    packed = [np.ascontiguousarray(order).astype(small).tobytes() for order in orders]
    return min(len(lzma.compress(raw, preset=9)) for raw in packed)
