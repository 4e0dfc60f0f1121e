"""Exact thresholds against brute force over all cuts."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitalloc.encoders import thresholds
from bitalloc.fitting import allocation, selection

compiled = jax.jit(thresholds.best_quantisers, static_argnums=1)


def information_bits(histogram: np.ndarray, cuts) -> float:
    """I(class; cell) in bits for given first levels of the further cells."""
    cells = np.array([part.sum(axis=0) for part in np.split(histogram, cuts)])
    joint = cells / cells.sum()
    outer = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    used = joint > 0
    return float((joint[used] * np.log2(joint[used] / outer[used])).sum())


@pytest.fixture(scope="module")
def histograms():
    rng = np.random.default_rng(0)
    return rng.integers(0, 40, size=(5, 9, 3)) * (rng.random((5, 9, 1)) < 0.8)


@pytest.fixture(scope="module")
def solved(histograms):
    with jax.enable_x64(True):
        result = compiled(jnp.asarray(histograms, float), 4)
    return jax.tree.map(np.asarray, result)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gains_equal_brute_force(histograms, solved, depth):
    for m, histogram in enumerate(histograms):
        best = max(
            information_bits(histogram, cuts)
            for cuts in itertools.combinations(range(1, 9), (1 << depth) - 1)
        )
        np.testing.assert_allclose(solved.gain_bits[m, depth], best, atol=1e-12)


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_the_edges_attain_the_gain(histograms, solved, depth):
    for m, histogram in enumerate(histograms):
        edges = solved.edges[m, depth]
        used = edges[edges < 9]
        assert len(used) <= (1 << depth) - 1
        value = information_bits(histogram, used)
        np.testing.assert_allclose(value, solved.gain_bits[m, depth], atol=1e-12)


def test_gains_rise_with_depth_and_stay_below_the_class_entropy(histograms, solved):
    assert np.all(solved.gain_bits[:, 0] == 0)
    assert np.all(np.diff(solved.gain_bits, axis=1) >= -1e-12)
    full = [information_bits(h, range(1, 9)) for h in histograms]
    assert np.all(solved.gain_bits[:, -1] <= np.array(full) + 1e-12)


def test_a_feature_that_equals_the_class_gives_its_entropy():
    labels = np.tile(np.arange(4), 25)
    histogram = thresholds.class_histograms(labels[None, :] * 2, labels, 8, 4)
    gain = np.asarray(compiled(jnp.asarray(histogram), 4).gain_bits[0])
    np.testing.assert_allclose(gain, [0, 1, 2, 2], atol=1e-5)


def test_the_knapsack_takes_the_informative_features():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    features = rng.normal(size=(400, 5))
    features[:, 3] += 3 * labels
    candidates = selection.find_levels(features, selection.candidate_thresholds(features, 16))
    histogram = thresholds.class_histograms(candidates.level, labels, 16, 2)
    found = compiled(jnp.asarray(histogram), 3)
    depth = np.asarray(allocation.knapsack(found.gain_bits, 1).depth[1])
    np.testing.assert_array_equal(depth, [0, 0, 0, 1, 0])
    edges = thresholds.edge_thresholds(candidates.thresholds[3], np.asarray(found.edges[3, 1]))
    assert 0.5 < edges[0] < 2.5
    assert np.all(edges[1:] == np.inf)


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        thresholds.best_quantisers(jnp.zeros((3, 4)), 2)
