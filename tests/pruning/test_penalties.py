"""DRR and the lasso: slopes against finite differences, proximal maps against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from pruning.penalties import drr, relaxed_lasso
from tests.pruning.stepping import step_of

PENALTIES = {
    "drr": (drr, drr.Hyperparameters(1e-3, 0.7, 5.0)),
    "rl1": (relaxed_lasso, relaxed_lasso.Hyperparameters(1e-3, 0.7)),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_slope_is_the_gradient_of_the_value(name):
    module, hyperparameters = PENALTIES[name]
    with jax.enable_x64(True):
        theta = jnp.array([-2.0, -0.3, -0.01, 0.02, 0.4, 1.5])

        def total(x):
            return jnp.sum(module.value(hyperparameters, x))

        step = 1e-6
        differences = (
            module.value(hyperparameters, theta + step)
            - module.value(hyperparameters, theta - step)
        ) / (2 * step)
        slope = module.slope(hyperparameters, theta)
        np.testing.assert_allclose(slope, differences, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(slope, jax.grad(total)(theta), rtol=1e-12)
        check_grads(total, (theta,), order=1, modes=["rev"])


@pytest.mark.parametrize("name", PENALTIES)
def test_slope_at_zero_is_zero(name):
    module, hyperparameters = PENALTIES[name]
    assert module.slope(hyperparameters, jnp.zeros(3)).tolist() == [0, 0, 0]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    strength=st.floats(1e-4, 3),
    sharpness=st.floats(0.1, 50),
    rate=st.floats(1e-2, 2),
)
def test_proximal_maps_beat_a_fine_grid(strength, sharpness, rate):
    """The global minimum, also where the DRR problem has two local ones."""
    with jax.enable_x64(True):
        assert jnp.max(excess(jnp.array([strength, sharpness, rate]))) <= 1e-9


@jax.jit
def excess(settings_of_both):
    """By how much each proximal map misses the best of a grid: Float[2, points]."""
    strength, sharpness, rate = settings_of_both
    v = jnp.linspace(-3, 3, 41)[:, None]
    grid = jnp.concatenate([jnp.zeros(1), jnp.linspace(-3, 3, 4001)])[None, :]
    found = []
    for module, hyperparameters in (
        (drr, drr.Hyperparameters(rate, strength, sharpness)),
        (relaxed_lasso, relaxed_lasso.Hyperparameters(rate, strength)),
    ):

        def objective(x, module=module, hyperparameters=hyperparameters):
            return 0.5 * (x - v) ** 2 + rate * module.value(hyperparameters, x)

        x = module.proximal(hyperparameters, rate, v)
        found.append(objective(x)[:, 0] - objective(grid).min(axis=1))
    return jnp.stack(found)


def test_proximal_maps_are_odd_and_shrink():
    v = jnp.linspace(-2, 2, 201)
    for module, hyperparameters in PENALTIES.values():
        x = module.proximal(hyperparameters, jnp.float32(0.3), v)
        np.testing.assert_allclose(x, -x[::-1], atol=1e-6)
        assert jnp.all(jnp.abs(x) <= jnp.abs(v) + 1e-6)
        assert jnp.any(x == 0)
        assert jnp.any(x != 0)


def test_proximal_maps_pass_on_what_is_not_finite():
    for module, hyperparameters in PENALTIES.values():
        assert jnp.isnan(module.proximal(hyperparameters, jnp.float32(0.3), jnp.array([jnp.nan])))


def test_coupled_penalty_is_added_before_the_optimiser():
    """Under momentum the published step is that of the summed gradient, rho's included."""
    hyperparameters = drr.Hyperparameters(0.1, 0.3, 5.0, 0.2)
    theta, target = jnp.array([0.5, -0.2]), jnp.array([1.0, 2.0])

    def loss(key, params, batch):
        del key, batch
        return jnp.sum((params - target) ** 2), {}

    def total(params):
        penalty = 0.3 * jnp.sum(1 - jnp.exp(-5 * jnp.abs(params))) + 0.2 * jnp.sum(params**2)
        return jnp.sum((params - target) ** 2) + penalty

    method = drr.build(drr.DrrConfig(hyperparameters), loss, lambda r: optax.sgd(r, momentum=0.9))
    optimizer = optax.sgd(0.1, momentum=0.9)
    state, expected, memory = method.init(jax.random.key(0), theta), theta, optimizer.init(theta)

    @jax.jit
    def by_hand(expected, memory):
        updates, memory = optimizer.update(jax.grad(total)(expected), memory)
        return expected + updates, memory

    for step in range(4):
        state, info = step_of(method)(jax.random.key(step), state, None)
        expected, memory = by_hand(expected, memory)
    np.testing.assert_allclose(state.params, expected, rtol=1e-6)
    assert info.nonzeros == 2


def test_proximal_steps_reach_the_stationary_point_of_the_objective():
    """Under plain gradient descent, both updates have the objective's own stationary points."""
    target = jnp.array([1.0, 0.6, 0.05])

    def loss(key, params, batch):
        del key, batch
        return 0.5 * jnp.sum((params - target) ** 2), {}

    config = drr.DrrConfig(drr.Hyperparameters(0.2, 0.1, 5.0), "proximal")
    method = drr.build(config, loss, optax.sgd)
    state = method.init(jax.random.key(0), target)
    for step in range(300):
        state, _ = step_of(method)(jax.random.key(step), state, None)
    theta = state.params
    assert theta[2] == 0
    residual = theta - target + drr.slope(config.hyperparameters, theta)
    np.testing.assert_allclose(residual[:2], 0, atol=1e-5)


def test_an_unknown_update_is_named():
    with pytest.raises(ValueError, match="'nearby'"):
        drr.build(drr.DrrConfig(update="nearby"), None)  # type: ignore[arg-type]
