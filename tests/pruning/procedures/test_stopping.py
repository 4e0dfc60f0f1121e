import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fewbits.training import loop
from pruning.penalties import relaxed_lasso
from pruning.procedures import stopping

RULE = stopping.Stopping(check_every=5, window=6, first_check=6, smoothing=2)


def loss(key, params, batch):
    del key, batch
    return jnp.sum(jnp.square(params)), {}


def run(learning_rate, steps=200, start=3.0):
    method = relaxed_lasso.build(relaxed_lasso.Rl1Config(), loss, optax.sgd)
    hyperparameters = relaxed_lasso.Hyperparameters(learning_rate, 0.0)
    return stopping.run(
        method,
        loop.Plan(steps, batch_size=None),
        RULE,
        lambda params: jnp.sum(jnp.square(params)),
        jax.random.key(0),
        jnp.full(3, start),
        jnp.ones((2, 1)),
        hyperparameters,
    )


def test_the_rule_on_known_series():
    steps = jnp.arange(10.0)
    assert not stopping.saturated(10 - steps, 3)
    assert stopping.saturated(jnp.ones(10), 3)
    assert stopping.saturated(steps, 3)  # rising: nothing more is gained
    noisy = 1 - 1e-3 * steps + 0.1 * jnp.where(steps % 2 == 0, 1, -1)
    assert stopping.saturated(noisy, 3)
    assert not stopping.saturated(jnp.full(10, jnp.nan), 3)


def test_runs_stop_on_their_own():
    """A fast run stops early, a slow one not at all, and each is what it is alone."""
    rates = jnp.array([0.3, 1e-3])
    together = jax.jit(jax.vmap(run))(rates)
    assert together.saturated.tolist() == [True, False]
    assert together.stopped_at[0] < 100
    assert together.stopped_at[1] == 200
    for number, rate in enumerate(rates):
        alone = jax.jit(run)(rate)
        np.testing.assert_allclose(together.params[number], alone.params, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(together.stopped_at[number], alone.stopped_at)


def test_the_best_measurement_is_kept():
    """A diverging run ends with its first parameters' neighbours, not with infinities."""
    found = jax.jit(run)(1.2)
    losses = np.asarray(found.history)
    assert found.best_loss == np.nanmin(losses)
    assert jnp.all(jnp.isfinite(found.params))


def test_history_ends_at_the_stop():
    found = jax.jit(run)(0.3)
    checks = int(found.stopped_at) // RULE.check_every
    assert np.isfinite(found.history[:checks]).all()
    assert np.isnan(found.history[checks:]).all()


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({"check_every": 0}, "got 0"),
        ({"check_every": 1, "window": 2}, "got 2"),
        ({"check_every": 1, "smoothing": 0}, "got 0"),
    ],
)
def test_bad_rules_are_named(settings, value):
    with pytest.raises(ValueError, match=value):
        stopping.Stopping(**settings)
    with pytest.raises(ValueError, match="3 steps"):
        run(0.1, steps=3)
