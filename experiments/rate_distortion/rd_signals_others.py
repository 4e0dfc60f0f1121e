"""What others take for a signal at a given error: JPEG, WebP, uniform quantisation with xz."""

from __future__ import annotations

import functools
import io
import lzma

import numpy as np


def picture_bytes(values: np.ndarray, error: float, kind: str) -> float:
    """Bytes of Pillow's JPEG or WebP at a squared error, interpolated between qualities."""
    sizes, errors = _qualities(values.tobytes(), values.shape, kind)
    return float(np.exp(np.interp(np.log(error), np.log(errors[::-1]), np.log(sizes[::-1]))))


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
    low, high = 1e-3, 4 * float(np.abs(x).max()) + 1
    for _ in range(60):
        step = float(np.sqrt(low * high))
        if ((np.rint(x / step) * step - x) ** 2).mean() <= error:
            low = step
        else:
            high = step
    indices = np.rint(x / low)
    small = np.int8 if np.abs(indices).max() < 128 else np.int16
    orders = (indices, indices.T) if indices.ndim > 1 else (indices,)
    packed = [np.ascontiguousarray(order).astype(small).tobytes() for order in orders]
    return min(len(lzma.compress(raw, preset=9)) for raw in packed)


def synthetic() -> dict[str, np.ndarray]:
    """A picture and a sound without a file."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :128]
    picture = 90 + 40 * np.sin(x / 23) + 0.3 * y + rng.normal(size=y.shape, scale=4)
    t = np.arange(8000)
    sound = 4000 * np.sin(t * (0.05 + 1e-6 * t)) + 200 * rng.normal(size=t.size)
    return {
        "picture": picture.clip(0, 255).astype(np.uint8),
        "sound": sound.astype(np.int16)[:, None],
    }
