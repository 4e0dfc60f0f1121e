"""The differentiable price of small images: what it may look at, and that it tracks the coder's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.codecs.pixels import pixel_code
from lgc import proxies
from lgc.distillation import pixel_rate
from tests.lgc.test_lossy_subset import blobs


@pytest.fixture
def price(key):
    """Random weights, place and class included."""
    shapes = pixel_rate.init(key, (6, 5, 2), 3, 2)
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(key, len(leaves))
    made = [0.3 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, made)


def test_bits_are_those_of_all_thresholds_and_no_pixel_looks_ahead(key, price):
    """Summed over all images of two pixels, 2^-bits is one: the odds are a law of the image."""
    tiny = {
        **price,
        "place": price["place"][:1, :2],
        "class_place": price["class_place"][:, :1, :2, :2],
        "kernel": price["kernel"][:, :, :1],
        "output": price["output"][:, :1],
    }
    tiny["class_place"] = tiny["class_place"][..., :1]
    images = np.array(np.meshgrid([0, 1], [0, 1])).reshape(2, -1).T.reshape(-1, 1, 2, 1)
    found = pixel_rate.bits(tiny, jnp.asarray(images, jnp.float32), jnp.zeros(4, jnp.int32), 2)
    assert float(jnp.sum(2.0**-found)) == pytest.approx(1, abs=1e-5)


def test_between_two_levels_bits_are_interpolated(key, price):
    levels = jax.random.randint(key, (4, 6, 5, 2), 0, 3).astype(jnp.float32)
    classes = jnp.array([0, 1, 0, 1])
    # The last pixel is nobody's neighbour.
    last = [levels.at[:, -1, -1, -1].set(value) for value in (0.0, 0.5, 1.0)]
    bits = jax.jit(lambda images: pixel_rate.bits(price, images, classes, 3))
    low, middle, high = (bits(each) for each in last)
    np.testing.assert_allclose(middle, (low + high) / 2, rtol=1e-5)
    slope = jax.jit(jax.grad(lambda images: bits(images).sum()))(last[1])
    np.testing.assert_allclose(slope[:, -1, -1, -1], high - low, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_what_is_cheap_here_is_cheap_for_the_coder(key):
    """Trained on discs, or on noisy ones that cost several times as much."""
    images, labels = blobs(600)
    discs = (images[..., 0] > 100).astype(np.uint8)[..., None]
    noise = np.random.default_rng(0).integers(0, 2, discs.shape).astype(np.uint8)
    noisy = np.where(np.random.default_rng(1).random(discs.shape) < 0.1, noise, discs)
    priced, coded = [], []
    for levels in (discs, noisy.astype(np.uint8)):
        params = proxies.trained(
            key,
            pixel_rate.init(key, discs.shape[1:], 2, 3),
            (levels, labels.astype(np.int32)),
            loss=pixel_rate.loss(2),
            steps=300,
            batch_size=64,
            rate=1e-2,
        )
        numbers = jnp.asarray(levels, jnp.float32)
        priced.append(float(pixel_rate.bits(params, numbers, jnp.asarray(labels), 2).mean()))
        coded.append(pixel_code.cost_bits(levels, labels, 2)[300:].mean())
    assert coded[1] > 3 * coded[0]
    assert 0.5 < (priced[1] / priced[0]) / (coded[1] / coded[0]) < 2
