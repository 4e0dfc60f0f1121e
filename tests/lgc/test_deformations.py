"""Random moves of images: closed forms, and the sets drawn with them."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lgc.distillation import augmentation
from lgc.distillation.augmentation import Deformation

KEY = jax.random.key(0)
MOVED = jax.jit(augmentation.deform)
BEFORE = np.array([
    [12, 11, 9, 8, 7, 6, 5, 4], [20, 18, 17, 15, 15, 14, 13, 11], [27, 26, 25, 24, 23, 22, 20, 19],
    [34, 33, 32, 31, 30, 29, 27, 26], [41, 40, 39, 38, 37, 36, 34, 33],
    [48, 47, 46, 45, 44, 43, 42, 41], [55, 54, 54, 53, 52, 51, 50, 49],
    [62, 62, 61, 60, 59, 58, 57, 56],
])  # fmt: skip
"""A mirrored draw of `deformations.drawn` by version 0.1, whose files have six strengths."""


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 12, 2)).astype(np.float32)


def test_no_strength_moves_nothing(images):
    moved = MOVED(KEY, images, augmentation.NONE, 255.0)
    np.testing.assert_allclose(moved, images, atol=1e-2)


def test_a_mirror_is_exact(images):
    moved = np.asarray(MOVED(jax.random.key(1), images, Deformation(mirror=1), 255.0))
    kept = np.isclose(moved, images, atol=1e-2).all(axis=(1, 2, 3))
    turned = np.isclose(moved, images[:, :, ::-1], atol=1e-2).all(axis=(1, 2, 3))
    assert (kept ^ turned).all()
    assert kept.any()
    assert turned.any()


@pytest.mark.slow
@pytest.mark.parametrize("strength", [{"shift": 10}, {"turn": 20}, {"bend": 30}, {"slant": 20}])
def test_moves_reach_as_far_as_they_say(strength):
    """A ramp is mapped to the coordinate that each pixel comes from."""
    side = 40
    ramp = np.broadcast_to(
        np.arange(side, dtype=np.float32)[None, None, :, None], (200, side, side, 1)
    )
    moved = np.asarray(MOVED(KEY, ramp, Deformation(**strength), 255.0))[:, :, :, 0]
    middle = moved[:, side // 2 - 5 : side // 2 + 5, side // 2 - 5 : side // 2 + 5]
    displaced = middle - np.arange(side // 2 - 5, side // 2 + 5)
    reach = {
        "shift": 0.1 * side,
        "turn": 5 * np.sin(np.deg2rad(20)) + 5 * (1 - np.cos(np.deg2rad(20))),
        "slant": 5 * np.tan(np.deg2rad(20)),
        "bend": 4.5 * 0.03 * side,
    }[next(iter(strength))]
    assert 0.3 * reach < np.abs(displaced).max() <= reach * 1.001


def test_constants_stay_constant():
    grey = np.full((3, 8, 8, 1), 77, np.float32)
    moved = MOVED(KEY, grey, Deformation(30, 10, 20, 10, 50, 1), 255.0)
    np.testing.assert_allclose(moved, 77, rtol=1e-5)


def test_light_leaves_black_black_and_varies_as_much_as_it_says():
    images = np.full((4_000, 8, 8, 1), 20, np.float32)
    images[:, :, :4] = 0
    lit = np.asarray(MOVED(KEY, images, Deformation(light=30), 1e9))
    assert (lit[:, :, :3] == 0).all()
    logs = np.log(lit[:, 4, 6, 0] / 20)
    np.testing.assert_allclose(logs.mean(), 0, atol=0.03)
    # The whole image's deviation and a grid's, which lies between its points where it is smaller.
    assert 0.3 < logs.std() < 0.3 * 2**0.5 + 0.02
    assert MOVED(KEY, images, Deformation(light=200), 255.0).max() <= 255


def test_what_was_drawn_before_there_was_light_is_drawn_the_same():
    ramp = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    drawn, _ = augmentation.drawn(3, ramp, np.zeros(1, int), 2, Deformation(10, 5, 8, 6, 10, 1))
    # Other hardware may round a pixel differently.
    assert np.abs(drawn[1, :, :, 0].astype(int) - BEFORE).max() <= 1


def test_a_drawn_set_has_equal_classes_and_is_reproducible(images):
    labels = np.array([3, 3, 3, 3, 8, 8])
    whole = images.astype(np.uint8)
    first, classes = augmentation.drawn(1, whole, labels, 7, Deformation(turn=10))
    again, _ = augmentation.drawn(1, whole, labels, 7, Deformation(turn=10))
    other, _ = augmentation.drawn(2, whole, labels, 7, Deformation(turn=10))
    assert first.dtype == np.uint8
    assert first.shape == (14, 9, 12, 2)
    assert (np.bincount(classes)[[3, 8]] == 7).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    plain, _ = augmentation.drawn(1, whole, labels, 5, augmentation.NONE)
    assert np.array_equal(plain[5:], whole[[4, 5, 4, 5, 4]])


def test_a_strength_out_of_range_is_named():
    with pytest.raises(ValueError, match="turn is 200"):
        augmentation.check(Deformation(turn=200))
