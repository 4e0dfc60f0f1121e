"""Faults that were found by use, and must not come back."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pruning
from fewbits.training import gradient_descent
from pruning.controls import gradual_magnitude, hard_concrete
from pruning.minimax import pmmp, pmmp_admm, pmmp_curvature
from pruning.penalties import drr, relaxed_lasso
from pruning.procedures import thresholding

METHODS = {
    "drr": (drr.build, drr.DrrConfig()),
    "drr_proximal": (drr.build, drr.DrrConfig(update="proximal")),
    "rl1": (relaxed_lasso.build, relaxed_lasso.Rl1Config()),
    "pmmp": (pmmp.build, pmmp.PmmpConfig()),
    "pmmp_curvature": (pmmp_curvature.build, pmmp_curvature.PmmpCurvatureConfig()),
    "pmmp_admm": (pmmp_admm.build, pmmp_admm.PmmpAdmmConfig()),
    "magnitude": (gradual_magnitude.build, gradual_magnitude.MagnitudeConfig()),
    "hard_concrete": (hard_concrete.build, hard_concrete.HardConcreteConfig()),
}


@pytest.mark.parametrize("name", METHODS)
def test_finite_has_looked_at_the_new_parameters(name):
    """A finite loss and gradient, and a step that overflows."""

    def loss(key, params, batch):
        del key, batch
        return jnp.sum(params), {}

    def overflowing(rate):
        del rate
        return optax.chain(optax.scale(-3e38), optax.scale(10.0))

    build, config = METHODS[name]
    method = build(config, loss, overflowing)
    state = method.init(jax.random.key(0), jnp.ones(3))
    state, info = jax.jit(method.step)(jax.random.key(1), state, jnp.zeros((2, 1)))
    assert np.isfinite(info.loss_nats)
    assert not info.finite


def test_drr_without_sharpness_is_no_penalty():
    v = jnp.array([-1.0, 0.0, 0.3])
    flat = drr.Hyperparameters(strength=2.0, sharpness=0.0)
    np.testing.assert_array_equal(drr.proximal(flat, jnp.float32(0.5), v), v)


@pytest.mark.parametrize("search", ["rank", "magnitude"])
def test_a_search_does_not_hide_a_weight_that_is_nan(search):
    params = {"w": jnp.array([1.0, jnp.nan, 0.1])}
    found_params, found = pruning.threshold_search(
        lambda p: jnp.sum(jnp.square(p["w"])), params, tolerance=0.5, search=search
    )
    assert jnp.isnan(found_params["w"][1])
    assert not found.within_limit


@pytest.mark.parametrize("search", ["rank", "magnitude"])
def test_a_search_prunes_under_a_negative_objective(search):
    weights = jnp.array([2.0, -1.0, 0.1, 0.01])

    def objective(params):
        return -10 + jnp.sum(jnp.square(params - weights))

    found_weights, found = pruning.threshold_search(
        objective, weights, tolerance=0.01, search=search
    )
    assert found_weights.tolist() == [2.0, -1.0, 0.0, 0.0]
    assert found.within_limit
    assert thresholding.tolerated(jnp.float32(2.0), 0.5) == 3.0


def test_hutchinson_samples_are_clipped_after_averaging():
    """A Hessian with a diagonal of 0.1 beside couplings of 1: samples are 0.1 plus and minus 1."""
    hessian = 0.1 * jnp.eye(2) + jnp.array([[0.0, 1.0], [1.0, 0.0]])

    def loss(key, params, batch):
        del key, batch
        return 0.5 * params @ hessian @ params, {}

    config = pmmp_curvature.PmmpCurvatureConfig(curvature="hessian", memory=0.01)
    method = pmmp_curvature.build(config, loss, lambda rate: optax.sgd(0.0))
    state, step = method.init(jax.random.key(0), jnp.zeros(2)), jax.jit(method.step)
    for number in range(600):
        state, info = step(jax.random.key(number), state, jnp.zeros((1, 1)))
    assert info.finite
    assert np.all(np.abs(state.curvature - 0.1) < 0.35)  # clipped samples have a mean of 0.55


def test_a_share_that_is_none_is_refused():
    data = (np.zeros((30, 2), np.float32), np.arange(30) % 2)
    with pytest.raises(ValueError, match=r"3\.0"):
        pruning.prune(
            lambda p, x: x @ p, jnp.eye(2), data, data, method="magnitude", strengths=(3.0,)
        )


@pytest.mark.parametrize(("mean", "n"), [(0.0, 20), (5.0, 20), (5.0, 7), (5.0, 1)])
def test_the_fisher_estimate_holds_away_from_a_stationary_point(mean, n):
    """Gradients of single examples with mean 5 and deviation 0.5: E g^2, not n times mean^2."""
    drawn = np.random.default_rng(0).normal(mean, 0.5, (n, 20_000))
    found = pmmp_curvature.fisher_sample(
        jnp.asarray(drawn.mean(axis=0)), jnp.asarray(drawn[: max(n // 2, 1)].mean(axis=0)), n
    )
    expected = mean**2 + 0.25
    assert abs(float(found.mean()) - expected) < 0.03 * expected


def test_plain_training_has_looked_at_the_new_parameters():
    """A finite loss and gradient, and a step that overflows."""

    def overflowing(rate):
        del rate
        return optax.chain(optax.scale(-3e38), optax.scale(10.0))

    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(),
        lambda key, p, batch: (jnp.sum(p), {}),
        overflowing,
    )
    state = method.init(jax.random.key(0), jnp.ones(2))
    state, info = jax.jit(method.step)(jax.random.key(0), state, jnp.ones((1, 1)))
    assert not np.isfinite(state.params).any()
    assert not info.finite
