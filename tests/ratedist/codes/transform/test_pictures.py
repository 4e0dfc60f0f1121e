"""Pictures in square blocks: round trips, sizes, and a file that must always decode alike."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

import ratedist
from ratedist import commands
from ratedist.codes.transform import bits
from ratedist.codes.transform.images import planes
from ratedist.codes.transform.images.scans import context_bases, scan_order
from ratedist.codes.transform.images.symbols import CONTEXTS, SETS, code_image

pytestmark = pytest.mark.slow


def scene(height: int, width: int, channels: int = 1) -> np.ndarray:
    """A smooth background with a bright disc and some grain, uint8."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    base = 90 + 40 * np.sin(x / 23) + 0.3 * y
    base = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < height**2 / 9, 220.0, base)
    picture = base[..., None] * np.linspace(1, 0.7, channels) + rng.normal(
        size=(height, width, channels), scale=4
    )
    picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return picture[..., 0] if channels == 1 else picture


def test_symbols_come_back() -> None:
    rng = np.random.default_rng(1)
    sizes = np.full((16, 8), 5)
    sizes[:8] = 4
    sizes[:2, :2] = 2
    sizes[2:4, :2], sizes[:4, 2:4] = 3, 3
    values = np.rint(rng.laplace(size=(2, 64, 32), scale=0.4)).astype(np.int64)
    values[0, 5, 5] = 1 << 39
    shifts = np.zeros((4, 3), np.int64)
    writer = bits.start(CONTEXTS, SETS, capacity=1 << 16)
    code_image(writer, values.copy(), sizes.copy(), shifts, context_bases(), *scan_order())
    reader = bits.start(CONTEXTS, SETS, bits.finish(writer))
    read, read_sizes = np.zeros_like(values), np.zeros_like(sizes)
    code_image(reader, read, read_sizes, shifts, context_bases(), *scan_order())
    np.testing.assert_array_equal(read, values)
    np.testing.assert_array_equal(read_sizes, sizes)


@pytest.mark.parametrize("block", ["auto", "8x8", (32, 32)])
@pytest.mark.parametrize("shape", [(70, 45), (40, 64, 3), (2, 33, 28)])
def test_pictures_meet_their_distortion(shape: tuple[int, ...], block: str) -> None:
    coloured = len(shape) == 3 and shape[-1] == 3
    picture = scene(shape[0], shape[1], 3) if coloured else scene(*shape[-2:])
    picture = np.broadcast_to(picture, shape).copy()
    data = ratedist.encode(picture, 25.0, block=block)
    restored = ratedist.decode(data)
    assert restored.dtype == np.uint8
    error = np.mean((restored.astype(float) - picture) ** 2)
    assert 0.95 * 25 < error <= 25


def test_a_picture_is_smaller_than_jpeg_at_equal_error() -> None:
    from PIL import Image

    picture = scene(128, 160)
    for quality in (20, 60):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality, optimize=True)
        restored = np.asarray(Image.open(io.BytesIO(file.getvalue())))
        error = float(np.mean((restored.astype(float) - picture) ** 2))
        assert len(ratedist.encode(picture, error, block="auto")) < 0.8 * len(file.getvalue())


def test_a_smooth_area_gets_large_blocks() -> None:
    picture = scene(128, 128).astype(float)
    picture[:, 64:] = 100.0
    found = planes.spectra(picture[None] - picture.mean(), (0, 1, 2, 3))
    sizes = planes.quantise(found, 30.0).sizes
    assert (sizes[:, 18:] == 5).all()
    assert (sizes[:, :16] < 5).any()


def test_pictures_as_files(tmp_path) -> None:
    from PIL import Image

    picture = scene(48, 64, 3)
    source, coded, back = tmp_path / "a.png", tmp_path / "a.rd", tmp_path / "b.png"
    Image.fromarray(picture).save(source)
    wanted = ["encode", str(source), str(coded), "--distortion", "30", "--block", "auto"]
    assert commands.main(wanted) == 0
    assert commands.main(["decode", str(coded), str(back)]) == 0
    assert np.mean((np.asarray(Image.open(back)).astype(float) - picture) ** 2) <= 30
    assert commands.main(["decode", str(coded), str(tmp_path / "b.npz")]) == 0


FILE = """
iUZXQg0KAQZzaWduYWxBoWZzaWduYWyIgxgwGCgDYnUx9QNmYmxvY2tzAPtAUAyWb/OXpIP7QGRCqqqqqqv7QGE+2ZmZmZr7
QFxlERERERECB3N5bWJvbHN5afJEyQZ0YWJsZXMe21EVUD/FaGBPD7iITDu6KQR6l59YvbIlTigi3sGfptJ7dcZbQmSM5pIC
uVoKEDyZKwSFUzbgZDaXsJXyLWsdRXSc+utppkkLyS5UtHstIOdmY/1kq9rLAPImwMcplhM9hENvUuw28cR6wz55kEEXdjN5
zRws4xUqqOWCeK4A/fkAAQEADvwAAAAaK4QkFR7jEB3OXCTP040QPCt+F2U49ksDGQ==
"""


def test_an_old_file_decodes_to_the_same_pixels() -> None:
    """The format is fixed: this file was written by the first version."""
    pixels = ratedist.decode(base64.b64decode(FILE))
    assert pixels.shape == (48, 40, 3)
    assert int(pixels.astype(np.int64).sum()) == 792717
