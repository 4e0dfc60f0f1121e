"""Density, sampling and description length of Gaussian mixtures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from lgc.gmm import covariances, gaussian_mixture
from lgc.gmm.covariances import KINDS, Kind

SKLEARN_NAMES = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}
log_prob = jax.jit(gaussian_mixture.log_prob)
sample = jax.jit(gaussian_mixture.sample, static_argnums=2)


def random_mixture(
    kind: Kind, n_components: int = 3, n_dimensions: int = 4
) -> gaussian_mixture.Mixture:
    rng = np.random.default_rng(5)
    factors = covariances.identity_factors(kind, n_components, n_dimensions, jnp.float32)
    shaped = rng.normal(size=factors.shape) * 0.4
    if factors.ndim == 3:
        shaped = np.tril(shaped, -1) + np.eye(n_dimensions) * rng.uniform(0.5, 2, n_dimensions)
    else:
        shaped = np.abs(shaped) + 0.5
    weights = rng.dirichlet(np.ones(n_components))
    means = rng.normal(size=(n_components, n_dimensions)) * 2
    return gaussian_mixture.Mixture(
        jnp.log(jnp.asarray(weights, jnp.float32)),
        jnp.asarray(means, jnp.float32),
        jnp.asarray(shaped, jnp.float32),
        jnp.ones(n_components, bool),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_density_is_the_weighted_sum_of_scipys_normals(kind):
    mixture = random_mixture(kind)
    samples = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32) * 2
    matrices = np.asarray(gaussian_mixture.covariance_matrices(mixture), np.float64)
    density = sum(
        np.exp(float(log_weight)) * multivariate_normal(mean, matrix).pdf(samples)
        for log_weight, mean, matrix in zip(
            mixture.log_weights, np.asarray(mixture.means), matrices, strict=True
        )
    )
    found = log_prob(mixture, jnp.asarray(samples))
    np.testing.assert_allclose(found, np.log(density), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_moments_of_the_mixture(key, kind):
    mixture = random_mixture(kind)
    n_samples = 40_000
    samples, components = sample(key, mixture, n_samples)
    weights = np.exp(mixture.log_weights)
    shares = np.bincount(components, minlength=3) / n_samples
    np.testing.assert_allclose(shares, weights, atol=4 * 0.5 / np.sqrt(n_samples))
    for index, matrix in enumerate(np.asarray(gaussian_mixture.covariance_matrices(mixture))):
        own = np.asarray(samples)[np.asarray(components) == index]
        error = np.sqrt(np.diag(matrix) / len(own))
        assert np.all(np.abs(own.mean(0) - mixture.means[index]) < 5 * error)
        np.testing.assert_allclose(
            np.cov(own.T), matrix, atol=8 * np.diag(matrix).max() / np.sqrt(len(own))
        )


def test_the_same_key_draws_the_same_samples_and_another_key_others(key):
    mixture = random_mixture("full")
    first, again = (sample(key, mixture, 20)[0] for _ in range(2))
    other, _ = sample(jax.random.key(1), mixture, 20)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_empty_place_changes_neither_density_nor_samples(key):
    mixture = random_mixture("full")
    emptied = gaussian_mixture.Mixture(
        jnp.pad(mixture.log_weights, (0, 1), constant_values=-jnp.inf),
        jnp.pad(mixture.means, ((0, 1), (0, 0))),
        jnp.concatenate([mixture.factors, jnp.eye(4)[None]]),
        jnp.pad(mixture.mask, (0, 1)),
    )
    samples, components = sample(key, emptied, 500)
    assert int(components.max()) == 2
    np.testing.assert_allclose(log_prob(emptied, samples), log_prob(mixture, samples), rtol=1e-6)


@pytest.mark.parametrize("n_dimensions", [1, 2, 5, 16, 37, 64])
def test_triangular_inverse_inverts(n_dimensions):
    rng = np.random.default_rng(n_dimensions)
    lower = np.tril(rng.normal(size=(3, n_dimensions, n_dimensions)) / np.sqrt(n_dimensions), -1)
    lower += np.eye(n_dimensions) * rng.uniform(0.5, 2, size=n_dimensions)
    inverse = jax.jit(covariances.triangular_inverse)(jnp.asarray(lower, jnp.float32))
    np.testing.assert_allclose(inverse @ lower, np.stack([np.eye(n_dimensions)] * 3), atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_components", [1, 3])
def test_free_parameters_and_bic_are_scikit_learns(kind, n_components):
    samples = np.random.default_rng(2).normal(size=(200, 5))
    theirs = GaussianMixture(n_components, covariance_type=SKLEARN_NAMES[kind], random_state=0).fit(
        samples
    )
    assert covariances.free_parameters(kind, n_components, 5) == theirs._n_parameters()
    mixture = random_mixture(kind, n_components, 5)
    found = gaussian_mixture.bic(kind, mixture, jnp.float32(theirs.score(samples)), len(samples))
    np.testing.assert_allclose(found, theirs.bic(samples), rtol=1e-5)


def test_bic_counts_only_the_components_in_use():
    mixture = random_mixture("diagonal")
    fewer = mixture._replace(mask=jnp.array([True, True, False]))
    difference = gaussian_mixture.bic("diagonal", mixture, 0.0, 100) - gaussian_mixture.bic(
        "diagonal", fewer, 0.0, 100
    )
    np.testing.assert_allclose(difference, (4 + 4 + 1) * np.log(100), rtol=1e-6)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="'diag' is unknown"):
        covariances.check_kind("diag")
