"""The two PMMPs without a minimax: their parts against closed forms and brute force."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from pruning.minimax import pmmp_admm, pmmp_curvature
from tests.pruning.stepping import step_of


def test_variance_term_is_what_rounding_costs_a_quadratic():
    """E_z L(w z) by enumeration of all gates, for a separable quadratic L."""
    a, h = np.array([0.4, -1.0, 0.2]), np.array([1.0, 3.0, 0.5])
    w, gate = np.array([0.5, -0.7, 0.1]), np.array([0.3, 0.9, 0.5])

    def quadratic(theta):
        return 0.5 * np.sum(h * (theta - a) ** 2)

    expected = 0.0
    for bits in itertools.product([0, 1], repeat=3):
        z = np.array(bits)
        expected += np.prod(np.where(z, gate, 1 - gate)) * quadratic(w * z)
    found = quadratic(w * gate) + pmmp_curvature.variance_term(*map(jnp.asarray, (h, w, gate)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_variance_term_gradients_match_finite_differences(key):
    with jax.enable_x64(True):
        h, w, gate = jax.random.uniform(key, (3, 5), jnp.float64)
        check_grads(pmmp_curvature.variance_term, (h, w, gate), order=1)


def quadratic_loss(key, params, batch):
    del key
    (scale,) = batch
    return 0.5 * jnp.sum(scale[0] * (params - 1.0) ** 2), {}


def test_hessian_curvature_is_exact_where_the_hessian_is_diagonal():
    scale = jnp.array([[0.5, 2.0, 7.0]])
    config = pmmp_curvature.PmmpCurvatureConfig(curvature="hessian", memory=0.1)
    method = pmmp_curvature.build(config, quadratic_loss, optax.sgd)
    state = method.init(jax.random.key(0), jnp.zeros(3))
    for step in range(3):
        state, _ = step_of(method)(jax.random.key(step), state, (scale,))
    corrected = state.curvature / (1 - 0.9**3)
    np.testing.assert_allclose(corrected, scale[0], rtol=1e-5)


def test_fisher_curvature_is_the_mean_squared_gradient_per_example():
    """Batch gradients of independent examples: B E g^2 is the per-example Fisher diagonal."""

    def loss(key, params, batch):
        del key
        return jnp.mean(batch[0] * params), {}  # per-example gradient: the example itself

    config = pmmp_curvature.PmmpCurvatureConfig(memory=0.005)
    method = pmmp_curvature.build(config, loss, optax.sgd)
    examples = 3 * jax.random.normal(jax.random.key(1), (1500, 50))

    def step(state, batch):
        return step_of(method)(jax.random.key(0), state, (batch,))[0], None

    state = method.init(jax.random.key(0), jnp.ones(()))
    state, _ = jax.jit(lambda s: jax.lax.scan(step, s, examples))(state)
    np.testing.assert_allclose(state.curvature, 9.0, rtol=0.2)


def test_gates_of_worthless_weights_fall_at_the_gate_rate():
    def loss(key, params, batch):
        del key, batch
        return 0.0 * jnp.sum(params), {}

    config = pmmp_curvature.PmmpCurvatureConfig(
        pmmp_curvature.Hyperparameters(0.1, 1e-4, 0.25, 0.0, 0.5)
    )
    method = pmmp_curvature.build(config, loss, optax.sgd)
    state = method.init(jax.random.key(0), jnp.ones(2))
    for step in range(4):
        state, _ = step_of(method)(jax.random.key(step), state, (jnp.ones((8, 1)),))
    np.testing.assert_allclose(state.logits, -1.0, rtol=1e-6)
    assert method.finalize(state).tolist() == [0, 0]


def test_without_a_price_nothing_goes():
    config = pmmp_curvature.PmmpCurvatureConfig(pmmp_curvature.Hyperparameters(0.1, 0.0), "hessian")
    method = pmmp_curvature.build(config, quadratic_loss, optax.sgd)
    state = method.init(jax.random.key(0), jnp.full(3, 0.5))
    for step in range(50):
        state, info = step_of(method)(jax.random.key(step), state, (jnp.ones((1, 3)),))
    assert info.finite
    assert jnp.count_nonzero(method.finalize(state)) == 3


def test_hard_threshold_is_the_brute_force_minimum():
    x = jnp.linspace(-2, 2, 81)[:, None]
    grid = jnp.linspace(-2, 2, 4001)
    for strength, penalty in ((0.1, 1.0), (0.5, 3.0), (1e-3, 20.0)):
        v = pmmp_admm.hard_threshold(x, jnp.float32(strength), jnp.float32(penalty))
        found = strength * (v != 0) + penalty / 2 * (v - x) ** 2
        with jax.numpy_rank_promotion("allow"):
            brute = strength * (grid != 0) + penalty / 2 * (grid[None] - x) ** 2
        assert jnp.all(found[:, 0] <= brute.min(axis=1) + 1e-5)


def test_split_update_by_hand():
    theta = jnp.array([1.0, 0.1])
    split = pmmp_admm.Split(jnp.zeros(2), jnp.array([0.2, 0.2]), jnp.float32(2.0))
    after, dual = pmmp_admm.update_split(theta, split, jnp.float32(0.1))
    np.testing.assert_allclose(after.sparse, [1.1, 0.0], rtol=1e-6)
    np.testing.assert_allclose(after.multiplier, [0.0, 0.4], atol=1e-6)
    np.testing.assert_allclose(dual, 2.2, rtol=1e-6)


def test_penalty_follows_the_residuals_within_its_cap():
    one = jnp.float32(1.0)
    for primal, dual, expected in ((20.0, 1.0, 2.0), (1.0, 20.0, 0.5), (1.0, 1.0, 1.0)):
        r = pmmp_admm._balanced(one, jnp.float32(primal), jnp.float32(dual), one, 4.0)
        assert r == expected
    r = pmmp_admm._balanced(jnp.float32(4.0), one * 99, one, one, 4.0)
    assert r == 4.0


def test_the_multiplier_is_minus_the_gradient():
    """KKT: at a pruned weight lambda = -dL, at a kept one lambda = 0 = dL."""
    config = pmmp_admm.PmmpAdmmConfig(pmmp_admm.Hyperparameters(0.3, 0.05, 1.0), 5, False)
    target = jnp.array([1.0, 0.2])

    def loss(key, params, batch):
        del key, batch
        return 0.5 * jnp.sum((params - target) ** 2), {}

    method = pmmp_admm.build(config, loss, optax.sgd)
    state = method.init(jax.random.key(0), jnp.zeros(2))
    for step in range(300):
        state, info = step_of(method)(jax.random.key(step), state, None)
    np.testing.assert_allclose(state.sparse, [1.0, 0.0], atol=1e-4)
    np.testing.assert_allclose(state.multipliers, [0.0, 0.2], atol=1e-3)
    assert info.residual < 1e-3


@pytest.mark.parametrize(
    ("build", "config", "value"),
    [
        (pmmp_admm.build, pmmp_admm.PmmpAdmmConfig(steps_per_update=0), "got 0"),
        (pmmp_admm.build, pmmp_admm.PmmpAdmmConfig(largest_ratio=0.5), "0.5"),
        (
            pmmp_curvature.build,
            pmmp_curvature.PmmpCurvatureConfig(curvature="gauss"),  # type: ignore[arg-type]
            "'gauss'",
        ),
        (pmmp_curvature.build, pmmp_curvature.PmmpCurvatureConfig(memory=2.0), "2.0"),
    ],
)
def test_bad_configs_are_named(build, config, value):
    with pytest.raises(ValueError, match=value):
        build(config, None)
