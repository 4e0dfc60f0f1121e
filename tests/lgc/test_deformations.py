"""Random moves of images: closed forms, and the sets drawn with them."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lgc import deformations
from lgc.deformations import Deformation

KEY = jax.random.key(0)
MOVED = jax.jit(deformations.deform)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 12, 2)).astype(np.float32)


def test_no_strength_moves_nothing(images):
    moved = MOVED(KEY, images, deformations.NONE)
    np.testing.assert_allclose(moved, images, atol=1e-2)


def test_a_mirror_is_exact(images):
    moved = np.asarray(MOVED(jax.random.key(1), images, Deformation(mirror=1)))
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
    moved = np.asarray(MOVED(KEY, ramp, Deformation(**strength)))[:, :, :, 0]
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
    moved = MOVED(KEY, grey, Deformation(30, 10, 20, 10, 50, 1))
    np.testing.assert_allclose(moved, 77, rtol=1e-5)


def test_a_drawn_set_has_equal_classes_and_is_reproducible(images):
    labels = np.array([3, 3, 3, 3, 8, 8])
    whole = images.astype(np.uint8)
    first, classes = deformations.drawn(1, whole, labels, 7, Deformation(turn=10))
    again, _ = deformations.drawn(1, whole, labels, 7, Deformation(turn=10))
    other, _ = deformations.drawn(2, whole, labels, 7, Deformation(turn=10))
    assert first.dtype == np.uint8
    assert first.shape == (14, 9, 12, 2)
    assert (np.bincount(classes)[[3, 8]] == 7).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    plain, _ = deformations.drawn(1, whole, labels, 5, deformations.NONE)
    assert np.array_equal(plain[5:], whole[[4, 5, 4, 5, 4]])


def test_a_strength_out_of_range_is_named():
    with pytest.raises(ValueError, match="turn is 200"):
        deformations.check(Deformation(turn=200))
