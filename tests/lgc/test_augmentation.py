"""Random augmentation: closed forms, and training sets drawn with it."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lgc.distillation import augmentation
from lgc.distillation.augmentation import NONE, Augmentation

KEY = jax.random.key(0)
AUGMENTED = jax.jit(augmentation.augment)
BEFORE = np.array([
    [12, 11, 9, 8, 7, 6, 5, 4], [20, 18, 17, 15, 15, 14, 13, 11], [27, 26, 25, 24, 23, 22, 20, 19],
    [34, 33, 32, 31, 30, 29, 27, 26], [41, 40, 39, 38, 37, 36, 34, 33],
    [48, 47, 46, 45, 44, 43, 42, 41], [55, 54, 54, 53, 52, 51, 50, 49],
    [62, 62, 61, 60, 59, 58, 57, 56],
])  # fmt: skip
"""A flipped image of `augmented_set` by version 0.1, whose files have six ranges."""


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 12, 2)).astype(np.float32)


def test_ranges_of_zero_change_nothing(images):
    moved = AUGMENTED(KEY, images, augmentation.NONE, 255.0)
    np.testing.assert_allclose(moved, images, atol=1e-2)


def test_a_flip_is_exact(images):
    moved = np.asarray(AUGMENTED(jax.random.key(1), images, Augmentation(flip=1), 255.0))
    same = np.isclose(moved, images, atol=1e-2).all(axis=(1, 2, 3))
    flipped = np.isclose(moved, images[:, :, ::-1], atol=1e-2).all(axis=(1, 2, 3))
    assert (same ^ flipped).all()
    assert same.any()
    assert flipped.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "ranges",
    [{"translation": 10}, {"rotation": 20}, {"elastic": 30}, {"shear": 20}],
)
def test_transformations_reach_as_far_as_their_ranges(ranges):
    """A ramp is mapped to the coordinate that each pixel comes from."""
    side = 40
    ramp = np.broadcast_to(
        np.arange(side, dtype=np.float32)[None, None, :, None], (200, side, side, 1)
    )
    moved = np.asarray(AUGMENTED(KEY, ramp, Augmentation(**ranges), 255.0))[:, :, :, 0]
    middle = moved[:, side // 2 - 5 : side // 2 + 5, side // 2 - 5 : side // 2 + 5]
    displaced = middle - np.arange(side // 2 - 5, side // 2 + 5)
    reach = {
        "translation": 0.1 * side,
        "rotation": 5 * np.sin(np.deg2rad(20)) + 5 * (1 - np.cos(np.deg2rad(20))),
        "shear": 5 * np.tan(np.deg2rad(20)),
        "elastic": 4.5 * 0.03 * side,
    }[next(iter(ranges))]
    assert 0.3 * reach < np.abs(displaced).max() <= reach * 1.001


def test_constants_stay_constant():
    grey = np.full((3, 8, 8, 1), 77, np.float32)
    moved = AUGMENTED(KEY, grey, Augmentation(30, 10, 20, 10, 50, 1), 255.0)
    np.testing.assert_allclose(moved, 77, rtol=1e-5)


def test_brightness_leaves_black_black_and_has_the_stated_deviation():
    images = np.full((4_000, 8, 8, 1), 20, np.float32)
    images[:, :, :4] = 0
    brighter = np.asarray(AUGMENTED(KEY, images, Augmentation(brightness=30), 1e9))
    assert (brighter[:, :, :3] == 0).all()
    logs = np.log(brighter[:, 4, 6, 0] / 20)
    np.testing.assert_allclose(logs.mean(), 0, atol=0.03)
    # The whole image's deviation and a grid's, which lies between its points where it is smaller.
    assert 0.3 < logs.std() < 0.3 * 2**0.5 + 0.02
    assert AUGMENTED(KEY, images, Augmentation(brightness=200), 255.0).max() <= 255


def test_files_older_than_brightness_augmentation_give_the_same_images():
    ramp = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    ranges = Augmentation(10, 5, 8, 6, 10, 1)
    drawn, _ = augmentation.augmented_set(3, ramp, np.zeros(1, int), 2, ranges)
    # Other hardware may round a pixel differently.
    assert np.abs(drawn[1, :, :, 0].astype(int) - BEFORE).max() <= 1


def test_a_drawn_set_has_equal_classes_and_is_reproducible(images):
    labels = np.array([3, 3, 3, 3, 8, 8])
    whole = images.astype(np.uint8)
    first, classes = augmentation.augmented_set(1, whole, labels, 7, Augmentation(rotation=10))
    again, _ = augmentation.augmented_set(1, whole, labels, 7, Augmentation(rotation=10))
    other, _ = augmentation.augmented_set(2, whole, labels, 7, Augmentation(rotation=10))
    assert first.dtype == np.uint8
    assert first.shape == (14, 9, 12, 2)
    assert (np.bincount(classes)[[3, 8]] == 7).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    plain, _ = augmentation.augmented_set(1, whole, labels, 5, augmentation.NONE)
    assert np.array_equal(plain[5:], whole[[4, 5, 4, 5, 4]])


def test_a_range_out_of_its_limits_is_named():
    with pytest.raises(ValueError, match="rotation is 200"):
        augmentation.check(Augmentation(rotation=200))


def test_half_of_the_images_are_blurred():
    rng = np.random.default_rng(0)
    images = np.zeros((400, 9, 9, 1), np.uint8)
    images[:, 4, 4] = 200
    ranges = Augmentation(blur=10)
    found = augmentation.blurred(rng, images, ranges)
    smooth = found[:, 4, 4, 0] < 200
    assert 0.4 < smooth.mean() < 0.6
    assert np.array_equal(found[~smooth], images[~smooth])
    # Of a point, a Gaussian of standard deviation 1 leaves 1 / (2 pi) at its place.
    assert found[smooth, 4, 4, 0] == pytest.approx(200 / (2 * np.pi), abs=1)
    assert augmentation.blurred(rng, images, NONE) is images
    drawn, _ = augmentation.augmented_set(0, images, np.arange(400) % 2, 200, ranges)
    assert 0.4 < (drawn[:, 4, 4, 0] < 200).mean() < 0.6
