from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.training import gradient_descent, loop


def quadratic(key, params, batch):
    """(1/2) mean of h (theta - x)^2 with curvature h = 3: every step of SGD is known."""
    del key
    return 1.5 * jnp.mean(jnp.square(params.reshape(1, -1) - batch).sum(axis=1)), {}


def test_sgd_on_a_quadratic_contracts_by_one_minus_rate_times_curvature(key):
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(), quadratic, optimizer=optax.sgd
    )
    plan = loop.Plan(steps=7, batch_size=None, log_points=7)
    start, target = jnp.array([1.0, -2.0]), jnp.array([[0.5, 0.5]])
    result = jax.jit(lambda rate: loop.run(method, plan, key, start, target, rate))(
        gradient_descent.Hyperparameters(learning_rate=0.1)
    )
    distance = np.asarray(start - target[0])
    np.testing.assert_allclose(result.params - target[0], 0.7**7 * distance, rtol=1e-5)
    norms = 3 * 0.7 ** np.arange(7) * np.linalg.norm(distance)
    np.testing.assert_allclose(result.log.gradient_norm, norms, rtol=1e-5)
    np.testing.assert_allclose(result.log.loss_nats, norms**2 / 6, rtol=1e-5)


def test_same_as_optax_by_hand(key):
    rate = 0.05
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(
            gradient_descent.Hyperparameters(learning_rate=rate)
        ),
        quadratic,
    )
    batch, params = jnp.array([[1.0, 2.0], [0.0, 1.0]]), jnp.array([3.0, -1.0])
    optimizer = optax.adam(rate)

    @jax.jit
    def step_by_hand(params, moments):
        gradient = jax.grad(lambda p: quadratic(key, p, batch)[0])(params)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(params, updates), moments

    state, step = jax.jit(method.init)(key, params), jax.jit(method.step)
    by_hand, moments = params, optimizer.init(params)
    for _ in range(3):
        state, _ = step(key, state, batch)
        by_hand, moments = step_by_hand(by_hand, moments)
    np.testing.assert_allclose(method.finalize(state), by_hand, rtol=1e-6)


def test_divergence_is_data(key):
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(), quadratic, optimizer=optax.sgd
    )
    plan = loop.Plan(steps=100, batch_size=None, log_points=3)
    run = jax.jit(
        lambda h: loop.run(method, plan, key, jnp.array([1.0, 1.0]), jnp.zeros((1, 2)), h)
    )
    assert not run(gradient_descent.Hyperparameters(10.0)).finite
    assert run(gradient_descent.Hyperparameters(0.1)).finite


def test_one_call_trains_as_the_loop_does(key):
    data = jax.random.normal(jax.random.key(5), (20, 2))
    config = gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(0.1))
    method = gradient_descent.build(config, quadratic, gradient_descent.falling_adam(9))
    plan = loop.Plan(steps=9, batch_size=4, log_points=1)
    expected = jax.jit(lambda data: loop.run(method, plan, key, jnp.zeros(2), data).params)(data)
    found = gradient_descent.train(
        key, jnp.zeros(2), data, quadratic, steps=9, batch_size=4, learning_rate=0.1,
        optimizer=gradient_descent.falling_adam(9),
    )  # fmt: skip
    np.testing.assert_array_equal(found, expected)
