"""Double precision inside, whatever the global flag; and no work repeated under jit."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import ratedist
from ratedist import sources

SOURCE = sources.gaussian(16)
TABLE = sources.squared_error(SOURCE.points, SOURCE.points)


@pytest.mark.slow
def test_double_precision_without_the_global_flag():
    """Plain jit rounds its arguments first: it answers another problem, slightly."""
    before = jax.config.read("jax_enable_x64")
    eager = ratedist.solve_slope(SOURCE.p, TABLE, 2.0)
    fine = ratedist.compiled(ratedist.solve_slope)(SOURCE.p, TABLE, 2.0)
    rounded = jax.jit(ratedist.solve_slope)(SOURCE.p, TABLE, 2.0)
    assert jax.config.read("jax_enable_x64") == before
    assert {leaf.q.dtype for leaf in (eager, fine, rounded)} == {np.dtype(np.float64)}
    np.testing.assert_allclose(fine.q, eager.q, atol=1e-12)
    assert 1e-12 < abs(float(rounded.rate_ub) - float(fine.rate_ub)) < 1e-5


def test_one_trace_for_all_values_and_masks():
    traces = []

    def counted(p, d, level, mask):
        traces.append(1)
        return ratedist.solve_fixed(p, d, ratedist.mean_distortion(p, level), mask=mask)

    solve = ratedist.compiled(counted)
    for level, drop in ((0.3, 0), (0.5, 4), (0.9, 7)):
        solve(SOURCE.p, TABLE, level, np.arange(16) != drop)
    assert len(traces) == 1


def test_vmap_over_levels():
    levels = np.array([0.2, 0.4, 0.8])
    solve = ratedist.compiled(
        jax.vmap(
            lambda level: ratedist.solve_fixed(
                SOURCE.p, TABLE, ratedist.mean_distortion(SOURCE.p, level)
            )
        )
    )
    points = solve(levels)
    assert np.asarray(points.converged).all()
    rates = np.asarray(points.rate_ub)
    assert (np.diff(rates) < 0).all()
    # Convex in D: the middle point lies under the chord.
    weight = (levels[2] - levels[1]) / (levels[2] - levels[0])
    assert rates[1] <= weight * rates[0] + (1 - weight) * rates[2]
