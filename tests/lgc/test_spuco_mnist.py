from __future__ import annotations

import numpy as np
import pytest

from fewbits.io.datasets import Images
from lgc.groups import spuco_mnist
from lgc.groups.spuco_mnist import Colouring


def _digits(n=2_000, side=8):
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 256, (n, side, side, 1)) * (rng.random((n, side, side, 1)) < 0.4)
    labels = rng.integers(0, 10, n).astype(np.int32)
    return Images(pixels.astype(np.uint8), labels, tuple("0123456789"))


@pytest.mark.parametrize("n_classes", [5, 10])
def test_each_class_has_its_colour_as_often_as_the_strength_says(n_classes):
    digits = _digits()
    train = spuco_mnist.training_set(digits, Colouring(n_classes=n_classes, strength=0.9), 1)
    np.testing.assert_array_equal(train.classes, digits.labels * n_classes // 10)
    counts = train.counts().reshape(n_classes, n_classes)
    of_class = np.bincount(train.classes)
    np.testing.assert_array_equal(np.diag(counts), (0.9 * of_class).astype(int))
    others = counts[~np.eye(n_classes, dtype=bool)].reshape(n_classes, -1)
    assert (others.max(axis=1) - others.min(axis=1) <= 1).all()
    assert others.min() > 0


def test_judging_sets_have_all_backgrounds_equally():
    balanced = spuco_mnist.balanced_set(_digits(), Colouring(), 0)
    counts = balanced.counts().reshape(5, 5)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_only_zeros_are_coloured_and_all_of_them():
    digits = _digits()
    colouring = Colouring(palette="tab10", n_classes=10)
    train = spuco_mnist.training_set(digits, colouring, 1)
    black = digits.pixels[..., 0] == 0
    colour = spuco_mnist.colours(colouring)[train.backgrounds]
    expected = np.broadcast_to(colour[:, None, None], train.pixels.shape)
    np.testing.assert_array_equal(train.pixels[black], expected[black])
    grey = np.broadcast_to(digits.pixels, train.pixels.shape)
    np.testing.assert_array_equal(train.pixels[~black], grey[~black])


def test_colours_are_those_of_the_maps():
    hsv = spuco_mnist.colours(Colouring())
    assert hsv[0].tolist() == [255, 0, 0]
    assert len(np.unique(hsv, axis=0)) == 5
    tab10 = spuco_mnist.colours(Colouring(n_classes=10, palette="tab10"))
    assert tab10[0].tolist() == [31, 119, 180]  # blue
    assert tab10[9].tolist() == [23, 190, 207]  # cyan


@pytest.mark.parametrize(
    ("mask", "pixels"),
    [("large", 400), ("medium", 16), ("small", 4), ("variance_low", 49), ("variance_high", 49),
     ("variance_medium", 49)],
)  # fmt: skip
def test_masks_have_their_sizes(mask, pixels):
    black = Images(np.zeros((30, 20, 20, 1), np.uint8), np.arange(30, dtype=np.int32) % 10, ())
    balanced = spuco_mnist.balanced_set(black, Colouring(mask=mask), 0)
    coloured = balanced.pixels.any(axis=-1)
    assert (coloured.sum(axis=(1, 2)) == pixels).all()
    same = (coloured == coloured[:1]).all()
    assert same == (mask not in ("variance_high", "variance_medium"))
    if mask not in ("large", "variance_high"):
        assert not coloured[:, 10:].any()
        assert not coloured[:, :, 10:].any()


def test_noise_changes_labels_and_not_backgrounds():
    digits, clean = _digits(), Colouring(strength=1.0)
    noisy = Colouring(strength=1.0, label_noise=0.25, core_noise=True)
    before = spuco_mnist.training_set(digits, clean, 3)
    after = spuco_mnist.training_set(digits, noisy, 3)
    assert np.sum(before.classes != after.classes) == 500
    np.testing.assert_array_equal(after.backgrounds, before.classes)
    foreground = digits.pixels[..., 0] > 0
    kept = (after.pixels[foreground] == before.pixels[foreground]).all(axis=-1).mean()
    assert kept == pytest.approx(0.40, abs=0.02)  # P(N(0, 1) > 0.25)


def test_the_same_seed_gives_the_same_colours():
    first, again, other = (spuco_mnist.training_set(_digits(), Colouring(), s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.backgrounds != other.backgrounds).any()


def test_accuracies_by_group():
    test = spuco_mnist.balanced_set(_digits(), Colouring(), 0)
    counts = np.arange(25)
    right = spuco_mnist.group_accuracies(test.classes, test, counts)
    assert right.worst == right.average == right.even == 1
    # A classifier that reads the background is right on the diagonal alone.
    blind = spuco_mnist.group_accuracies(test.backgrounds, test, counts)
    np.testing.assert_array_equal(blind.each.reshape(5, 5), np.eye(5))
    assert blind.worst == 0
    assert blind.even == pytest.approx(0.2)
    assert blind.average == pytest.approx((0 + 6 + 12 + 18 + 24) / 300)


@pytest.mark.parametrize(
    ("field", "value"), [("n_classes", 3), ("strength", 1.5), ("label_noise", -0.1)]
)
def test_colourings_without_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        Colouring(**{field: value})


def test_validation_images_are_held_out_and_do_not_depend_on_the_seed():
    digits, tests = _digits(), _digits().first(50)
    colouring = Colouring(strength=0.8)
    train, held_out, test = spuco_mnist.benchmark(digits, tests, colouring, 0)
    assert len(train.classes) + len(held_out.classes) == len(digits.labels)
    assert len(test.classes) == 50
    other, same, same_test = spuco_mnist.benchmark(digits, tests, colouring, 1)
    np.testing.assert_array_equal(held_out.pixels, same.pixels)
    np.testing.assert_array_equal(test.pixels, same_test.pixels)
    assert (other.backgrounds != train.backgrounds).any()


def test_equalised_groups_and_examples():
    train = spuco_mnist.training_set(_digits(), Colouring(strength=0.8), 0)
    few = train.equalised(0)
    assert set(few.counts().tolist()) == {train.counts().min()}
    shown = train.examples(10)
    assert set(shown.classes) == set(shown.backgrounds) == set(range(5))
    assert shown.counts().max() == 1
