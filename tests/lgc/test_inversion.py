from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc import archive
from lgc.autoencoders import decoders
from lgc.gmm.mixture_code import ClassMixture
from lgc.privacy import inversion
from lgc.privacy.inversion import InversionConfig


def _archive(covariance):
    """Two classes, three components and one, of a decoder with 3 latents and 5 x 4 images."""
    rng = np.random.default_rng(0)
    decoder = decoders.init_dense(jax.random.key(0), 3, (6,), 20)
    decoder = jax.tree.map(lambda leaf: 2.0 * np.asarray(leaf), decoder)
    mixtures = []
    for count in (3, 1):
        factor = 0.3 * np.eye(3) + 0.1 * np.tril(rng.normal(size=(count, 3, 3)), -1)
        full = factor @ factor.swapaxes(1, 2)
        variances = full if covariance == "full" else np.diagonal(full, axis1=1, axis2=2)
        mixtures.append(
            ClassMixture(np.full(count, 1 / count), rng.normal(size=(count, 3)), variances)
        )
    data = archive.write(
        decoder,
        mixtures,
        image_shape=(5, 4, 1),
        labels=(0, 1),
        counts=(10, 10),
        covariance=covariance,
        bits="float32",
    )
    return archive.read(data)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_padded_mixtures_are_the_stored_ones(covariance):
    contents = _archive(covariance)
    first, second = inversion.class_mixtures(contents)
    np.testing.assert_allclose(first.means, contents.means[:3], rtol=1e-6)
    np.testing.assert_allclose(second.factors[0], contents.factors[3], rtol=1e-6)
    assert second.mask.tolist() == [True, False, False]
    np.testing.assert_allclose(np.exp(second.log_weights), [1, 0, 0])


def _images(contents):
    """30 images drawn from the first class, and 30 of noise."""
    own = archive.sample(contents, per_class=30, seed=5)[0][:30].reshape(30, -1)
    foreign = np.random.default_rng(1).integers(0, 256, (30, 20)).astype(np.uint8)
    return jnp.asarray(np.concatenate([own, foreign]))


def _scored(contents, images, config):
    scores = jax.jit(inversion.scores, static_argnums=(4, 5))
    mixture = inversion.class_mixtures(contents)[0]
    return scores(jax.random.key(2), contents.decoder, mixture, images, (5, 4, 1), config)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_an_image_of_the_file_is_explained_and_another_is_not(covariance):
    contents = _archive(covariance)
    config = InversionConfig(draws=200, steps=60, learning_rate=0.05, batch_size=30)
    found = _scored(contents, _images(contents), config)
    for score in found:
        assert score.shape == (60,)
        assert np.isfinite(score).all()
        assert score[:30].min() > score[30:].max()
    assert found.reconstruction[:30].min() > -3e-3
    # A pixel's rounding and what the prior charges for three latents is all that is left.
    assert found.likelihood[:30].min() > -12


@pytest.mark.slow
def test_the_search_begins_at_the_nearest_draw_and_never_ends_below_it():
    contents = _archive("diagonal")
    images = _images(contents)
    started, astray = (
        _scored(contents, images, InversionConfig(50, steps, 100.0, batch_size=30))
        for steps in (0, 1)
    )
    np.testing.assert_allclose(started.reconstruction, -(started.nearness**2) / 20, rtol=1e-4)
    assert (astray.likelihood >= started.likelihood - 1e-3).all()


@pytest.mark.parametrize(
    ("field", "value"), [("draws", 0), ("batch_size", 0), ("steps", -1), ("deviation", 0.0)]
)
def test_choices_without_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        InversionConfig(**{field: value})
