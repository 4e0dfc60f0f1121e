"""Sets with few images: components that a class can bear, and training that is long enough."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import lgc
from lgc.gmm import selection
from lgc.gmm.selection import Candidates


@pytest.mark.slow
def test_a_class_of_two_images_limits_no_other():
    rng = np.random.default_rng(0)
    large = rng.normal(size=(300, 2)) + 20 * rng.integers(0, 2, (300, 1))
    latents = np.concatenate([large, rng.normal(size=(2, 2))]).astype(np.float32)
    classes = np.repeat([0, 1], [300, 2])
    config = lgc.Config(max_components=3)
    found = selection.fit_candidates(latents, classes, config, jax.random.key(0))
    assert [len(selection.select(each, config).weights) for each in found] == [2, 1]


@pytest.mark.parametrize(
    ("n_samples", "n_dimensions", "covariance", "most"),
    [(100, 42, "full", 2), (5_000, 64, "full", 78), (2, 42, "full", 1), (9, 42, "diagonal", 4)],
)
def test_a_component_needs_samples(n_samples, n_dimensions, covariance, most):
    assert selection.most_components(n_samples, n_dimensions, covariance) == most


@pytest.mark.slow
@pytest.mark.parametrize("chosen_by", ["bic", "bytes"])
def test_a_candidate_that_diverged_is_passed_over(chosen_by):
    rng = np.random.default_rng(1)
    latents = rng.normal(size=(50, 2)).astype(np.float32)
    config = lgc.Config(max_components=2, selection=chosen_by)
    (good,) = selection.fit_candidates(latents, np.zeros(50, int), config, jax.random.key(0))
    broken = good.mixtures[1]._replace(means=good.mixtures[1].means * np.nan)
    both = Candidates(
        latents, [good.mixtures[0], broken], good.bic - [0, 1e6], np.array([1, 0]) > 0
    )
    assert selection.select(both, config) is good.mixtures[0]


@pytest.mark.slow
def test_few_samples_in_many_dimensions_have_a_likelihood_that_converges():
    latents = np.random.default_rng(2).normal(size=(30, 20)).astype(np.float32)
    config = lgc.Config(components=1)
    (found,) = selection.fit_candidates(latents, np.zeros(30, int), config, jax.random.key(0))
    assert found.usable.all()
    smallest = np.linalg.eigvalsh(found.mixtures[0].covariances[0]).min()
    assert smallest > 0.9e-2  # of variances of 1


@pytest.mark.parametrize(
    ("count", "epochs", "steps"), [(100, None, 2_000), (60_000, None, 7_020), (100, 3, 3)]
)
def test_training_has_steps_enough(count, epochs, steps):
    assert lgc.Config(epochs=epochs).steps(count) == steps


@pytest.mark.parametrize(
    "wrong", [{"selection": "aic"}, {"bits": 1}, {"epochs": 2.5}, {"max_components": 0}]
)
def test_config_names_what_is_wrong(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        lgc.Config(**wrong)
