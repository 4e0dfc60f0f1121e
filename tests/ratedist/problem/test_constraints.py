"""Mixed fidelity: prices, what is infeasible or vacuous, and what a user may get wrong."""

from __future__ import annotations

import numpy as np
import pytest
from jax.typing import ArrayLike

import ratedist
from ratedist import sources
from tests.ratedist.padded import solve_fixed

GRID = sources.gaussian(50)
TABLE = sources.squared_error(GRID.points, np.linspace(-3, 3, 8))
NEAR = np.abs(GRID.points[:, 0]) < 0.1


def rules(kind, level):
    mean = ratedist.mean_distortion(GRID.p, level)
    if kind == "global":
        return (mean,)
    if kind == "subset_sum":
        return mean, ratedist.subset_sum(GRID.p, NEAR, 0.015)
    return mean, *(ratedist.per_symbol(int(i), 50, 0.2) for i in np.flatnonzero(NEAR))


@pytest.mark.parametrize(
    ("level", "kind", "rate", "prices"),
    [
        (0.5, "global", 0.4827261, [1.4389]),
        (0.5, "subset_sum", 0.5175147, [1.4383, 19.721]),
        (0.5, "per_symbol", 0.4861057, [1.4452, 0.0687, 0.0687]),
        (1.0, "subset_sum", 0.0574555, [0.3281, 20.83]),
        (2.0, "subset_sum", 0.0319927, [0.0, 21.16]),
    ],
)
def test_dual_table(level, kind, rate, prices):
    """Rates and prices of the fidelity experiment, also computed with another solver."""
    point = solve_fixed(GRID.p, TABLE, rules(kind, level))
    assert bool(point.converged)
    assert point.rate_lb == pytest.approx(rate, abs=5e-7)
    np.testing.assert_allclose(point.nu, prices, rtol=2e-4, atol=5e-5)
    assert list(np.asarray(point.vacuous)) == [price == 0.0 for price in prices]


def test_prices_are_derivatives():
    """dR/dD_g = -nu_g for each of two binding constraints."""

    def rate(mean, inner):
        mixed = ratedist.mean_distortion(GRID.p, mean), ratedist.subset_mean(GRID.p, NEAR, inner)
        return solve_fixed(GRID.p, TABLE, mixed, tol_bits=1e-9)

    point, step = rate(0.5, 0.17), 1e-4
    by_mean = (rate(0.5 - step, 0.17).rate_ub - rate(0.5 + step, 0.17).rate_ub) / (2 * step)
    by_inner = (rate(0.5, 0.17 - step).rate_ub - rate(0.5, 0.17 + step).rate_ub) / (2 * step)
    np.testing.assert_allclose([by_mean, by_inner], point.nu, rtol=1e-3)


def test_subset_sum_is_subset_mean_times_mass():
    mass = GRID.p[NEAR].sum()
    one = solve_fixed(GRID.p, TABLE, ratedist.subset_sum(GRID.p, NEAR, 0.015))
    two = solve_fixed(GRID.p, TABLE, ratedist.subset_mean(GRID.p, NEAR, 0.015 / mass))
    assert one.rate_ub == pytest.approx(float(two.rate_ub), abs=2e-6)
    assert one.nu[0] * mass == pytest.approx(float(two.nu[0]), rel=1e-3)


def test_a_vacuous_constraint_is_named():
    """D' = D on an unnormalised subset sum is implied by the global constraint."""
    source = sources.trimodal()
    d = sources.squared_error(source.points, source.points)
    subset = np.abs(source.points[:, 0]) < 1
    both = ratedist.mean_distortion(source.p, 0.6), ratedist.subset_sum(source.p, subset, 0.6)
    point = solve_fixed(source.p, d, both)
    assert list(np.asarray(point.vacuous)) == [False, True]
    assert point.rate_ub == pytest.approx(
        float(solve_fixed(source.p, d, both[:1]).rate_ub), abs=2e-6
    )


def test_infeasible_levels_are_named():
    """The smallest distortion of the two middle letters is .1349."""
    near = [int(i) for i in np.flatnonzero(NEAR)]
    mixed = ratedist.mean_distortion(GRID.p, 0.5), ratedist.per_symbol(near[0], 50, 0.05)
    point = solve_fixed(GRID.p, TABLE, mixed)
    assert list(np.asarray(point.infeasible)) == [False, True]
    assert not bool(point.converged)
    assert np.isinf(point.rate_lb)
    assert np.isinf(point.gap_bits)
    assert point.distortion[1] == pytest.approx(0.1349, abs=1e-4)


