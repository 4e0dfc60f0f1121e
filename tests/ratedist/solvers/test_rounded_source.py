"""A bound for a few groups holds for all the samples, and is close where the groups are fine."""

from __future__ import annotations

import numpy as np
import pytest

import ratedist
from ratedist import closed_forms, sources
from ratedist.solvers import rounded_source
from tests.ratedist.padded import solve_fixed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("dimension", [1, 2])
def test_groups_keep_mean_and_split_the_error(dimension):
    x = np.random.default_rng(0).normal(size=(3000, dimension))
    rounded = rounded_source.round_samples(x, 64)
    p, centres = rounded.source.p, rounded.source.points
    assert len(p) <= 64
    np.testing.assert_allclose(p @ centres, x.mean(axis=0), atol=1e-12)
    y = np.random.default_rng(1).normal(size=dimension)
    whole = ((x - y) ** 2).sum(axis=1).mean()
    assert whole == pytest.approx(rounded.spread + p @ ((centres - y) ** 2).sum(axis=1), abs=1e-10)


def test_few_distinct_values_are_kept():
    x = np.random.default_rng(0).integers(0, 9, 500)
    rounded = rounded_source.round_samples(x, 64)
    assert rounded.spread == 0.0
    np.testing.assert_array_equal(rounded.source.points[rounded.group, 0], x)


def test_kinds_are_rounded_apart():
    x = np.random.default_rng(0).normal(size=(900, 2))
    kind = (x[:, 0] > 0.5).astype(int)
    rounded = rounded_source.round_kinds(x, kind, (30, 10))
    assert len(rounded.source.p) <= 40
    of_group = [set(kind[rounded.group == number]) for number in range(len(rounded.source.p))]
    assert all(len(kinds) == 1 for kinds in of_group)
    alone = rounded_source.round_samples(x[kind == 1], 10)
    np.testing.assert_allclose(rounded.source.points[-len(alone.source.p) :], alone.source.points)
    np.testing.assert_allclose(rounded.source.p @ rounded.source.points, x.mean(axis=0), atol=1e-12)


def test_the_bound_is_below_the_rate_of_the_samples_and_near_it():
    x = np.random.default_rng(2).normal(size=120)
    source = sources.from_samples(x)
    d = sources.squared_error(source.points, source.points)
    exact = solve_fixed(source.p, d, ratedist.mean_distortion(source.p, 0.3))
    found = rounded_source.bound(rounded_source.round_samples(x, 60), 0.3)
    assert found.any_codebook
    assert exact.rate_lb - 0.08 <= found.rate_bits <= exact.rate_lb + 1e-6
    assert exact.rate_ub <= found.upper_bits <= exact.rate_ub + 0.08
    assert rounded_source.bound(rounded_source.round_samples(x, 4), 0.02).upper_bits == np.inf


@pytest.mark.parametrize("dimension", [1, 2])
def test_the_interval_holds_the_rate_of_the_samples(dimension):
    """Of all samples, solved without groups, from 1 to 6 bits."""
    x = np.random.default_rng(dimension).normal(size=(150, dimension))
    p, d = np.full(150, 1 / 150), sources.squared_error(x, x)
    rounded = rounded_source.round_samples(x, 60)
    known = 0
    for bits in (1, 2, 4, 6):
        level = dimension * 2.0 ** (-2 * bits / dimension)
        exact = float(ratedist.rate(p, d, level))
        found = rounded_source.bound(rounded, level)
        # Any reconstruction point may do better than the samples themselves.
        assert found.rate_bits <= exact + 1e-6
        assert found.upper_bits >= exact - 0.1
        known += np.isfinite(found.upper_bits)
    assert known >= 2


@pytest.mark.slow
def test_a_gaussian_sample():
    x = np.random.default_rng(3).normal(size=20_000)
    x /= x.std()
    found = rounded_source.bound(rounded_source.round_samples(x, 250), 0.25)
    exact = closed_forms.gaussian_squared(1.0, 0.25)
    assert exact - 0.05 <= found.rate_bits <= exact + 1e-3
