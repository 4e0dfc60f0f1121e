"""Rate-distortion points against functions that are known exactly, and against each other."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ratedist
from ratedist import closed_forms, sources
from tests.ratedist.padded import solve_fixed, solve_slope

TOL = 1e-6
SMALL = ratedist.compiled(ratedist.solve_fixed)


def at(p, d, level):
    point = solve_fixed(p, d, ratedist.mean_distortion(p, level))
    assert bool(point.converged)
    assert float(point.gap_bits) <= TOL
    assert float(point.distortion[0]) <= level
    return point


def hamming(size):
    return 1.0 - np.eye(size)


@pytest.mark.parametrize("level", [0.0, 0.01, 0.1, 0.25, 0.3, 0.9])
def test_bernoulli_under_hamming_distortion(level):
    point = at(np.array([0.3, 0.7]), hamming(2), level)
    exact = closed_forms.bernoulli_hamming(0.3, level)
    assert point.rate_lb - 1e-12 <= exact <= point.rate_ub + 1e-12


@pytest.mark.parametrize("level", [0.0, 0.05, 0.4, 0.75])
def test_uniform_letters_under_hamming_distortion(level):
    point = at(np.full(5, 0.2), hamming(5), level)
    assert abs(point.rate_ub - closed_forms.uniform_hamming(5, level)) <= TOL


@pytest.mark.parametrize("level", [0.25, 0.5, 0.8])
def test_binary_erasure_is_a_straight_line(level):
    """One price serves the whole line, so q is decided by the level and not by the price."""
    d = np.array([[0.0, 1.0, np.inf], [np.inf, 1.0, 0.0]])
    point = at(np.array([0.5, 0.5]), d, level)
    assert abs(point.rate_ub - (1.0 - level)) <= TOL
    assert point.nu[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("level", [0.05, 0.25, 0.5, 0.9])
def test_gaussian_under_squared_error(level):
    """Up to the grid: spacing 1/8 on [-6, 6], both for the source and for the codebook."""
    source = sources.gaussian(97, reach=6.0)
    d = sources.squared_error(source.points, source.points)
    assert at(source.p, d, level).rate_ub == pytest.approx(
        closed_forms.gaussian_squared(1.0, level), abs=1e-4
    )


def test_two_dimensional_gaussian():
    source = sources.gaussian_2d(11, reach=3.8)
    d = sources.squared_error(source.points, source.points)
    rate, _ = closed_forms.parallel_gaussians([1.0, 1.0], 1.0)
    assert rate == pytest.approx(1.0)
    assert at(source.p, d, 1.0).rate_ub == pytest.approx(rate, abs=5e-3)


@pytest.mark.parametrize("level", [0.5, 0.8])
def test_laplacian_under_absolute_error(level):
    """Up to the grid: spacing 3/40 on [-12, 12]."""
    source = sources.laplacian(321, reach=12.0)
    d = np.abs(source.points - source.points.T)
    exact = closed_forms.laplacian_absolute(1.0, level)
    assert at(source.p, d, level).rate_ub == pytest.approx(exact, abs=5e-3)


@pytest.mark.parametrize("level", [0.2, 0.5])
def test_shannon_lower_bound_holds(level):
    source = sources.laplacian(321, reach=12.0)
    entropy = closed_forms.laplacian_entropy_bits(1.0)
    bound = closed_forms.shannon_lower_bound_squared(entropy, level)
    rate = at(source.p, sources.squared_error(source.points, source.points), level).rate_lb
    assert bound - 1e-3 <= rate <= bound + 0.1


@pytest.mark.parametrize("level", [0.002, 0.01])
def test_shannon_lower_bound_of_a_uniform_density(level):
    flat = np.linspace(0.5 / 128, 1 - 0.5 / 128, 128)
    bound = closed_forms.shannon_lower_bound_squared(closed_forms.uniform_entropy_bits(1.0), level)
    rate = at(np.full(128, 1 / 128), sources.squared_error(flat, flat), level).rate_lb
    assert bound - 2e-3 <= rate <= bound + 0.3


def test_parallel_gaussians_fill_in_reverse():
    """A product of two grids, whose weak component drowns at this distortion."""
    strong, weak = sources.gaussian(25, reach=4.0), sources.gaussian(5, reach=2.0)
    y = 0.3 * weak.points[:, 0]
    x = np.array([(a, b) for a in strong.points[:, 0] for b in y])
    p = np.outer(strong.p, weak.p).ravel()
    variances = [strong.p @ strong.points[:, 0] ** 2, weak.p @ y**2]
    rate, levels = closed_forms.parallel_gaussians(variances, 0.4)
    assert levels[1] == pytest.approx(variances[1])
    code = np.array([(a, 0.0) for a in np.linspace(-4, 4, 41)])
    assert at(p, sources.squared_error(x, code), 0.4).rate_ub == pytest.approx(rate, abs=5e-3)


def test_no_rate_beyond_the_largest_useful_distortion():
    source = sources.spike(100)
    d = sources.squared_error(source.points, source.points)
    point = at(source.p, d, 30.5)
    assert point.rate_ub <= TOL
    assert bool(point.vacuous[0])


def test_report_table():
    """The published rates, corrected: for its own codebook Y = X, and for a dense one."""
    trimodal, spike = sources.trimodal(), sources.spike()
    dense = np.linspace(-8, 8, 397)
    for source, code, level, rate in (
        (trimodal, trimodal.points, 0.6, 1.6784),
        (trimodal, dense, 0.6, 1.6777),
        (trimodal, trimodal.points, 0.417, 1.8479),
        (trimodal, dense, 0.417, 1.8472),
        (spike, np.linspace(-10, 10, 399), 1.6, 1.8805),
    ):
        point = at(source.p, sources.squared_error(source.points, code), level)
        assert point.rate_lb == pytest.approx(rate, abs=6e-5)


def test_slope_is_the_derivative():
    source = sources.trimodal()
    d = sources.squared_error(source.points, source.points)
    step = 1e-3
    before, here, after = (
        solve_fixed(source.p, d, ratedist.mean_distortion(source.p, level), tol_bits=1e-9)
        for level in (0.6 - step, 0.6, 0.6 + step)
    )
    slope = (before.rate_ub - after.rate_ub) / (2 * step)
    assert slope == pytest.approx(float(here.nu[0]), rel=1e-5)


def test_slope_and_level_describe_the_same_point():
    source = sources.gaussian(64)
    d = sources.squared_error(source.points, source.points)
    fixed = at(source.p, d, 0.3)
    sloped = solve_slope(source.p, d, fixed.nu[0])
    assert bool(sloped.converged)
    assert sloped.distortion[0] == pytest.approx(float(fixed.distortion[0]), rel=1e-4)
    assert sloped.rate_ub == pytest.approx(
        float(fixed.rate_ub + fixed.nu[0] * (fixed.distortion[0] - sloped.distortion[0])), abs=2e-6
    )


def test_sweep_equals_a_loop():
    source = sources.gaussian(40)
    d = sources.squared_error(source.points, source.points)
    slopes = np.linspace(0.8, 11.0, 8)
    swept = ratedist.compiled(ratedist.sweep)(source.p, d, slopes)
    assert np.asarray(swept.converged).all()
    for i in (0, 3, 7):
        alone = solve_slope(source.p, d, slopes[i])
        np.testing.assert_allclose(swept.rate_ub[i], alone.rate_ub, atol=2e-6)
    rates, levels = np.asarray(swept.rate_ub), np.asarray(swept.distortion[:, 0])
    assert (np.diff(rates) > 0).all()
    assert (np.diff(levels) < 0).all()


def test_masked_codewords_do_not_exist():
    """vmap over codebooks of one shape: the mask gives what the smaller table gives."""
    source = sources.gaussian(30)
    d = sources.squared_error(source.points, source.points)
    masks = np.ones((3, 30), bool)
    masks[1, ::2] = False
    masks[2, :12] = False
    solve = jax.vmap(lambda mask: ratedist.solve_slope(source.p, d, 3.0, mask=mask))
    points = ratedist.compiled(solve)(masks)
    for i, mask in enumerate(masks):
        alone = solve_slope(source.p, d[:, mask], 3.0)
        assert points.rate_ub[i] == pytest.approx(float(alone.rate_ub), abs=2e-6)
        assert not np.asarray(points.q[i])[~mask].any()


def test_one_price_per_letter():
    source = sources.gaussian(20)
    d = sources.squared_error(source.points, source.points)
    prices = np.linspace(1.0, 6.0, 20)
    point = ratedist.compiled(ratedist.solve_slope)(source.p, d, prices)
    assert bool(point.converged)
    rules = [(np.eye(20)[i], float(point.distortion[i])) for i in range(20)]
    bound = ratedist.certificate(source.p, d, rules, point.nu, point.q)
    assert bound == pytest.approx(float(point.rate_lb), abs=1e-9)
    letter = np.asarray(ratedist.encoder(source.p, d, point))
    np.testing.assert_allclose((letter * d).sum(axis=1), point.distortion, atol=1e-9)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    depth=st.sampled_from([0.0, 1e-6, 1e-2, 0.3, 0.7, 0.99, 1.0, 1.3]),
    kind=st.sampled_from(["uniform", "squared", "integer", "wild"]),
)
def test_random_problems_are_certified(seed, depth, kind):
    """Any mixture of constraints: converged, feasible, and the encoder has the rate it claims."""
    rng = np.random.default_rng(seed)
    n, m = 9, 7
    p = np.maximum(rng.dirichlet(np.full(n, rng.choice([0.1, 1.0, 10.0]))), 1e-9)
    p = p / p.sum()
    d = {
        "uniform": rng.random((n, m)),
        "squared": (rng.normal(size=(n, 1)) - rng.normal(size=(1, m))) ** 2,
        "integer": rng.integers(0, 3, size=(n, m)) * 1.0,
        "wild": 1e3 * np.exp(3 * rng.normal(size=(n, m))),
    }[kind]
    low, high = p @ d.min(axis=1), (p @ d).min()
    subset = np.arange(n) < 2
    mass = p[subset].sum()
    inner = p[subset] @ d[subset].min(axis=1) / mass
    outer = (p[subset] @ d[subset]).min() / mass
    rules = (
        ratedist.mean_distortion(p, low + depth * (high - low)),
        ratedist.subset_mean(p, subset, inner + 1.2 * rng.random() * (outer - inner)),
        ratedist.per_symbol(3, n, d[3].min() + rng.random() * np.ptp(d[3])),
    )
    point = SMALL(p, d, rules)
    # At the largest useful distortion R(D) has a corner, where several prices are right.
    assert bool(point.converged) or (depth == 1.0 and np.isnan(point.nu).any()), point
    assert float(point.gap_bits) <= TOL
    q = np.asarray(ratedist.encoder(p, d, point))
    np.testing.assert_allclose(q.sum(axis=1), 1.0, atol=1e-12)
    out = p @ q
    ratio = np.where(q > 0, q / np.where(out > 0, out, 1.0)[None, :], 1.0)
    rate = float((p[:, None] * q * np.log2(ratio)).sum())
    assert rate == pytest.approx(float(point.rate_ub), abs=1e-9)
    for rule, reached in zip(rules, np.asarray(point.distortion), strict=True):
        paid = float((np.asarray(rule.weights)[:, None] * q * d).sum())
        assert paid == pytest.approx(reached, rel=1e-9, abs=1e-12)
        assert paid <= float(rule.level) * (1 + 1e-12) + 1e-300
    bound = ratedist.certificate(p, d, rules, point.dual, point.q)
    assert bound == pytest.approx(float(point.rate_lb), abs=1e-9) or point.rate_lb == 0
