"""Two independent solvers agree, and the lower bound never exceeds the reference optimum."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import ratedist
from ratedist import sources
from ratedist.solvers.convex import solve_convex
from tests.ratedist.padded import solve_fixed

GRID = sources.gaussian(50)
TABLE = sources.squared_error(GRID.points, np.linspace(-3, 3, 8))
NEAR = np.abs(GRID.points[:, 0]) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    "rules",
    [
        (ratedist.mean_distortion(GRID.p, 0.5),),
        (
            ratedist.mean_distortion(GRID.p, 0.5),
            ratedist.subset_sum(GRID.p, NEAR, 0.015),
        ),
        (
            ratedist.mean_distortion(GRID.p, 0.7),
            ratedist.subset_mean(GRID.p, NEAR, 0.2),
            ratedist.per_symbol(3, 50, 0.4),
        ),
        (ratedist.mean_distortion(GRID.p, 2.0),),
    ],
)
def test_agrees_with_the_interior_point(rules):
    ours = solve_fixed(GRID.p, TABLE, rules)
    # A gap of 1e-9 is below what rounding allows Clarabel on some processors.
    theirs = solve_convex(GRID.p, TABLE, rules, tolerance=5e-9)
    assert theirs.status == "optimal"
    assert ours.rate_lb <= theirs.rate_bits + 1e-6
    assert ours.rate_ub == pytest.approx(theirs.rate_bits, abs=2e-6)
    np.testing.assert_allclose(theirs.nu, ours.nu, rtol=1e-3, atol=1e-3)
    if ours.rate_ub > 1e-3:
        # At rate zero many marginals are optimal.
        np.testing.assert_allclose(theirs.q, ours.q, atol=2e-3)
    # The reference solver's own prices and marginal, certified without trusting either solver.
    prices = np.maximum(theirs.nu, 0.0)
    bound = ratedist.certificate(GRID.p, TABLE, rules, prices, np.maximum(theirs.q, 1e-12))
    assert bound <= ours.rate_ub + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_random_tables(seed):
    rng = np.random.default_rng(seed)
    p, d = rng.dirichlet(np.ones(12)), rng.random((12, 9))
    low, high = p @ d.min(axis=1), (p @ d).min()
    rule = ratedist.mean_distortion(p, low + 0.3 * (high - low))
    ours, theirs = solve_fixed(p, d, rule), solve_convex(p, d, rule)
    assert ours.rate_lb <= theirs.rate_bits + 1e-6
    assert ours.rate_ub == pytest.approx(theirs.rate_bits, abs=2e-6)


def test_infeasible_is_a_status():
    rule = ratedist.mean_distortion(GRID.p, 0.01)
    theirs = solve_convex(GRID.p, TABLE, rule)
    assert theirs.status.startswith("infeasible")
    assert theirs.rate_bits == np.inf
    assert bool(solve_fixed(GRID.p, TABLE, rule).infeasible[0])


def test_infinite_distortion_is_refused():
    with pytest.raises(ValueError, match="1 distortions"):
        solve_convex([1.0], [[np.inf, 1.0]], ratedist.mean_distortion(np.ones(1), 1.0))


def test_the_room_opens_without_the_convex_solver():
    found = "import sys, ratedist; print('cvxpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
