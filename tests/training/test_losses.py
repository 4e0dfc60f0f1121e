from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import losses


def test_cross_entropy_of_even_logits_is_ln_classes(key):
    loss = losses.cross_entropy(lambda params, x: jnp.zeros((x.shape[0], 8)) + params)
    value, aux = loss(key, 1.5, (jnp.zeros((5, 2)), jnp.array([0, 1, 2, 3, 0])))
    np.testing.assert_allclose(value, math.log(8), rtol=1e-6)
    assert aux["accuracy"] == np.float32(0.4)  # argmax of a tie is the first class


def test_cross_entropy_gradient_is_softmax_minus_one_hot(key):
    logits = jnp.array([[1.0, 2.0, -1.0], [0.0, 0.5, 0.1]])
    labels = jnp.array([2, 1])
    loss = losses.cross_entropy(lambda params, x: params)
    gradient = jax.grad(lambda p: loss(key, p, (None, labels))[0])(logits)
    expected = (jax.nn.softmax(logits) - jax.nn.one_hot(labels, 3)) / 2
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_squared_error_is_half_the_sum_per_example(key):
    loss = losses.squared_error(lambda params, x: x)
    value, aux = loss(key, None, (jnp.array([[3.0, 0.0], [0.0, 1.0]]), jnp.zeros((2, 2))))
    assert value == 2.5
    assert aux["mean_squared_error"] == 2.5


def test_shifted_images_move_by_whole_pixels():
    seen = []

    def loss(key, params, batch):
        del key, params
        seen.append(batch[0])
        return 0.0, {}

    images = np.arange(2 * 5 * 5, dtype=np.uint8).reshape(2, 5, 5, 1) + 1
    losses.shifted(loss, 1)(jax.random.key(0), None, (images, np.zeros(2)))
    moved, padded = np.asarray(seen[0]), np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for before, after in zip(padded, moved, strict=True):
        windows = [before[i : i + 5, j : j + 5] for i in range(3) for j in range(3)]
        assert any(np.array_equal(window, after) for window in windows)
    assert losses.shifted(loss, 0) is loss
