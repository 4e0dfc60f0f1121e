from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import evaluation


def apply(params, x):
    return x @ params


@pytest.fixture(scope="module")
def problem():
    keys = jax.random.split(jax.random.key(0), 3)
    params = jax.random.normal(keys[0], (4, 3))
    x = jax.random.normal(keys[1], (23, 4))
    return params, x, jax.random.randint(keys[2], (23,), 0, 3)


@pytest.mark.parametrize("batch_size", [1, 5, 23, 1000])
def test_does_not_depend_on_the_batch_size(problem, batch_size):
    params, x, labels = problem
    logits = np.asarray(x) @ np.asarray(params)
    expected = np.mean(logits.argmax(axis=1) == labels)
    assert 0.1 < expected < 0.9
    share = evaluation.accuracy(apply, params, x, labels, batch_size=batch_size)
    np.testing.assert_allclose(share, expected, rtol=1e-6)
    log_normaliser = np.log(np.exp(logits).sum(axis=1))
    expected = np.mean(log_normaliser - logits[np.arange(23), np.asarray(labels)])
    loss = evaluation.mean_cross_entropy(apply, params, x, labels, batch_size=batch_size)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_all_both_at_once(problem):
    params, x, labels = problem
    both = jnp.stack([params, -params])
    share = functools.partial(evaluation.accuracy, apply, inputs=x, labels=labels, batch_size=10)
    together = jax.jit(jax.vmap(share))(both)
    np.testing.assert_allclose(together, [share(params), share(-params)])


def test_refuses_nothing_to_evaluate(problem):
    params, x, labels = problem
    with pytest.raises(ValueError, match="got 0, 10"):
        evaluation.accuracy(apply, params, x[:0], labels[:0], batch_size=10)
    with pytest.raises(ValueError, match="got 23, 0"):
        evaluation.predictions(apply, params, x, batch_size=0)
