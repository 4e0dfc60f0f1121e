"""What others take at an error: the error is kept, and less error takes more bytes."""

from __future__ import annotations

import lzma

import numpy as np

from ratedist.codes import rivals

X, Y = np.meshgrid(np.arange(48), np.arange(32))
PICTURE = (128 + 60 * np.sin(X / 5) + 0.8 * Y).astype(np.uint8)
SOUND = np.round(3000 * np.sin(np.arange(4000) / 7)).astype(np.int16)


def test_pictures_are_given_to_picture_codecs_and_all_else_to_xz():
    assert set(rivals.sizes(PICTURE, 20.0)) == {"JPEG", "WebP"}
    assert set(rivals.sizes(np.stack([PICTURE] * 3, axis=-1), 20.0)) == {"JPEG", "WebP"}
    assert set(rivals.sizes(SOUND, 20.0)) == {"xz"}
    assert set(rivals.sizes(PICTURE.astype(float), 20.0)) == {"xz"}


def test_less_error_takes_more_bytes():
    for name in ("JPEG", "WebP"):
        coarse, fine = (rivals.picture_bytes(PICTURE, error, name) for error in (60.0, 4.0))
        assert 50 < coarse < fine < PICTURE.size
    assert rivals.uniform_xz_bytes(SOUND, 100.0) > rivals.uniform_xz_bytes(SOUND, 10_000.0)


def test_quantised_numbers_that_fit_a_byte_are_packed_as_bytes():
    steps = np.random.default_rng(0).integers(-3, 4, 500) * 10.0
    best = len(lzma.compress((steps / 10).astype(np.int8).tobytes(), preset=9))
    assert rivals.uniform_xz_bytes(steps, 1e-9) <= best + 16


def test_the_scale_of_the_numbers_does_not_matter():
    numbers = np.random.default_rng(0).normal(size=1000)
    sizes = [rivals.uniform_xz_bytes(c * numbers, (c * 1e-3) ** 2) for c in (1.0, 1e-5, 1e6)]
    assert min(sizes) > 1000
    assert max(sizes) < 1.02 * min(sizes)
    assert rivals.uniform_xz_bytes(1e6 * numbers, 1.0) > 2000
    assert rivals.uniform_xz_bytes(np.zeros(1000), 0.0) < 100


def test_a_codec_that_does_not_come_so_close_is_left_out():
    noise = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    assert set(rivals.sizes(noise, 40.0)) == {"JPEG", "WebP"}
    assert rivals.sizes(noise, 1e-3) == {}
    assert set(rivals.sizes(np.zeros((32, 32), np.uint8), 0.0)) == {"JPEG", "WebP"}
