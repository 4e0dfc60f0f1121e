from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc import archive, decoders, grouped, objectives
from lgc.grouped import Architecture
from lgc.mixture_code import ClassMixture


def _architecture(decoder):
    return Architecture(decoder, latent=3, hidden=6, dense_hidden=(5,), widths=(2, 3, 2))


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["dense", "convolutional"])
def test_the_loss_is_cross_entropy_and_divergence_of_the_told_decoder(decoder, key):
    shape, groups = (8, 4, 3), jnp.array([0, 2, 1, 1])
    means = np.random.default_rng(0).random((3, 96)).astype(np.float32)
    variant = grouped.build(_architecture(decoder), shape, means)
    params = variant.init(key)
    images = jax.random.uniform(jax.random.key(1), (4, 96))
    loss, parts = variant.loss(key, params, (images, groups))
    # The posterior's draw is what `encode` gives with the same key.
    latents = variant.encode(key, params["encoder"], images, groups)
    told = jnp.concatenate([latents, jax.nn.one_hot(groups, 3)], axis=1)
    decoded = decoders.decode(params["decoder"], told, shape)
    entropy = objectives.cross_entropy(decoded, images)
    np.testing.assert_allclose(parts["cross_entropy"], entropy, rtol=1e-5)
    np.testing.assert_allclose(loss, entropy + parts["kl"], rtol=1e-6)
    decoders.check(jax.tree.map(np.asarray, params["decoder"]), 6, shape)


def test_a_background_does_not_reach_the_latents(key):
    """White shapes on colours that differ: the same shape has the same latents on each."""
    colours = np.array([[1, 0, 0], [0.8, 1, 0], [0, 0.4, 1]], np.float32)
    means = np.tile(colours, (1, 32))
    shapes = np.random.default_rng(0).random((4, 32, 1)) < 0.5
    images = [np.where(shapes, 1, c[None, None]).reshape(4, 96) for c in colours]
    variant = grouped.build(_architecture("dense"), (8, 4, 3), means)
    params = variant.init(key)
    first, *others = (
        variant.encode(key, params["encoder"], jnp.asarray(each), jnp.full(4, group))
        for group, each in enumerate(images)
    )
    for other in others:
        np.testing.assert_allclose(first, other, atol=1e-5)
    seen = grouped.deviations(jnp.asarray(images[1]), jnp.asarray(means[[1] * 4]), 3)
    np.testing.assert_allclose(seen, shapes[..., 0], atol=1e-6)


def test_means_of_groups_count_classes_equally():
    images = np.array([[0, 255], [0, 255], [255, 0], [51, 51]], np.uint8)
    found = grouped.group_means(images, np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.2, 0.2]])


def test_an_archive_draws_each_class_with_each_group(key):
    """The decoder shows its told group in one pixel and its latent in another."""
    rng = np.random.default_rng(0)
    of_classes = [
        ClassMixture(np.array([0.25, 0.75]), mean + rng.normal(size=(2, 1)), np.full((2, 1), 0.01))
        for mean in (-4.0, 4.0)
    ]
    mixtures = grouped.at_every_group(of_classes, 3)
    assert len(mixtures) == 6
    decoder = {
        "hidden": {"kernel": np.eye(4, 5, dtype=np.float32), "bias": np.full(5, 10, np.float32)},
        "pixels": {
            "kernel": np.eye(5, 4, dtype=np.float32) * 4,
            "bias": np.full(4, -40, np.float32) - np.array([0, 2, 2, 2], np.float32),
        },
    }
    data = archive.write(
        decoder,
        mixtures,
        image_shape=(2, 2, 1),
        labels=range(6),
        counts=[5, 1, 0, 2, 3, 1],
        covariance="diagonal",
        bits="float32",
    )
    contents = archive.read(data)
    images, labels = archive.sample(contents, per_class=40, seed=0)
    flat = images.reshape(-1, 4).astype(float) / 255
    np.testing.assert_array_equal(flat[:, 0] > 0.5, labels // 3 == 1)
    np.testing.assert_array_equal(flat[:, 1:].argmax(axis=1), labels % 3)
    _, natural = archive.sample(contents, per_class=None, seed=0)
    assert np.bincount(natural, minlength=6).tolist() == [5, 1, 0, 2, 3, 1]


@pytest.mark.parametrize(("field", "value"), [("decoder", "linear"), ("latent", 0), ("hidden", -1)])
def test_architectures_without_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        Architecture(**{field: value})
