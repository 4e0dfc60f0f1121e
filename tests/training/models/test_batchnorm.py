"""A network with BatchNorm: statistics of the batch while training, running ones afterwards."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training.models import batchnorm

NETWORK = batchnorm.convnet((8, 8, 1), 3, width=2)
X = jnp.asarray(np.random.default_rng(0).normal(2.0, 3.0, (32, 8, 8, 1)), jnp.float32)


@pytest.mark.slow
def test_running_statistics_become_those_of_the_batches():
    params, state = NETWORK.init(jax.random.key(0))
    same = jnp.concatenate([X] * 60)
    found = batchnorm.settled(NETWORK, params, state, same, len(X))
    # 0.9^60 of the start is left, and then both ways give the same logits.
    logits, _ = NETWORK.apply(params, state, X, train=True)
    np.testing.assert_allclose(NETWORK.apply(params, found, X), logits, rtol=0.1, atol=0.05)
    first = jax.lax.conv_general_dilated(
        X, params["conv1"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(found["norm1"]["mean"], first.mean(axis=(0, 1, 2)), rtol=0.02)
    np.testing.assert_allclose(found["norm1"]["var"], first.var(axis=(0, 1, 2)), rtol=0.02)


@pytest.mark.slow
def test_no_more_batches_are_seen_than_asked_for():
    params, state = NETWORK.init(jax.random.key(0))
    one = batchnorm.settled(NETWORK, params, state, X, 16, batches=1)
    again = NETWORK.apply(params, state, X[:16], train=True)[1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, again)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="at least 8"):
        batchnorm.convnet((7, 8, 1), 3, 2)
