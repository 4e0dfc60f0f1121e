"""The classical algorithm: right where it converges, no better than Newton where not."""

from __future__ import annotations

import numpy as np
import pytest

from ratedist import sources
from tests.ratedist.padded import blahut_arimoto, solve_slope


@pytest.mark.parametrize("price", [0.5, 2.0, 8.0])
def test_agrees_with_newton_on_a_coarse_codebook(price):
    source = sources.gaussian_2d(11)
    code = np.array([(a, b) for a in (-2, -0.7, 0.7, 2) for b in (-2, -0.7, 0.7, 2)])
    d = sources.squared_error(source.points, code)
    classical = blahut_arimoto(source.p, d, price)
    newton = solve_slope(source.p, d, price)
    assert bool(classical.converged)
    assert classical.rate_ub == pytest.approx(float(newton.rate_ub), abs=1e-5)
    lagrangian = [float(r.rate_ub + price * r.distortion[0]) for r in (classical, newton)]
    assert lagrangian[0] == pytest.approx(lagrangian[1], abs=2e-6)


def test_a_dense_codebook_leaves_its_certificate_open():
    """Value early, certificate late: the reason for the interior point."""
    source = sources.gaussian(64)
    d = sources.squared_error(source.points, source.points)
    price = 1.0 / np.log(2)
    slow = blahut_arimoto(source.p, d, price, max_iterations=100)
    newton = solve_slope(source.p, d, price)
    assert not bool(slow.converged)
    assert float(slow.gap_bits) > 1e-4
    assert bool(newton.converged)
    assert int(newton.iterations) < 30
    excess = (slow.rate_ub + price * slow.distortion[0]) - (
        newton.rate_ub + price * newton.distortion[0]
    )
    assert -1e-6 < float(excess) < 0.5 * float(slow.gap_bits)


def test_bounds_hold_at_every_iteration():
    source = sources.trimodal()
    d = sources.squared_error(source.points, source.points)
    optimum = solve_slope(source.p, d, 1.5, tol_bits=1e-9)
    best = float(optimum.rate_ub + 1.5 * optimum.distortion[0])
    for steps in (1, 2, 5, 20):
        point = blahut_arimoto(source.p, d, 1.5, max_iterations=steps)
        paid = 1.5 * float(point.distortion[0])
        assert float(point.rate_lb) + paid <= best + 1e-9 <= float(point.rate_ub) + paid + 2e-9