def test_the_smallest_reachable_level_has_an_infinite_price():
    p = np.array([0.2, 0.3, 0.5])
    d = np.array([[0.0, 1.0], [0.3, 1.0], [1.0, 0.0]])
    level = p @ d.min(axis=1)
    point = solve_fixed(p, d, ratedist.mean_distortion(p, level))
    assert bool(point.converged)
    assert np.isinf(point.nu[0])
    assert point.rate_ub == pytest.approx(1.0, abs=1e-6)
    assert ratedist.certificate(
        p, d, ratedist.mean_distortion(p, level), point.nu, point.q
    ) == pytest.approx(1.0, abs=1e-6)
    above = solve_fixed(p, d, ratedist.mean_distortion(p, level * (1 + 1e-7)))
    assert bool(above.converged)
    assert above.rate_ub == pytest.approx(1.0, abs=1e-5)


def test_degenerate_problems_have_degenerate_answers():
    certain = np.ones(1)
    one_letter = solve_fixed(certain, [[0.4, 2.0]], ratedist.mean_distortion(certain, 0.5))
    assert one_letter.rate_ub <= 1e-6
    one_codeword = solve_fixed(GRID.p, TABLE[:, :1], ratedist.mean_distortion(GRID.p, 50.0))
    assert one_codeword.rate_ub <= 1e-6
    twice = np.concatenate([TABLE, TABLE], axis=1)
    rule = ratedist.mean_distortion(GRID.p, 0.5)
    doubled = solve_fixed(GRID.p, twice, rule)
    assert bool(doubled.converged)
    assert doubled.rate_ub == pytest.approx(
        float(solve_fixed(GRID.p, TABLE, rule).rate_ub), abs=2e-6
    )
    padded = solve_fixed(
        np.append(GRID.p, 0.0),
        np.concatenate([TABLE, np.full((1, 8), 7.0)]),
        ratedist.mean_distortion(np.append(GRID.p, 0.0), 0.5),
    )
    assert padded.rate_ub == pytest.approx(float(doubled.rate_ub), abs=2e-6)


def mean(p: ArrayLike = GRID.p, level: ArrayLike = 0.5):
    return ratedist.mean_distortion(p, level)


NAN_TABLE = np.where(np.arange(400).reshape(50, 8) == 77, np.nan, TABLE)
STRANDED = np.where(np.arange(50)[:, None] == 4, np.inf, TABLE)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ratedist.solve_fixed(-GRID.p, TABLE, mean()), "negative"),
        (lambda: ratedist.solve_fixed(2 * GRID.p, TABLE, mean()), "sum to 2"),
        (lambda: ratedist.solve_fixed(GRID.p * np.nan, TABLE, mean()), "nan"),
        (lambda: ratedist.solve_fixed(GRID.p, NAN_TABLE, mean()), "1 distortions are NaN"),
        (lambda: ratedist.solve_fixed(GRID.p, TABLE - np.inf, mean()), "400 distortions are -inf"),
        (lambda: ratedist.solve_fixed(GRID.p, STRANDED, mean()), "letter 4"),
        (lambda: ratedist.solve_fixed(GRID.p[:7], TABLE, mean()), r"\(7,\)"),
        (lambda: ratedist.solve_fixed(GRID.p, TABLE[:, :0], mean()), "empty"),
        (lambda: ratedist.solve_fixed(GRID.p, TABLE, ()), "no constraint"),
        (lambda: ratedist.solve_fixed(GRID.p, TABLE, mean(GRID.p[:7])), "7 letters"),
        (lambda: ratedist.solve_fixed(GRID.p, TABLE, mean(), tol_bits=0.0), "tolerance 0.0"),
        (lambda: ratedist.solve_fixed(GRID.p, TABLE, mean(), mask=np.zeros(8, bool)), "masked"),
        (lambda: ratedist.solve_fixed(GRID.p, TABLE, mean(), mask=np.ones(7, bool)), r"\(7,\)"),
        (lambda: ratedist.solve_slope(GRID.p, TABLE, -1.0), "-1.0"),
        (lambda: ratedist.solve_slope(GRID.p, TABLE, np.ones(3)), r"\(3,\)"),
        (lambda: ratedist.sweep(GRID.p, TABLE, np.array([1.0, np.nan])), "nan"),
        (lambda: ratedist.solve_fixed(GRID.p, TABLE, "0.1"), "give a mean distortion"),
        (lambda: ratedist.rate(GRID.p, TABLE, -0.1), "the smallest is 0.0"),
        (lambda: mean(level=np.nan), "nan"),
        (lambda: mean(level=np.ones(2)), r"\(2,\)"),
        (lambda: ratedist.per_symbol(50, 50, 0.1), "letter 50"),
        (lambda: ratedist.subset_sum(GRID.p, np.zeros(50, bool), 0.1), "empty"),
        (lambda: ratedist.subset_mean(GRID.p, NEAR[:3], 0.1), r"\(3,\)"),
        (
            lambda: ratedist.solve_fixed(
                np.array([0.0, 1.0]), 1.0 - np.eye(2), ratedist.per_symbol(0, 2, 0.1)
            ),
            "letter 0",
        ),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()
