from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from fewbits.coding.weights import model_file
from lgc.gmm import mixture_code
from lgc.gmm.mixture_code import ClassMixture


def _mixture(kind: str, seed: int = 0, count: int = 3, dimension: int = 4) -> ClassMixture:
    rng = np.random.default_rng(seed)
    square = rng.normal(size=(count, dimension, dimension))
    full = square @ square.swapaxes(1, 2) + 0.1 * np.eye(dimension)
    covariances = {
        "full": full,
        "tied": full[0],
        "diagonal": np.diagonal(full, axis1=1, axis2=2),
        "spherical": full[:, 0, 0],
    }[kind]
    return ClassMixture(
        rng.dirichlet(np.ones(count)), rng.normal(size=(count, dimension)), covariances
    )


def _as_full(mixture: ClassMixture, kind: str) -> np.ndarray:
    count, dimension = mixture.means.shape
    if kind == "full":
        return mixture.covariances
    if kind == "tied":
        return np.broadcast_to(mixture.covariances, (count, dimension, dimension))
    if kind == "diagonal":
        return np.stack([np.diag(row) for row in mixture.covariances])
    return np.stack([value * np.eye(dimension) for value in mixture.covariances])


@pytest.mark.parametrize("kind", mixture_code.COVARIANCES)
def test_stored_tensors_give_the_covariance_back(kind):
    mixture = _mixture(kind)
    means, factors = mixture_code.from_tensors(
        mixture_code.to_tensors(mixture, kind), mixture.weights
    )
    if factors.ndim == 2:
        factors = np.stack([np.diag(row) for row in factors])
    np.testing.assert_allclose(means, mixture.means, rtol=1e-6)
    np.testing.assert_allclose(
        factors @ factors.swapaxes(1, 2), _as_full(mixture, kind), rtol=2e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", mixture_code.COVARIANCES)
def test_log_density_agrees_with_scipy(kind):
    mixture = _mixture(kind)
    points = np.random.default_rng(1).normal(size=(20, 4))
    means, factors = mixture_code.from_tensors(
        mixture_code.to_tensors(mixture, kind), mixture.weights
    )
    expected = sum(
        weight * multivariate_normal(mean, covariance).pdf(points)
        for weight, mean, covariance in zip(
            mixture.weights, mixture.means, _as_full(mixture, kind), strict=True
        )
    )
    got = mixture_code.log_density(points, mixture.weights, means, factors)
    np.testing.assert_allclose(got, np.log(expected), atol=1e-4)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), bits=st.integers(2, 8), dimension=st.integers(1, 9))
def test_any_quantisation_leaves_a_valid_covariance(seed, bits, dimension):
    mixture = _mixture("full", seed, dimension=dimension)
    stored = model_file.quantise(mixture_code.to_tensors(mixture, "full"), bits)
    _, factors = mixture_code.from_tensors(stored, mixture.weights)
    covariances = factors @ factors.swapaxes(1, 2)
    assert np.linalg.eigvalsh(covariances).min() > 0
    np.testing.assert_allclose(
        np.diagonal(covariances, axis1=1, axis2=2), np.exp(2 * stored["log_scale"]), rtol=1e-5
    )


def test_weights_are_whole_numbers_of_at_least_one():
    assert mixture_code.weights_to_integers(np.array([1e-9, 1 - 1e-9])) == [1, 65536]


@pytest.mark.parametrize("name", ["means", "log_scale", "correlation"])
def test_tensors_that_do_not_belong_together_are_refused(name):
    mixture = _mixture("full")
    tensors = mixture_code.to_tensors(mixture, "full")
    tensors[name] = tensors[name][:-1, :-1]
    with pytest.raises(ValueError, match="shape"):
        mixture_code.from_tensors(tensors, mixture.weights)
