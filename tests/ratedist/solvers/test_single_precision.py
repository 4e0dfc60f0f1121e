"""Programs in single precision: certified on the host, differentiable, lowered without float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ratedist
from ratedist import sources


def problems(rng):
    """64 x 64: a Gaussian, scattered numbers, random tables."""
    grid = sources.gaussian(64)
    yield grid.p, sources.squared_error(grid.points, grid.points), 1.0
    x = np.sort(rng.normal(size=64))
    yield rng.dirichlet(np.full(64, 0.3)), np.subtract.outer(x, x) ** 2, 5.0
    yield rng.dirichlet(np.ones(64)), rng.random((64, 64)), 10.0


@pytest.mark.slow
def test_the_gap_that_the_host_computes():
    rng = np.random.default_rng(0)
    for p, d, scale in problems(rng):
        slopes = scale * np.geomspace(0.3, 10, 6)
        points = ratedist.sweep(p, d, slopes, precision="single", tol_bits=1e-5)
        assert points.converged.all()
        assert points.rate_lb.dtype == np.float64
        for i, s in enumerate(slopes):
            rule = ratedist.mean_distortion(p, points.distortion[i, 0])
            bound = ratedist.certificate(p, d, rule, [s], points.q[i])
            assert bound == pytest.approx(points.rate_lb[i], abs=1e-9)
            exact = ratedist.rate(p, d, points.distortion[i, 0])
            assert points.rate_lb[i] - 1e-9 <= float(exact) <= points.rate_ub[i] + 1e-9
    with pytest.raises(ValueError, match="'half': 'double' or 'single'"):
        ratedist.sweep(p, d, slopes, precision="half")
    with pytest.raises(ValueError, match="known values"):
        jax.jit(lambda s: ratedist.sweep(p, d, s, precision="single"))(slopes)


@pytest.mark.slow
def test_rates_prices_and_derivatives():
    """Against double precision, near 1e-5; and no float64 in what a compiler gets."""
    rng = np.random.default_rng(1)
    p, d = rng.dirichlet(np.full(8, 5.0)), rng.random((8, 8)) + 0.3
    np.fill_diagonal(d, 0.0)
    narrow = np.float32(p), np.float32(d), np.float32(0.1)
    with ratedist.single_precision():
        both = jax.jit(
            lambda *a: (
                ratedist.rate_point(*a),
                jax.value_and_grad(ratedist.rate, argnums=(0, 1, 2))(*a),
            )
        )
        point, (rate, gradient) = both(*narrow)
        text = both.lower(*narrow).as_text()
    assert "f64" not in text
    assert point.q.dtype == jnp.float32
    assert bool(point.converged)
    exact = ratedist.rate_point(p, d, 0.1)
    assert float(rate) == pytest.approx(float(exact.rate_ub), abs=1e-5)
    assert float(point.nu[0]) == pytest.approx(float(exact.nu[0]), rel=1e-4)
    bound = ratedist.certificate(p, d, ratedist.mean_distortion(p, 0.1), point.dual, point.q)
    assert float(exact.rate_ub) - 1e-5 <= bound <= float(exact.rate_ub)
    # By the envelope theorem, nu p_x Q(j|x) and -nu.
    letter = ratedist.encoder(p, d, exact)
    np.testing.assert_allclose(gradient[1], exact.nu[0] * p[:, None] * letter, atol=1e-5)
    assert float(gradient[2]) == pytest.approx(-float(exact.nu[0]), rel=1e-4)
    step = 1e-3 * (p - p.mean()) / np.abs(p - p.mean()).max()
    change = float(ratedist.rate(p + step, d, 0.1) - ratedist.rate(p - step, d, 0.1)) / 2
    assert float(gradient[0] @ step) == pytest.approx(change, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_lowered_for_accelerators(platform):
    """Sweep, gradient and refinement, from a machine that has neither."""

    def shape(*sizes):
        return jax.ShapeDtypeStruct(sizes, jnp.float32)

    with ratedist.single_precision():
        for function, arguments in [
            (
                jax.vmap(ratedist.solve_slope, (None, None, 0)),
                (shape(64), shape(64, 64), shape(4)),
            ),
            (jax.grad(ratedist.rate, argnums=(0, 1, 2)), (shape(64), shape(64, 64), shape())),
            (
                lambda *a: ratedist.refine_codebook(*a, steps=2, gradient="implicit"),
                (shape(64), shape(64, 2), shape(8, 2), shape()),
            ),
        ]:
            exported = jax.export.export(jax.jit(function), platforms=[platform])(*arguments)
            assert "f64" not in exported.mlir_module()
