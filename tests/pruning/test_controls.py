"""Magnitude pruning and hard-concrete gates, the two controls."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from pruning.controls import gradual_magnitude, hard_concrete
from pruning.schedule import Ramp


def still(key, params, batch):
    """A loss without a slope: weights stay where they are."""
    del key, batch
    return 0.0 * sum(jnp.sum(leaf) for leaf in jax.tree.leaves(params)), {}


@pytest.mark.parametrize("kept_share", [0.0, 0.03, 0.5, 1.0])
def test_magnitude_follows_the_cubic_schedule(key, kept_share):
    params = {"a": jax.random.normal(key, (30, 40)), "b": jnp.linspace(0.5, 1, 17)}
    n, cycles = 1217, 5
    ramp = Ramp(0, cycles * gradual_magnitude.CYCLE_STEPS)
    config = gradual_magnitude.MagnitudeConfig(
        gradual_magnitude.Hyperparameters(0.1, kept_share), ramp
    )
    method = gradual_magnitude.build(config, still, optax.sgd)
    state, step = method.init(key, params), jax.jit(method.step)
    for number in range((cycles + 1) * gradual_magnitude.CYCLE_STEPS):
        state, info = step(key, state, None)
        if (number + 1) % gradual_magnitude.CYCLE_STEPS == 0:
            progress = min(number / ramp.last, 1.0)
            pruned = (1 - kept_share) * (1 - (1 - progress) ** 3)
            # Where nothing is asked for, the largest weight stays until the end.
            assert int(info.nonzeros) == max(np.ceil((1 - pruned) * n), 1)
    kept = int(np.ceil(kept_share * n))
    final = method.finalize(state)
    magnitudes = np.sort(np.concatenate([np.abs(leaf).ravel() for leaf in params.values()]))[::-1]
    remaining = np.concatenate([np.abs(leaf).ravel() for leaf in final.values()])
    np.testing.assert_allclose(np.sort(remaining[remaining > 0])[::-1], magnitudes[:kept])


def test_pruned_weights_never_return(key):
    def loss(key, params, batch):
        del key, batch
        return jnp.sum((params - 1.0) ** 2), {}

    config = gradual_magnitude.MagnitudeConfig(
        gradual_magnitude.Hyperparameters(0.05, 0.2), Ramp(0, 24)
    )
    method = gradual_magnitude.build(config, loss)
    state, step = method.init(key, jax.random.normal(key, (50,))), jax.jit(method.step)
    gone = jnp.zeros(50, bool)
    for _ in range(80):
        state, _ = step(key, state, None)
        assert not jnp.any(gone & (state.params != 0))
        gone = gone | ~state.pruner.mask
    # Weights that move while a threshold is sought may cost a few more than were asked for.
    assert 40 <= gone.sum() <= 45
    assert jnp.count_nonzero(method.finalize(state)) == 50 - gone.sum()


def test_open_probability_is_that_of_the_draws(key):
    location = jnp.array([-2.0, 0.0, 1.5])
    draws = jax.vmap(lambda k: hard_concrete.draw_gate(k, location))(jax.random.split(key, 20000))
    np.testing.assert_allclose(
        (draws != 0).mean(axis=0), hard_concrete.open_probability(location), atol=0.015
    )
    assert draws.min() == 0
    assert draws.max() == 1


def test_settled_gates_close_and_open_fully():
    gates = hard_concrete.settled_gate(jnp.array([-5.0, 0.0, 5.0]))
    np.testing.assert_allclose(gates, [0, 0.5, 1], atol=1e-6)
    assert gates[0] == 0


def test_gates_start_as_asked(key):
    config = hard_concrete.HardConcreteConfig(hard_concrete.Hyperparameters(initial_open=0.7))
    state = hard_concrete.build(config, still).init(key, jnp.ones(4))
    opened = hard_concrete.open_probability(state.variables.locations)
    np.testing.assert_allclose(opened, 0.7, rtol=1e-5)


def test_penalty_gradient_matches_finite_differences():
    with jax.enable_x64(True):
        check_grads(
            lambda s: jnp.sum(hard_concrete.open_probability(s)), (jnp.linspace(-3, 3, 7),), order=1
        )


def test_gate_gradient_matches_finite_differences(key):
    """Along one draw, the reparametrised gate is smooth in its location."""
    with jax.enable_x64(True):
        location = jnp.linspace(-1, 1, 9)
        check_grads(
            lambda s: jnp.sum(jnp.square(hard_concrete.draw_gate(key, s))), (location,), order=1
        )
