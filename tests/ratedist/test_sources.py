"""Sources are distributions, and the published grids are as published."""

from __future__ import annotations

import numpy as np
import pytest

from ratedist import closed_forms, sources


@pytest.mark.parametrize(
    "source",
    [
        sources.gaussian(),
        sources.gaussian_2d(),
        sources.three_bumps(),
        sources.trimodal(),
        sources.spike(),
        sources.four_clusters(),
        sources.laplacian(41, 8.0),
    ],
)
def test_sources_are_distributions(source):
    assert source.p.sum() == pytest.approx(1.0, abs=1e-12)
    assert (source.p >= 0).all()
    assert source.points.shape[0] == source.p.size


def test_numbers_quoted_from_the_report():
    x, p = sources.spike().points[:, 0], sources.spike().p
    assert p @ x**2 - (p @ x) ** 2 == pytest.approx(25.61, abs=0.01)
    clusters = sources.four_clusters()
    inside = (clusters.points**2).sum(axis=1) < 4
    assert clusters.p[inside].sum() == pytest.approx(0.0246, abs=1e-4)
    near = np.abs(sources.gaussian().points[:, 0]) < 0.1
    assert near.sum() == 2


def test_samples_are_counted():
    source = sources.from_samples([2.0, 1.0, 2.0, 2.0])
    np.testing.assert_allclose(source.points[:, 0], [1.0, 2.0])
    np.testing.assert_allclose(source.p, [0.25, 0.75])


@pytest.mark.parametrize("samples", [[], [1.0, np.nan], np.zeros((2, 2, 2))])
def test_bad_samples_are_named(samples):
    with pytest.raises(ValueError, match="sample"):
        sources.from_samples(samples)


def test_reverse_water_filling():
    rate, levels = closed_forms.parallel_gaussians([4.0, 0.1, 1.0], 0.9)
    np.testing.assert_allclose(levels, [0.4, 0.1, 0.4])
    assert rate == pytest.approx(0.5 * np.log2(10) + 0.5 * np.log2(2.5))
    assert closed_forms.parallel_gaussians([4.0, 1.0], 99.0)[0] == 0.0


def test_inverse_of_the_gaussian_curve():
    level = closed_forms.gaussian_squared_distortion(2.5, 1.3)
    assert closed_forms.gaussian_squared(2.5, level) == pytest.approx(1.3)


def test_shuffled_letters_have_their_exact_shares():
    source = sources.trimodal()
    sequence = sources.shuffled(source, 1000, 3)
    assert sequence.shape == (1000, 1)
    counts = (sequence == source.points[:, 0]).sum(axis=0)
    assert np.abs(counts - 1000 * source.p).max() < 1
    assert not np.array_equal(sequence, sources.shuffled(source, 1000, 4))


def test_normal_samples_have_exactly_the_moments_of_the_closed_form():
    x = sources.standardised_normal(1_000, 3)
    assert (x.mean(), x.var()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))


def test_patches_are_squares_of_the_images():
    images = np.random.default_rng(0).normal(size=(3, 7, 9))
    found = sources.patches(images, 3).reshape(3, 2, 3, 3, 3)
    for row in range(2):
        for column in range(3):
            square = images[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            np.testing.assert_array_equal(found[:, row, column], square)
