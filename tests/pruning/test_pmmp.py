import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from pruning.minimax import pmmp
from tests.pruning.stepping import step_of


def variables(key: jax.Array, n: int = 6) -> pmmp.Variables:
    draws = jax.random.normal(key, (4, n))
    return pmmp.Variables(draws[0], draws[1], jax.nn.sigmoid(draws[2]), jnp.exp(draws[3]))


def test_gradients_are_the_published_ones(key):
    """Section 1.2: g_theta, g_w, g_gamma and g_u, written out."""
    at, alpha = variables(key), jnp.float32(0.3)
    theta, w, gate, u = at
    d = theta - w * gate
    gradient = jax.grad(pmmp.lagrangian, argnums=1)(alpha, at)
    np.testing.assert_allclose(gradient.network, 2 * u * d, rtol=1e-5)
    expected = -2 * u * d * gate + 2 * u * w * gate * (1 - gate)
    np.testing.assert_allclose(gradient.weights, expected, rtol=1e-5, atol=1e-6)
    expected = -2 * u * d * w + u * w**2 * (1 - 2 * gate) + alpha
    np.testing.assert_allclose(gradient.gates, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient.multipliers, d**2 + w**2 * gate * (1 - gate), rtol=1e-5)


def test_gradients_match_finite_differences(key):
    with jax.enable_x64(True):
        at = jax.tree.map(lambda a: a.astype(jnp.float64), variables(key))
        check_grads(lambda *v: pmmp.lagrangian(jnp.float64(0.3), pmmp.Variables(*v)), at, order=1)


def test_violation_is_the_expected_squared_distance():
    """E (theta - w z)^2 by enumeration of the two values of z."""
    theta, w = jnp.array([0.4, -1.0]), jnp.array([0.5, 2.0])
    gate = jnp.array([0.3, 0.9])
    expected = gate * (theta - w) ** 2 + (1 - gate) * theta**2
    found = pmmp.violation(pmmp.Variables(theta, w, gate, gate))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_minimum_over_corners_is_the_l0_problem():
    """At large u, min over theta = w gamma and the corners of gamma is min_z of the l0 problem."""
    a, alpha = np.array([0.9, 0.1, -0.3]), 0.02
    best = min(
        sum(0.0 if z else 0.5 * x**2 for z, x in zip(bits, a, strict=True)) + alpha * sum(bits)
        for bits in itertools.product([0, 1], repeat=3)
    )
    assert np.isclose(best, np.minimum(0.5 * a**2, alpha).sum())


def test_one_simultaneous_step():
    """All four move from the same point by one optimiser with one rate; u climbs."""

    def loss(key, params, batch):
        del key, batch
        return jnp.sum(3 * params), {}

    hyperparameters = pmmp.Hyperparameters(0.1, 0.5, 0.8, 2.0)
    method = pmmp.build(pmmp.PmmpConfig(hyperparameters), loss, optax.sgd)
    state = method.init(jax.random.key(0), jnp.array([1.0]))
    after = step_of(method)(jax.random.key(1), state, None)[0].variables
    d = 1 - 0.8
    np.testing.assert_allclose(after.network, 1 - 0.1 * (3 + 4 * d), rtol=1e-6)
    np.testing.assert_allclose(after.weights, 1 - 0.1 * (-4 * d * 0.8 + 4 * 0.16), rtol=1e-6)
    np.testing.assert_allclose(after.gates, 0.8 - 0.1 * (-4 * d + 2 * (1 - 1.6) + 0.5), rtol=1e-6)
    np.testing.assert_allclose(after.multipliers, 2 + 0.1 * (d**2 + 0.16), rtol=1e-6)


def test_gates_stay_in_the_unit_interval_and_closed_ones_are_zeros():
    def loss(key, params, batch):
        del key, batch
        return jnp.sum(params), {}

    method = pmmp.build(pmmp.PmmpConfig(pmmp.Hyperparameters(0.5, 100.0)), loss, optax.sgd)
    state = method.init(jax.random.key(0), jnp.array([0.01, 2.0]))
    state, _ = step_of(method)(jax.random.key(1), state, None)
    assert state.variables.gates.tolist() == [0, 0]
    assert method.finalize(state).tolist() == [0, 0]


@pytest.mark.parametrize("averaging", ["mean", "exponential"])
def test_averages_of_fictitious_play(averaging):
    """Averages are those of the moves that a Python loop collects, every second step."""

    def loss(key, params, batch):
        del key, batch
        return jnp.sum((params - 1) ** 2), {}

    config = pmmp.PmmpConfig(
        pmmp.Hyperparameters(0.05, 0.1), averaging, memory=0.25, steps_per_average=2
    )
    method = pmmp.build(config, loss, optax.sgd)
    state = method.init(jax.random.key(0), jnp.array([0.5, -0.2]))
    moves = [np.asarray(state.variables.network)]
    for step in range(6):
        state, _ = step_of(method)(jax.random.key(step), state, None)
        if (step + 1) % 2 == 0:
            moves.append(np.asarray(state.variables.network))
    if averaging == "mean":
        expected = np.mean(moves, axis=0)
    else:
        expected = moves[0]
        for move in moves[1:]:
            expected = expected + 0.25 * (move - expected)
    np.testing.assert_allclose(state.averages.network, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "value"),
    [
        (pmmp.PmmpConfig(averaging="median"), "'median'"),  # type: ignore[arg-type]
        (pmmp.PmmpConfig(memory=0.0), "0.0"),
        (pmmp.PmmpConfig(steps_per_average=0), "got 0"),
    ],
)
def test_bad_configs_are_named(config, value):
    with pytest.raises(ValueError, match=value):
        pmmp.build(config, None)  # type: ignore[arg-type]
