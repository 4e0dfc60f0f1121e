"""The certificate never exceeds the rate, whatever prices and weights it is given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ratedist
from ratedist import closed_forms, sources
from tests.ratedist.padded import solve_fixed

pytestmark = pytest.mark.slow


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    probability=st.floats(0.01, 0.5),
    level=st.floats(0.001, 0.6),
    price=st.floats(0.0, 30.0),
    weight=st.floats(0.0, 1.0),
)
def test_any_prices_bound_the_exact_rate(probability, level, price, weight):
    p = np.array([probability, 1 - probability])
    rule = (p, level)
    bound = ratedist.certificate(p, 1.0 - np.eye(2), [rule], [price], [weight, 1 - weight])
    assert bound <= closed_forms.bernoulli_hamming(probability, level) + 1e-12


def test_the_right_prices_reach_it():
    p = np.array([0.3, 0.7])
    level = 0.1
    price = np.log2((1 - level) / level)
    q = (p - level) / (1 - 2 * level)
    bound = ratedist.certificate(p, 1.0 - np.eye(2), [(p, level)], [price], q)
    assert bound == pytest.approx(closed_forms.bernoulli_hamming(0.3, level), abs=1e-12)


@pytest.mark.parametrize("level", [0.05, 0.25, 0.6])
def test_supremum_over_all_points_stays_below_the_gaussian(level):
    """The test channel's own prices on a fine grid: the bound must sit under 1/2 log 1/D."""
    source = sources.gaussian(201, reach=6.0)
    x = source.points[:, 0]
    y = np.linspace(-6.0, 6.0, 241)
    q = np.exp(-0.5 * y**2 / (1 - level))
    rule = ratedist.mean_distortion(source.p, level)
    price = 1.0 / (2 * level * np.log(2))
    bound = ratedist.certificate_for_all_codebooks(source.p, x, y, rule, [price], q)
    exact = closed_forms.gaussian_squared(1.0, level)
    assert exact - 0.02 < bound <= exact + 1e-6


@pytest.mark.slow
def test_supremum_over_all_points_trimodal():
    """1.67717 is the ground report's certified value with 10^5 grid points; this one is tighter."""
    source = sources.trimodal()
    x, dense = source.points[:, 0], np.linspace(-8, 8, 397)
    d = sources.squared_error(x, dense)
    rule = ratedist.mean_distortion(source.p, 0.6)
    point = solve_fixed(source.p, d, rule)
    given_codebook = ratedist.certificate(source.p, d, rule, point.nu, point.q)
    everywhere = ratedist.certificate_for_all_codebooks(
        source.p, x, dense, rule, point.dual, point.q
    )
    assert 1.67717 < everywhere <= given_codebook
    # Any other codebook, solved for itself, has a rate above it.
    rng = np.random.default_rng(1)
    for _ in range(5):
        other = sources.squared_error(x, rng.uniform(-8, 8, 40))
        assert solve_fixed(source.p, other, rule).rate_ub >= everywhere


def test_supremum_agrees_with_brute_force_in_two_dimensions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    p = rng.dirichlet(np.ones(30))
    y = rng.normal(size=(12, 2))
    rule = (p, 0.8)
    q = np.ones(12)
    bound = ratedist.certificate_for_all_codebooks(p, x, y, [rule], [1.7], q, slack_bits=1e-4)
    axis = np.linspace(x.min(), x.max(), 300)
    grid = np.stack([a.ravel() for a in np.meshgrid(axis, axis)], axis=1)
    u = np.exp2(-1.7 * sources.squared_error(x, y)) @ q
    ratio = (p / u) @ np.exp2(-1.7 * sources.squared_error(x, grid))
    brute = -(p @ np.log2(u)) - np.log2(ratio.max()) - 1.7 * 0.8
    assert brute - 2e-3 <= bound <= brute + 1e-9


def test_fewer_cells_only_loosen_the_bound():
    source = sources.trimodal()
    x = source.points[:, 0]
    rule = ratedist.mean_distortion(source.p, 0.6)
    args = (source.p, x, x, rule, [1.2], source.p)
    assert ratedist.certificate_for_all_codebooks(
        *args, max_cells=10
    ) < ratedist.certificate_for_all_codebooks(*args)


@pytest.mark.parametrize(
    ("nu", "q", "named"),
    [
        ([-0.5], [0.5, 0.5], "-0.5"),
        ([float("nan")], [0.5, 0.5], "nan"),
        ([float("inf")], [0.5, 0.5], "slack"),
        ([1.0], [0.5, -0.5], "weights"),
        ([1.0], [0.5, 0.25, 0.25], "2 codewords"),
    ],
)
def test_bad_prices_are_named(nu, q, named):
    p = np.array([0.3, 0.7])
    with pytest.raises(ValueError, match=named):
        ratedist.certificate(p, 1.0 - np.eye(2), [(p, 0.1)], nu, q)
