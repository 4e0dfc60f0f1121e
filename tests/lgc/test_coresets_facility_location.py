"""Facility location: greedy by gains, its bound, and what totals in place of gains would do."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc.coresets import facility_location
from lgc.coresets.facility_location import lazy_greedy, similarities, stochastic_greedy

greedy = jax.jit(lazy_greedy, static_argnums=1)
sampled = jax.jit(stochastic_greedy, static_argnums=2, static_argnames="epsilon")


def three_clusters() -> tuple[np.ndarray, np.ndarray]:
    """120, 40 and 40 points around three places, and which is where."""
    clusters = np.repeat([0, 1, 2], [120, 40, 40])
    centres = np.array([[0, 0], [6.5, 0], [0, 6.5]])[clusters]
    return centres + 0.3 * np.random.default_rng(0).normal(size=(200, 2)), clusters


def distances_of(points: np.ndarray) -> np.ndarray:
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1)).astype(np.float32)


def plain_greedy(similarity: np.ndarray, count: int) -> list[int]:
    nearest, chosen = np.zeros(len(similarity)), []
    for _ in range(count):
        gains = np.maximum(similarity - nearest[:, None], 0).sum(axis=0)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        nearest = np.maximum(nearest, similarity[:, chosen[-1]])
    return chosen


def greedy_by_totals(similarity: np.ndarray, count: int) -> list[int]:
    """The published mistake: lazy greedy whose keys are F(S + e) and not F(S + e) - F(S)."""
    nearest, chosen = np.zeros(len(similarity)), []
    keys = similarity.sum(axis=0)
    while len(chosen) < count:
        best = int(keys.argmax())
        keys[best] = np.maximum(similarity[:, best], nearest).sum()
        if best == keys.argmax():
            chosen.append(best)
            nearest = np.maximum(nearest, similarity[:, best])
            keys[best] = -1
    return chosen


def test_three_clusters_get_their_shares():
    points, clusters = three_clusters()
    distances = distances_of(points)
    selection = greedy(similarities(jnp.asarray(distances)), 20)
    assert np.bincount(clusters[selection.indices]).tolist() == [9, 5, 6]
    np.testing.assert_allclose(distances[:, selection.indices].min(1).mean(), 0.152, atol=5e-4)
    wrong = greedy_by_totals(distances.max() - distances.astype(np.float64), 20)
    assert np.bincount(clusters[wrong], minlength=3).tolist() == [20, 0, 0]
    np.testing.assert_allclose(distances[:, wrong].min(1).mean(), 2.61, atol=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_lazy_greedy_chooses_what_greedy_chooses_with_fewer_looks(seed):
    points = np.random.default_rng(seed).normal(size=(80, 3))
    similarity = similarities(jnp.asarray(distances_of(points)))
    selection = greedy(similarity, 15)
    assert selection.indices.tolist() == plain_greedy(np.asarray(similarity, np.float64), 15)
    assert int(selection.evaluations) < 80 * 15 / 2
    assert (np.diff(selection.gains) <= 1e-4).all()
    total = facility_location.objective(similarity, selection.indices)
    np.testing.assert_allclose(selection.objective, total, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_reaches_its_share_of_the_best(seed):
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(size=(12, 9)) ** 4  # more images than candidates, no metric
    selection = greedy(jnp.asarray(similarity, jnp.float32), 3)
    subsets = itertools.combinations(range(9), 3)
    best = max(similarity[:, list(subset)].max(axis=1).sum() for subset in subsets)
    assert (1 - 1 / np.e) * best <= float(selection.objective) <= best * (1 + 1e-6)


def test_stochastic_greedy_is_nearly_as_good_with_fewer_looks(key):
    points, _ = three_clusters()
    similarity = similarities(jnp.asarray(distances_of(points)))
    exact = greedy(similarity, 20)
    outcomes = [sampled(one, similarity, 20, epsilon=0.1) for one in jax.random.split(key, 5)]
    for found in outcomes:
        assert len(set(found.indices.tolist())) == 20
        total = facility_location.objective(similarity, found.indices)
        np.testing.assert_allclose(found.objective, total, rtol=1e-5)
        assert int(found.evaluations) == 20 * 24
    mean = np.mean([float(found.objective) for found in outcomes])
    assert 0.9 * float(exact.objective) < mean <= float(exact.objective)


def test_all_candidates_can_be_chosen(key):
    similarity = similarities(jnp.asarray(distances_of(np.zeros((6, 2)))))  # six copies
    for selection in (greedy(similarity, 6), sampled(key, similarity, 6, epsilon=0.5)):
        assert sorted(selection.indices.tolist()) == list(range(6))


def test_weights_are_cluster_sizes():
    distances = jnp.array([[0.0, 3], [1, 1], [2, 0.5], [9, 0], [4, 3]])
    assert facility_location.cluster_sizes(distances).tolist() == [2, 3]


@pytest.mark.parametrize("count", [0, 7])
def test_counts_that_cannot_be(count):
    with pytest.raises(ValueError, match=f"{count} of 6"):
        greedy(jnp.zeros((6, 6)), count)


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_epsilons_that_cannot_be(key, epsilon):
    with pytest.raises(ValueError, match=str(epsilon)):
        stochastic_greedy(key, jnp.zeros((6, 6)), 2, epsilon=epsilon)
