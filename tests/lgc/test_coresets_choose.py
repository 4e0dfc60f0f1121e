"""Every coreset on classes whose gradients form clusters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc.coresets import choose
from lgc.coresets.gradients import LastLayer

N_CLUSTERS = 3
CLUSTERED = [choose.facility, choose.sampled_facility(0.01), choose.medoids]
CHOICES = [
    choose.facility,
    choose.centres,
    choose.herded,
    # Their parts have tests of their own; compiling them takes seconds.
    *(pytest.param(choice, marks=pytest.mark.slow) for choice in CLUSTERED[1:]),
]


@pytest.fixture(scope="module")
def problem() -> tuple[LastLayer, np.ndarray, np.ndarray]:
    """Two classes of three clusters of 4, 8 and 12 images; gradients, labels, clusters."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1], 24))
    clusters = np.zeros(48, int)
    for number in (0, 1):
        clusters[labels == number] = rng.permutation(np.repeat([0, 1, 2], [4, 8, 12]))
    inputs = 5 * np.eye(N_CLUSTERS)[clusters] + rng.normal(0, 0.1, (2, 48, N_CLUSTERS))
    errors = np.stack([np.eye(2)[labels]] * 2) + rng.normal(0, 0.02, (2, 48, 2))
    return LastLayer(jnp.asarray(errors), jnp.asarray(inputs)), labels, clusters


@pytest.mark.parametrize("choice", CHOICES)
def test_each_cluster_is_found(choice, key, problem):
    gradients, labels, clusters = problem
    subset = choose.by_class(key, choice, gradients, labels, [3, 3])
    assert subset.indices.shape == subset.weights.shape == (6,)
    np.testing.assert_allclose(subset.weights.sum(), 48)
    assert labels[subset.indices].tolist() == [0, 1] * 3
    for number in (0, 1):
        found = clusters[subset.indices[labels[subset.indices] == number]]
        if choice is choose.herded:  # shares of the mean: 4, 8, 12 of 24
            assert {1, 2} <= set(found)
        else:
            assert sorted(found) == [0, 1, 2]
    if choice in CLUSTERED:
        sizes = np.array([4, 8, 12])[clusters[subset.indices]]
        np.testing.assert_array_equal(subset.weights, sizes)


def test_random_images_are_distinct_and_follow_the_key(key, problem):
    gradients, labels, _ = problem
    subset = choose.by_class(key, choose.at_random, gradients, labels, [5, 0])
    assert len(set(subset.indices.tolist())) == 5
    assert (labels[subset.indices] == 0).all()
    np.testing.assert_allclose(subset.weights, 24 / 5, rtol=1e-6)
    key = jax.random.key(1)
    other = choose.by_class(key, choose.at_random, gradients, labels, [5, 0])
    assert subset.indices.tolist() != other.indices.tolist()
