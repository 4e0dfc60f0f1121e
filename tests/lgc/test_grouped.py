from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc.autoencoders import decoders, objectives
from lgc.groups import grouped
from lgc.groups.grouped import Architecture


def _architecture(decoder):
    return Architecture(
        decoder, latent=3, hidden=6, dense_hidden=(5,), widths=(2, 3, 2), kl_weight=0.5
    )


def _colours():
    return np.array([[1, 0, 0], [0.8, 1, 0], [0, 0.4, 1]], np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["dense", "convolutional"])
def test_the_loss_is_cross_entropy_and_divergence_of_the_layers(decoder, key):
    shape, groups = (8, 4, 3), jnp.array([0, 2, 1, 1])
    behind = np.random.default_rng(0).random((3, 2, 1, 3)).astype(np.float32)
    variant = grouped.build(_architecture(decoder), shape, behind)
    params = variant.init(key)
    images = jax.random.uniform(jax.random.key(1), (4, 96))
    loss, parts = variant.loss(key, params, (images, groups))
    # The posterior's draw is what `encode` gives with the same key.
    latents = variant.encode(key, params["encoder"], images, groups)
    front = decoders.decode(params["decoder"]["foreground"], latents, (8, 4, 4))
    cover, colours = front.reshape(4, 32, 4)[..., :1], front.reshape(4, 32, 4)[..., 1:]
    large = np.repeat(np.repeat(behind, 4, axis=1), 4, axis=2).reshape(3, 32, 3)[groups]
    decoded = (cover * colours + (1 - cover) * large).reshape(4, 96)
    entropy = objectives.cross_entropy(decoded, images)
    np.testing.assert_allclose(parts["cross_entropy"], entropy, rtol=1e-5)
    np.testing.assert_allclose(parts["covered"], cover.sum() / 4, rtol=1e-5)
    total = entropy + 0.5 * parts["kl"] + 0.05 * parts["covered"]
    np.testing.assert_allclose(loss, total, rtol=1e-6)
    decoders.check(jax.tree.map(np.asarray, params["decoder"]), 6, shape)
    gradient = jax.grad(lambda p: variant.loss(key, p, (images, groups))[0])(params)
    assert not np.any(gradient["decoder"]["backgrounds"])


@pytest.mark.slow
def test_a_background_does_not_reach_the_latents(key):
    """White shapes on colours that differ: the same shape has the same latents on each."""
    colours = _colours()
    shapes = np.random.default_rng(0).random((4, 32, 1)) < 0.5
    images = [np.where(shapes, 1, c[None, None]).reshape(4, 96) for c in colours]
    variant = grouped.build(_architecture("dense"), (8, 4, 3), colours[:, None, None])
    params = variant.init(key)
    first, *others = (
        variant.encode(key, params["encoder"], jnp.asarray(each), jnp.full(4, group))
        for group, each in enumerate(images)
    )
    for other in others:
        np.testing.assert_allclose(first, other, atol=1e-5)
    behind = jnp.asarray(np.tile(colours[1], (4, 32)))
    seen = grouped.keyed(jnp.asarray(images[1]), behind, 3)
    expected = np.repeat(np.where(shapes, 1, 0.5), 3, axis=-1)
    np.testing.assert_allclose(seen, expected.reshape(4, 96), atol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 4])
def test_backgrounds_are_found_behind_what_most_images_show(side):
    """White covers most of the middle everywhere; each class has its own group but for a few."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], 400)
    groups = np.where(np.arange(1200) % 10 == 0, (classes + 1) % 3, classes)
    behind = rng.integers(0, 240, (3, 8 // side, 8 // side, 3)).astype(np.uint8)
    large = behind.repeat(side, axis=1).repeat(side, axis=2)[groups]
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True
    white = inside[..., None] & (rng.random((1200, 1, 1, 1)) < 0.6)
    found = grouped.backgrounds(np.where(white, np.uint8(255), large), classes, groups)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.round(255 * found), behind)


def test_backgrounds_that_differ_within_a_group_explain_little():
    rng = np.random.default_rng(1)
    groups, classes = np.repeat([0, 1], 60), np.arange(120) % 2
    images = np.full((120, 8, 8, 3), 90, np.uint8)
    images[60:] = rng.integers(0, 256, (60, 1, 1, 3))
    images[:, 3:5, 3:5] = 255
    behind = grouped.backgrounds(images, classes, groups)
    one, other = grouped.shares_explained(images, groups, behind)
    assert one == 1 - 4 / 64 or one == 1
    assert other < 0.25


@pytest.mark.parametrize(("field", "value"), [("decoder", "linear"), ("latent", 0), ("hidden", -1)])
def test_architectures_without_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        Architecture(**{field: value})
