from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


def test_mirrored_shows_either_side_of_an_image():
    images = jnp.tile(jnp.arange(2 * 3 * 4 * 1.0).reshape(2, 3, 4, 1), (50, 1, 1, 1))

    def loss(key, params, batch):
        del key, params
        return jnp.zeros(()), {"seen": batch[0]}

    labels = jnp.zeros(100, jnp.int32)
    seen = losses.mirrored(loss)(jax.random.key(0), {}, (images, labels))[1]["seen"]
    as_it_is = np.all(seen == images, axis=(1, 2, 3))
    turned = np.all(seen == images[:, :, ::-1, :], axis=(1, 2, 3))
    assert np.all(as_it_is ^ turned)
    assert 30 < turned.sum() < 70


def test_squared_error_is_the_code_length_under_noise_up_to_a_constant():
    x, y = jnp.eye(3), jnp.array([[0.5, 1.0, 0.0], [0.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
    loss, aux = losses.squared_error(lambda params, x: x, noise=0.5)(None, None, (x, y))
    gaussian = -jax.scipy.stats.norm.logpdf(y, x, 0.5).sum() / 3
    constant = 3 * 0.5 * np.log(2 * np.pi * 0.25)
    assert float(loss) == pytest.approx(float(gaussian) - constant, rel=1e-5)
    assert float(aux["mean_squared_error"]) == pytest.approx(float(((y - x) ** 2).mean()))
