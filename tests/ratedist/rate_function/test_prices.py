"""Prices where they are hard: close to the smallest distortion, and where several are right."""

from __future__ import annotations

import numpy as np
import pytest

import ratedist
from ratedist.rate_function import implicit

P = np.array([0.5, 0.2, 0.1, 0.1, 0.06, 0.04])
HAMMING = 1.0 - np.eye(6)


@pytest.mark.parametrize("level", [1e-12, 1e-9, 1e-6, 1e-3, 0.1])
def test_hamming_distortion(level):
    """R(D) = H(P) - h(D) - D log2 5 up to D = 5 min P; its slope is log2 D / (1 - D) - log2 5."""
    point = ratedist.solve_fixed(P, HAMMING, level)
    exact = np.log2((1 - level) / level) + np.log2(5)
    assert bool(point.converged)
    assert not bool(point.vacuous[0])
    assert float(point.nu[0]) == pytest.approx(exact, rel=1e-6)


def _constructed(rng, squared):
    """A source for which a chosen (q, nu) is optimal, to the last digits, and its distortion.

    With K = exp(-nu d) and r the solution of K^T r = 1, if r > 0, the conditions c_j = 1 hold for
    p = r * K q, and D is a sum of positive terms.
    """
    m = 6
    if squared:
        x = np.sort(rng.normal(size=m))
        d = (x[:, None] - x) ** 2
    else:
        d = rng.uniform(0.05, 1.0, size=(m, m)) * rng.choice([0.1, 1.0, 10.0])
        np.fill_diagonal(d, 0.0)
    q = rng.dirichlet(np.full(m, rng.choice([0.5, 5.0])))
    target = 10.0 ** rng.uniform(-12, -3) * np.median(d)
    low, high = 0.0, 1e6
    for _ in range(200):
        nu = 0.5 * (low + high)
        small = q @ (np.exp(-nu * d) * d @ q) < target
        low, high = (low, nu) if small else (nu, high)
    kernel = np.exp(-nu * d)
    r = np.linalg.solve(kernel.T, np.ones(m))
    if not (r > 1e-3).all() or nu > 9e5:
        return None
    return r * (kernel @ q), d, r @ (kernel * d) @ q, nu / np.log(2)


def test_random_sources_close_to_the_smallest_distortion():
    rng = np.random.default_rng(0)
    errors = []
    while len(errors) < 200:
        made = _constructed(rng, len(errors) % 2)
        if made is None:
            continue
        p, d, level, exact = made
        point = ratedist.solve_fixed(p, d, level)
        if bool(point.converged):
            errors.append(abs(float(point.nu[0]) / exact - 1))
        else:
            # Declared undetermined: no number rather than a wrong one.
            assert np.isnan(point.nu[0])
            errors.append(0.0)
    assert max(errors) < 1e-4
    assert np.median(errors) < 1e-6


def test_a_subset_at_almost_nothing_is_not_vacuous():
    x = np.arange(8.0)
    p, d = np.full(8, 1 / 8), (x[:, None] - x) ** 2
    mean, subset = ratedist.mean_distortion(p, 1.0), ratedist.subset_mean(p, x < 2, 1e-8)
    both = ratedist.solve_fixed(p, d, (mean, subset))
    alone = ratedist.solve_fixed(p, d, mean)
    assert bool(both.converged)
    assert both.vacuous.tolist() == [False, False]
    assert float(both.rate_ub) == pytest.approx(1.30363, abs=1e-5)
    assert float(alone.rate_ub) == pytest.approx(1.04671, abs=1e-5)
    # The price is what is left of the rate when the level is doubled.
    levels = 1e-8 * np.array([0.9, 1.1])
    rates = [
        float(
            ratedist.solve_fixed(
                p, d, (mean, ratedist.subset_mean(p, x < 2, level)), tol_bits=1e-12
            ).rate_ub
        )
        for level in levels
    ]
    slope = (rates[0] - rates[1]) / (levels[1] - levels[0])
    assert float(both.nu[1]) == pytest.approx(slope, rel=1e-2)


@pytest.mark.slow
def test_the_derivative_of_a_price_close_to_the_smallest_distortion():
    def price(level):
        return implicit.optimum(P, HAMMING, ratedist.mean_distortion(P, level)).nu[0]

    import jax

    level = 1e-9
    value, slope = ratedist.compiled(jax.value_and_grad(price))(level)
    assert float(value) == pytest.approx(np.log2(1 / level) + np.log2(5), rel=1e-6)
    assert float(slope) == pytest.approx(-1 / (level * np.log(2)), rel=1e-5)


def test_the_dual_variables_always_certify():
    """Below what double precision resolves: no price, but bounds that a certificate proves."""
    point = ratedist.solve_fixed(P, HAMMING, 1e-14)
    if not bool(point.converged):
        assert np.isnan(point.nu[0])
    rule = ratedist.mean_distortion(P, 1e-14)
    bound = ratedist.certificate(P, HAMMING, rule, point.dual, point.q)
    entropy = -(P @ np.log2(P))
    assert bound == pytest.approx(float(point.rate_lb), abs=1e-9)
    assert entropy - 1e-6 <= bound <= entropy
