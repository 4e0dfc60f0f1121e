import jax
import numpy as np
import pytest

from lgc.gmm import label_mixture, mixture_code

pytestmark = pytest.mark.slow


def random(key):
    params = label_mixture.init(key, 3, 2, 4)
    keys = jax.random.split(key, 2)
    return {
        **params,
        "log_scale": 0.3 * jax.random.normal(keys[0], (3, 2, 4)),
        "logits": jax.random.normal(keys[1], (3, 2)),
    }


def test_density_is_that_of_the_stored_mixture(key):
    params = random(key)
    latents = np.asarray(jax.random.normal(key, (5, 4)))
    for number, mixture in enumerate(label_mixture.class_mixtures(params)):
        classes = np.full(5, number)
        expected = mixture_code.log_density(
            latents, mixture.weights, mixture.means, np.sqrt(mixture.covariances)
        )
        found = label_mixture.log_density(params, latents, classes)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_samples_have_the_moments_of_their_class(key):
    params = random(key)
    classes = np.full(20_000, 1)
    drawn = np.asarray(label_mixture.sample(key, params, classes))
    mixture = label_mixture.class_mixtures(params)[1]
    mean = mixture.weights @ mixture.means
    square = mixture.weights @ (mixture.means**2 + mixture.covariances)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(np.mean(drawn**2, axis=0), square, rtol=0.06)


def test_components_that_are_never_drawn_are_left_out(key):
    params = random(key)
    params["logits"] = params["logits"].at[0].set(np.array([0.0, -20.0]))
    mixtures = label_mixture.class_mixtures(params)
    assert [len(m.weights) for m in mixtures] == [1, 2, 2]
    assert mixtures[0].weights.sum() == 1
