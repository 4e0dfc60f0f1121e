"""Batches drawn from files of every kind: shapes, equal shares of classes, reproducibility."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest

import lgc
from fewbits.coding import FormatError, InputError
from lgc.coresets import lossy_subset
from lgc.coresets.downsampling import LOSSLESS
from lgc.distillation import distilled_images
from tests.lgc.test_distilled_images import contents
from tests.lgc.test_grouped_compression import _SMALL
from tests.lgc.test_lossy_subset import blobs


def taken(data: bytes, batch_size: int, count: int, seed: int = 0):
    return list(itertools.islice(lgc.stream(data, batch_size, seed=seed), count))


def check(data: bytes, labels: list[int], shape: tuple[int, ...]):
    batches = taken(data, 4, 6)
    for images, found, soft_labels in batches:
        assert images.shape == (4, *shape)
        assert images.dtype == np.uint8
        assert found.dtype.kind == "i"
        assert soft_labels is None
    drawn = np.concatenate([batch.labels for batch in batches])
    np.testing.assert_array_equal(np.unique(drawn), labels)
    assert np.ptp(np.unique(drawn, return_counts=True)[1]) <= 1
    again, other = taken(data, 4, 1)[0], taken(data, 4, 1, seed=1)[0]
    np.testing.assert_array_equal(again.images, batches[0].images)
    assert (other.images != again.images).any()


def test_a_file_of_distilled_images():
    check(distilled_images.write(contents()), [5, 6, 7], (9, 9, 1))


@pytest.mark.slow
def test_a_file_of_distilled_images_with_augmentation():
    augmented = contents(augmentation=lgc.distillation.Augmentation(rotation=5, brightness=20))
    check(distilled_images.write(augmented), [5, 6, 7], (9, 9, 1))


@pytest.mark.slow
def test_a_lossless_subset_gives_its_images():
    images, labels = blobs(14)
    data = lossy_subset.write(images, labels, LOSSLESS)
    check(data, [0, 1, 2], (12, 12, 1))
    seen = np.concatenate([batch.images for batch in taken(data, 50, 2)])
    assert len(np.unique(seen, axis=0)) == len(np.unique(images, axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "spherical"])
def test_a_file_of_mixtures_has_the_means_of_decompress(covariance):
    images, labels = blobs(60)
    config = lgc.Config(
        hidden=16, latent=4, epochs=3, batch_size=20, components=2, covariance=covariance
    )
    data = lgc.compress(images, labels, config=config)
    check(data, [0, 1, 2], (12, 12, 1))
    whole = lgc.decompress(data, per_class=1000)
    part = taken(data, 3000, 1)[0]
    for label in range(3):
        ours, theirs = (drawn.images[drawn.labels == label].mean(axis=0) for drawn in (part, whole))
        np.testing.assert_allclose(ours, theirs, atol=4)


@pytest.mark.nightly
def test_groups_are_drawn_in_equal_shares():
    images, labels = blobs(60)
    made = lgc.groups.compress(
        images.repeat(3, axis=-1), labels, np.arange(60) % 2, config=_SMALL, key=jax.random.key(0)
    )
    check(made.data, [0, 1, 2], (12, 12, 3))


def test_mistakes_are_named():
    with pytest.raises(InputError, match="batch_size is 0"):
        lgc.stream(b"", 0)
    with pytest.raises(FormatError):
        lgc.stream(b"nothing", 4)


def test_a_path_is_not_the_bytes_of_a_file():
    with pytest.raises(InputError, match="read_bytes"):
        lgc.decompress("set.lgc")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="per_class is 0"):
        lgc.decompress(b"", per_class=0)
