"""R(D) in one call: every kind of argument, bad values, derivatives, and what it costs to call."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ratedist
from fewbits.coding.units import binary_entropy_bits, entropy_bits
from ratedist import closed_forms
from ratedist.solvers import solve

P = np.array([0.5, 0.3, 0.2])
HAMMING = 1.0 - np.eye(3)
EXACT = float(entropy_bits(P) - binary_entropy_bits(0.1) - 0.1)
"""R(0.1) = H(P) - h(D) - D log2 2."""

NAN = np.where(np.eye(3) > 0, np.nan, 1.0)
BAD = [
    pytest.param(2 * P, HAMMING, 0.1, "sum to 2", id="mass 2"),
    pytest.param(-P, HAMMING, 0.1, "negative", id="negative mass"),
    pytest.param(np.array([np.nan, 0.5, 0.5]), HAMMING, 0.1, "nan", id="mass NaN"),
    pytest.param(P, NAN, 0.1, "3 distortions are NaN", id="distortion NaN"),
    pytest.param(P, np.where(np.eye(3) > 0, -np.inf, 1.0), 0.1, "-inf", id="distortion -inf"),
    pytest.param(P, np.where(np.arange(3) == 0, np.inf, [[1.0]] * 3).T, 0.1, "letter 0", id="row"),
    pytest.param(P, HAMMING, np.nan, "level nan", id="level NaN"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [list, np.asarray, jnp.asarray, np.float32, lambda x: np.asarray(x, object).astype(float)],
)
def test_lists_numpy_and_jax(kind):
    p, d = kind(P.tolist()), kind(HAMMING.tolist())
    assert float(ratedist.rate(p, d, 0.1)) == pytest.approx(EXACT, abs=1e-6)
    point = ratedist.rate_point(p, d, kind([0.1])[0])
    assert bool(point.converged)
    assert point.rate_lb <= EXACT + 1e-6
    assert float(ratedist.solve_fixed(p, d, 0.1).rate_ub) == pytest.approx(EXACT, abs=1e-6)
    held = ratedist.compiled(lambda p, d, D: ratedist.solve_fixed(p, d, D).rate_ub)
    assert float(held(p, d, 0.1)) == pytest.approx(EXACT, abs=1e-6)


def test_only_differences_of_distortions_matter():
    shift = np.array([[-3.0], [2.0], [0.5]])
    shifted = ratedist.rate(P, HAMMING + shift, 0.1 + P @ shift[:, 0])
    assert float(shifted) == pytest.approx(EXACT, abs=1e-8)


@pytest.mark.parametrize(("p", "d", "level", "said"), BAD)
def test_bad_values_raise_in_every_call(p, d, level, said):
    rule = ratedist.Constraint(np.abs(P), level)
    for call in (
        lambda: ratedist.rate(p, d, level),
        lambda: ratedist.rate_point(p, d, level),
        lambda: ratedist.solve_fixed(p, d, rule),
        lambda: ratedist.compiled(ratedist.solve_fixed)(p, d, rule),
        lambda: ratedist.curve(p, d, [level]),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)
    if np.isfinite(level):
        for call in (
            lambda: ratedist.solve_slope(p, d, 1.0),
            lambda: ratedist.sweep(p, d, [1.0]),
            lambda: ratedist.blahut_arimoto(p, d, 1.0),
            lambda: ratedist.certificate(p, d, rule, [1.0], [0.3, 0.3, 0.4]),
        ):
            with pytest.raises(ValueError, match=said):
                call()


@pytest.fixture(scope="module")
def traced():
    return ratedist.compiled(
        lambda p, d, D: (ratedist.solve_fixed(p, d, D), ratedist.rate(p, d, D))
    )


@pytest.mark.parametrize(("p", "d", "level", "said"), BAD)
def test_bad_values_inside_a_program_give_nan(traced, p, d, level, said):
    del said
    point, rate = traced(p, d, level)
    assert np.isnan([point.rate_lb, point.rate_ub, point.gap_bits, *point.nu, rate]).all()
    assert not bool(point.converged)
    good, value = traced(P, HAMMING, 0.1)
    assert bool(good.converged)
    assert float(value) == pytest.approx(EXACT, abs=1e-8)


def test_bad_prices_and_weights_inside_a_program():
    slope = ratedist.compiled(lambda s: ratedist.solve_slope(P, HAMMING, s))
    for s in (-1.0, np.nan):
        point = slope(s)
        assert np.isnan(point.rate_ub)
        assert not bool(point.converged)
    weights = ratedist.compiled(
        lambda w: ratedist.solve_fixed(P, HAMMING, ratedist.Constraint(w, 0.1))
    )
    assert bool(weights(P).converged)
    point = weights(np.array([0.5, -0.1, 0.2]))
    assert np.isnan(point.rate_ub)
    assert not bool(point.converged)


def test_a_level_out_of_reach():
    with pytest.raises(ValueError, match="the smallest is 0"):
        ratedist.rate(P, HAMMING, -0.1)
    with pytest.raises(ValueError, match="constraint 1: no encoder"):
        ratedist.rate_point(
            P, HAMMING + 1.0, [ratedist.mean_distortion(P, 1.5), ratedist.per_symbol(0, 3, 0.9)]
        )
    assert bool(ratedist.solve_fixed(P, HAMMING, -0.1).infeasible[0])


def test_single_precision_probabilities():
    """Draws of `jax.random.dirichlet` sum to one up to 1e-7."""
    d = 1.0 - np.eye(40)
    for seed in range(5):
        p = jax.random.dirichlet(jax.random.key(seed), jnp.ones(40))
        assert p.dtype == jnp.float32
        wide = np.asarray(p, np.float64)
        rate = ratedist.rate(p, d, 0.1)
        assert float(rate) == pytest.approx(float(ratedist.rate(wide / wide.sum(), d, 0.1)))
        with pytest.raises(ValueError, match="sum to"):
            ratedist.rate(1.001 * p, d, 0.1)


def test_known_values_compile_nothing():
    """A call is a matter of milliseconds from the first one on."""
    programs = solve._at_levels._cache_size(), solve._at_slope._cache_size()
    for size in (2, 3, 5, 70):
        p, d = np.full(size, 1 / size), 1.0 - np.eye(size)
        ratedist.rate(p, d, 0.1)
        ratedist.solve_slope(p, d, 1.0)
        ratedist.rate_point(p.tolist(), d.astype(int), 0.2)
    assert (solve._at_levels._cache_size(), solve._at_slope._cache_size()) == programs


@pytest.mark.slow
def test_small_shapes_share_a_program():
    rate = ratedist.compiled(ratedist.rate)
    rate(P, HAMMING, 0.1)
    programs = solve._at_levels._cache_size()
    for size in (2, 3, 5):
        p, d = np.full(size, 1 / size), 1.0 - np.eye(size)
        assert float(rate(p, d, 0.1)) == pytest.approx(float(ratedist.rate(p, d, 0.1)), abs=1e-8)
    assert solve._at_levels._cache_size() == programs


def test_results_are_of_the_kind_that_the_flag_says():
    assert type(ratedist.rate_point(P, HAMMING, 0.1).q) is np.ndarray
    with jax.enable_x64(True):
        assert isinstance(ratedist.rate_point(P, HAMMING, 0.1).q, jax.Array)


@pytest.mark.slow
def test_derivatives_against_differences():
    """First and second, in every argument; probabilities change along the simplex."""
    rng = np.random.default_rng(1)
    p, d, level = rng.dirichlet(np.ones(4)), rng.random((4, 4)) + 0.3, 0.08
    np.fill_diagonal(d, 0.0)
    step = rng.normal(size=4)
    directions = (0.1 * (step - step.mean()), rng.normal(size=(4, 4)), 1.0)
    gradient = ratedist.compiled(jax.grad(ratedist.rate, argnums=(0, 1, 2)))
    hessian = ratedist.compiled(jax.hessian(ratedist.rate, argnums=(0, 1, 2)))(p, d, level)
    forward = ratedist.compiled(jax.jacfwd(ratedist.rate, argnums=(0, 1, 2)))(p, d, level)
    for one, other in zip(forward, gradient(p, d, level), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)

    def difference(f, h):
        return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)

    def moved(k, h):
        values = [p, d, level]
        values[k] = values[k] + h * directions[k]
        return values

    def along(k, gradients):
        return float(np.sum(np.asarray(gradients[k]) * directions[k]))

    for k in range(3):
        slope = difference(lambda h, k=k: float(ratedist.rate(*moved(k, h))), 1e-3)
        assert along(k, gradient(p, d, level)) == pytest.approx(slope, abs=1e-5)
        for j in range(3):
            row = difference(lambda h, k=k, j=j: along(j, gradient(*moved(k, h))), 1e-3)
            axes = np.ndim(directions[k])
            block = np.asarray(hessian[j][k])
            block = np.tensordot(block, directions[k], axes) if axes else block
            assert float(np.sum(block * directions[j])) == pytest.approx(row, rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_derivatives_with_64_bits_off():
    slope = jax.jit(jax.grad(ratedist.rate, argnums=2))(P, HAMMING, 0.1)
    assert slope.dtype == jnp.float32
    assert float(slope) == pytest.approx(-np.log2(9.0) - 1.0, rel=1e-5)
    slopes = jax.vmap(jax.grad(ratedist.rate, argnums=2), in_axes=(None, None, 0))(
        P, HAMMING, jnp.array([0.05, 0.1])
    )
    assert float(slopes[1]) == pytest.approx(float(slope), rel=1e-6)


def test_one_bit():
    assert float(ratedist.rate([0.5, 0.5], 1.0 - np.eye(2), 0.0)) == pytest.approx(1.0, abs=1e-9)
    assert float(ratedist.rate([1.0], [[0.0]], 0.0)) == pytest.approx(0.0, abs=1e-12)
    exact = closed_forms.bernoulli_hamming(0.3, 0.1)
    assert float(ratedist.rate([0.3, 0.7], 1.0 - np.eye(2), 0.1)) == pytest.approx(exact, abs=1e-9)


@pytest.mark.slow
def test_the_slope_on_a_fine_grid_is_the_price():
    points = np.linspace(-4, 4, 65)
    p = np.exp(-(points**2) / 2) / np.exp(-(points**2) / 2).sum()
    d = (points[:, None] - points) ** 2
    slope = ratedist.compiled(jax.grad(ratedist.rate, argnums=2))(p, d, 0.25)
    price = ratedist.rate_point(p, d, 0.25).nu[0]
    assert float(slope) == pytest.approx(-float(price), rel=1e-5)
