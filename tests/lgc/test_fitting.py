"""A run in parts is the run itself, and says how far it is."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.coding import InputError
from fewbits.training import gradient_descent, loop
from lgc.autoencoders import fitting

PLAN = loop.Plan(47, 4)


def _method(learning_rate: float):
    def loss(key, params, batch):
        targets = batch + 0.1 * jax.random.normal(key, batch.shape)
        return jnp.mean(jnp.square(params[None] - targets)), {}

    hyperparameters = gradient_descent.Hyperparameters(learning_rate)
    return gradient_descent.build(gradient_descent.GradientDescentConfig(hyperparameters), loss)


@pytest.mark.slow
def test_parts_change_nothing(key):
    data, start = jax.random.normal(key, (20, 3)), jnp.zeros(3)
    method, calls = _method(1e-2), []
    parts = fitting.in_parts(
        method, PLAN, key, start, data, stage="fitting", progress=lambda *call: calls.append(call)
    )
    whole = jax.jit(lambda k: loop.run(method, PLAN, k, start, data))(key)
    np.testing.assert_array_equal(parts.params, whole.params)
    assert calls[-1] == ("fitting", 47, 47)
    assert [done for _, done, _ in calls] == sorted({done for _, done, _ in calls})


def test_what_does_not_stay_finite_is_refused(key):
    with pytest.raises(InputError, match="did not stay finite; use a lower learning rate"):
        fitting.in_parts(_method(jnp.inf), PLAN, key, jnp.zeros(3), jnp.ones((20, 3)))


def test_an_image_is_encoded_apart_from_its_neighbours(key):
    def encode(key, flat, told):
        return flat[:, :2] + told[:, None] + jax.random.normal(key, (len(flat), 2))

    flat = jnp.asarray(np.random.default_rng(0).integers(0, 256, (5, 6)), jnp.uint8)
    told = jnp.arange(5)
    found = fitting.latents(encode, key, flat, told)
    other = fitting.latents(encode, key, flat.at[1:].set(0), told)
    assert found.shape == (5, 2)
    np.testing.assert_array_equal(found[0], other[0])
    assert (found[1:] != other[1:]).all()
