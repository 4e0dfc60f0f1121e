"""A user's trees as the search sees them: statistics, dtypes, shared and other leaves."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pruning.search.model import Model


def normalised(params, state, x, train=False):
    """Centred and scaled by batch or running statistics."""
    if not train:
        return (x - state["mean"][None]) @ params["w"]
    mean = x.mean(axis=0)
    new = {"mean": 0.9 * state["mean"] + 0.1 * mean, "seen": state["seen"] + 1,
           "largest": jnp.maximum(state["largest"], x.max())}  # fmt: skip
    return (x - mean[None]) @ params["w"], new


def test_running_means_are_averages_and_nothing_of_the_old_ones():
    x = jax.random.normal(jax.random.key(0), (60, 3)) + jnp.array([[1.0, -2.0, 30.0]])
    state = {"mean": jnp.full(3, 1e3), "seen": jnp.array(5), "largest": jnp.array(-1e9)}
    model = Model(normalised, {"w": jnp.ones((3, 2))}, state)
    weights = model.weights(model.params)
    found = jax.jit(model.settled, static_argnums=3)(jax.random.key(0), weights, x, 20)
    np.testing.assert_allclose(found["mean"], x.mean(axis=0), rtol=1e-4)
    assert found["seen"] == 8
    assert found["largest"] == x.max()


def test_without_train_the_state_stays():
    model = Model(lambda params, state, x: x * params * state, jnp.ones(1), jnp.array(2.0))
    found = model.settled(jax.random.key(0), model.weights(model.params), jnp.ones((4, 1)), 2)
    assert found == 2


def test_dtypes_shared_and_other_leaves():
    tied = jnp.ones((2, 2), jnp.bfloat16)
    params = {"in": tied, "out": tied, "n": jnp.array(3), "none": None, "half": np.ones(2, "f2")}
    model = Model(lambda params, x: x @ params["in"], params, None)
    weights = model.weights(params)
    assert weights["out"] is None
    assert {leaf.dtype for leaf in jax.tree.leaves(weights)} == {np.dtype("float32")}
    back = model.whole(jax.tree.map(lambda leaf: 2 * leaf, weights))
    np.testing.assert_array_equal(back["out"], back["in"])
    assert back["in"].dtype == jnp.bfloat16
    assert (back["half"].dtype, back["n"], back["none"]) == (np.float16, 3, None)
    np.testing.assert_array_equal(back["out"], 2 * np.ones((2, 2)))


def test_drawing_functions_get_a_key_and_others_none():
    def dropped(params, x, *, train=False, key=None):
        return x * params[None] * (jax.random.bernoulli(key, 0.5, x.shape) if train else 1)

    model = Model(dropped, jnp.ones(1), None)
    x = jnp.ones((50, 1))
    assert (model.logits(jnp.ones(1), None, x) == 1).all()
    drawn, state = model.training(jax.random.key(1), jnp.ones(1), None, x)
    assert 0 < drawn.sum() < 50
    assert state is None


def test_a_function_that_gives_a_state_without_being_asked_is_told():
    model = Model(lambda params, state, x: (x, state), jnp.ones(1), jnp.ones(1))
    with pytest.raises(ValueError, match="keyword `train`"):
        model.logits(jnp.ones(1), jnp.ones(1), jnp.ones((2, 1)))
    with pytest.raises(ValueError, match="no array of floats"):
        Model(lambda params, x: x, {"n": jnp.array(1)}, None)
