"""Coreset selection strategies: permutations with classes mixed evenly, coresets first."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lgc.coresets import strategies
from tests.lgc.test_lossy_subset import blobs


def test_every_stretch_has_every_class(key):
    classes = np.repeat([0, 1, 2], [30, 20, 10])
    order = strategies.stratified_permutation(key, classes)
    assert sorted(order) == list(range(60))
    for first in range(0, 30, 3):
        assert sorted(classes[order[first : first + 3]]) == [0, 1, 2]


@pytest.mark.parametrize("count", [31, strategies.LARGEST + 1])
def test_most_of_a_set_is_taken_at_random(key, count):
    images, labels = np.zeros((60, 8, 8, 1), np.uint8), np.arange(60) % 3
    order = strategies.coreset_first("medoids", key, images, labels, count)
    np.testing.assert_array_equal(
        order, strategies.coreset_first("random", key, images, labels, count)
    )


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["medoids", "centres"])
def test_a_coreset_comes_first(name, monkeypatch):
    monkeypatch.setattr(strategies, "_STEPS", 3)
    monkeypatch.setattr(strategies, "_WIDTH", 4)
    images, labels = blobs(90)
    order = strategies.coreset_first(name, jax.random.key(1), images, labels, 12)
    assert sorted(order) == list(range(90))
    assert np.bincount(labels[order[:12]]).tolist() == [4, 4, 4]
    again = strategies.coreset_first(name, jax.random.key(1), images, labels, 12)
    np.testing.assert_array_equal(order, again)
