"""Every method on the separable quadratic, where the l0 problem's solution is known."""

import jax.numpy as jnp
import optax
import pytest

from pruning import schedule
from pruning.controls import gradual_magnitude, hard_concrete
from pruning.minimax import pmmp, pmmp_admm, pmmp_curvature
from pruning.penalties import drr, relaxed_lasso
from tests.pruning import separable_quadratic as toy

ALPHA = toy.STRENGTH


def curvature(optimizer, learning_rate):
    hyperparameters = pmmp_curvature.Hyperparameters(learning_rate, ALPHA, 0.05, 0.05)
    config = pmmp_curvature.PmmpCurvatureConfig(
        hyperparameters, "hessian", anneal=schedule.CosineDecay(0, 2000)
    )
    return pmmp_curvature.build(config, toy.loss, optimizer)


def admm(balancing):
    hyperparameters = pmmp_admm.Hyperparameters(0.5, ALPHA, 1.0)
    config = pmmp_admm.PmmpAdmmConfig(hyperparameters, 5, balancing)
    return pmmp_admm.build(config, toy.loss, optax.sgd)


def test_the_optimum_is_known():
    best = jnp.where(0.5 * toy.target() ** 2 > ALPHA, toy.target(), 0.0)
    assert toy.n_kept(best) == toy.N_KEPT
    assert abs(toy.objective(best) - toy.OPTIMUM) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "steps"),
    [
        (curvature(optax.sgd, 0.3), 2000),
        (curvature(optax.adam, 0.01), 2000),
        (admm(balancing=False), 1000),
    ],
    ids=["curvature-sgd", "curvature-adam", "admm"],
)
def test_exact_methods_find_the_optimum(method, steps):
    params = toy.solve(method, steps)
    assert toy.n_kept(params) == toy.N_KEPT
    assert abs(toy.objective(params) - toy.OPTIMUM) < 1e-3


def test_magnitude_pruning_keeps_the_largest():
    """With the right number given, the largest weights are the solution of this problem."""
    hyperparameters = gradual_magnitude.Hyperparameters(0.1, toy.N_KEPT / 2000)
    config = gradual_magnitude.MagnitudeConfig(hyperparameters, schedule.Ramp(0, 500))
    params = toy.solve(gradual_magnitude.build(config, toy.loss, optax.sgd), 1000)
    assert toy.n_kept(params) == toy.N_KEPT
    assert abs(toy.objective(params) - toy.OPTIMUM) < 1e-3


def test_the_lasso_chooses_by_its_own_threshold():
    """Soft thresholds at sqrt(2 alpha) choose the same weights, and shrink each by that much."""
    threshold = (2 * ALPHA) ** 0.5
    config = relaxed_lasso.Rl1Config(relaxed_lasso.Hyperparameters(0.5, threshold), "proximal")
    params = toy.solve(relaxed_lasso.build(config, toy.loss, optax.sgd), 100)
    kept = params != 0
    assert toy.n_kept(params) == toy.N_KEPT
    shrunk = jnp.abs(toy.target()) - threshold
    assert jnp.allclose(jnp.abs(params)[kept], shrunk[kept], atol=1e-5)


def test_sharp_drr_is_close():
    """The relaxation misses the optimum by what 1 - exp(-beta |theta|) misses of the l0 norm."""
    config = drr.DrrConfig(drr.Hyperparameters(0.5, ALPHA, 50.0), "proximal")
    params = toy.solve(drr.build(config, toy.loss, optax.sgd), 200)
    assert toy.OPTIMUM - 1e-3 < toy.objective(params) < 1.03 * toy.OPTIMUM


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["none", "mean"])
def test_published_pmmp_comes_near_but_not_there(averaging):
    config = pmmp.PmmpConfig(pmmp.Hyperparameters(0.01, ALPHA, 1.0, 1.0), averaging)
    params = toy.solve(pmmp.build(config, toy.loss), 3000)
    assert toy.n_kept(params) != toy.N_KEPT
    assert toy.OPTIMUM < toy.objective(params) < 1.1 * toy.OPTIMUM


@pytest.mark.slow
def test_hard_concrete_comes_near():
    config = hard_concrete.HardConcreteConfig(hard_concrete.Hyperparameters(0.01, 1.0, ALPHA))
    params = toy.solve(hard_concrete.build(config, toy.loss), 3000)
    assert toy.OPTIMUM - 1e-3 < toy.objective(params) < 1.1 * toy.OPTIMUM
