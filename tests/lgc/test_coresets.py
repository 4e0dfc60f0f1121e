"""k-center, herding, quotas, and the published coreset."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import networks
from lgc.coresets import herding, k_center, quotas, tsne_medoids


@functools.partial(jax.jit, static_argnums=2)
def farthest_first(first, points, count):
    return k_center.farthest_first(first, k_center.row_distances(points), count)


@functools.partial(jax.jit, static_argnums=1)
def herd(features, count):
    return herding.herd(*herding.linear(features), count)


@pytest.mark.parametrize("seed", range(4))
def test_centres_are_within_twice_the_best_radius(seed):
    points = np.random.default_rng(seed).normal(size=(12, 2)).astype(np.float32)
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
    found = farthest_first(seed, points, 3)
    subsets = itertools.combinations(range(12), 3)
    best = min(distances[list(subset)].min(axis=0).max() for subset in subsets)
    radius = distances[found.indices].min(axis=0).max()
    assert best <= radius * (1 + 1e-6)
    assert radius <= 2 * best * (1 + 1e-6)
    np.testing.assert_allclose(found.radii[-1], radius, rtol=1e-5)
    assert (np.diff(found.radii) <= 0).all()


def test_centres_on_a_line_are_its_ends_then_its_middle():
    points = jnp.arange(9.0)[:, None]
    found = farthest_first(0, points, 9)
    assert found.indices[:3].tolist() == [0, 8, 4]
    assert found.radii[:3].tolist() == [8, 4, 2]
    assert sorted(found.indices.tolist()) == list(range(9))
    assert float(found.radii[-1]) == 0


def test_copies_of_centres_are_chosen_once_each():
    found = farthest_first(2, jnp.ones((5, 3)), 5)
    assert sorted(found.indices.tolist()) == list(range(5))


def herd_plainly(features: np.ndarray, count: int) -> list[int]:
    mean, w, chosen = features.mean(0), features.mean(0), []
    for _ in range(count):
        score = features @ w
        score[chosen] = -np.inf
        chosen.append(int(score.argmax()))
        w = w + mean - features[chosen[-1]]
    return chosen


def test_herding_follows_its_recursion():
    features = np.random.default_rng(0).normal(size=(50, 6))
    found = herd(features.astype(np.float32), 12)
    assert found.tolist() == herd_plainly(features, 12)


def test_herding_takes_classes_in_proportion():
    # One-hot features: the mean of t images must come within one image of every share.
    classes = np.repeat([0, 1, 2], [60, 30, 10])
    features = jnp.eye(3)[classes]
    found = np.asarray(herd(features, 50))
    for t in range(1, 51):
        counts = np.bincount(classes[found[:t]], minlength=3)
        assert np.abs(counts - t * np.array([0.6, 0.3, 0.1])).max() <= 1


def test_herding_keeps_the_mean_better_than_chance():
    features = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    found = np.asarray(herd(features, 40))
    rng = np.random.default_rng(2)

    def error(subset):
        return np.linalg.norm(features[subset].mean(0) - features.mean(0))

    randoms = [error(rng.choice(300, 40, replace=False)) for _ in range(50)]
    assert error(found) < 0.5 * min(randoms)


@pytest.mark.parametrize("count", [0, 6])
def test_counts_that_cannot_be(count):
    points = jnp.ones((5, 2))
    with pytest.raises(ValueError, match=f"{count} of 5"):
        herd(points, count)
    with pytest.raises(ValueError, match=f"{count} of 5"):
        farthest_first(0, points, count)
    for rule in (quotas.balanced, quotas.proportional):
        with pytest.raises(ValueError, match=f"{count} of 5"):
            rule([2, 0, 3], count)


@pytest.mark.parametrize(
    ("sizes", "count", "equal", "fair"),
    [
        ([50, 50], 7, [4, 3], [4, 3]),
        ([60, 30, 10], 10, [4, 3, 3], [6, 3, 1]),
        ([1, 100, 100], 11, [1, 5, 5], [0, 6, 5]),
        ([2, 0, 3], 5, [2, 0, 3], [2, 0, 3]),
        ([7, 1, 4], 9, [4, 1, 4], [5, 1, 3]),
    ],
)
def test_quotas(sizes, count, equal, fair):
    assert quotas.balanced(sizes, count) == equal
    assert quotas.proportional(sizes, count) == fair


def test_classes_are_chosen_apart_and_mixed():
    labels = np.array([0, 1, 1, 0, 1, 1, 1, 1, 2])

    def last_ones(number, members, quota):
        assert (labels[members] == number).all()
        return np.arange(len(members))[::-1][:quota], np.full(quota, len(members) / quota)

    subset = quotas.by_class(labels, [1, 3, 0], last_ones)
    assert subset.indices.tolist() == [7, 3, 6, 5]
    assert subset.weights.tolist() == [2, 2, 2, 2]


@pytest.mark.slow
def test_moving_gradients_are_those_of_the_network_at_each_visit(key):
    network = networks.mlp((9, 4, 3))
    images = jax.random.uniform(key, (6, 3, 3, 1))
    labels = jnp.array([2, 1, 2, 2, 1, 0])

    @jax.jit
    def visit(key, images, labels):
        params = network.init(jax.random.split(key)[0])
        visited = tsne_medoids.epoch_gradients(key, network, images, labels, learning_rate=0.1)
        return params, visited

    params, found = visit(key, images, labels)
    assert found.shape == (6, 12)
    first, last = params["dense1"], params["output"]
    hidden = np.maximum(images[0].ravel() @ first["kernel"] + first["bias"], 0)
    odds = np.exp(hidden @ last["kernel"] + last["bias"])
    error = odds / odds.sum() - np.array([0, 0, 1])
    np.testing.assert_allclose(found[0], np.outer(hidden, error).ravel(), atol=1e-6)
    # Every later one belongs to a network that has learned: of the same image it is smaller.
    _, again = visit(key, jnp.tile(images[:1], (6, 1, 1, 1)), jnp.full(6, 2))
    assert (np.diff(np.linalg.norm(again, axis=1)) < 0).all()


@pytest.mark.slow
def test_the_reports_medoids_lie_in_the_clusters_of_its_picture(key):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    gradients = 8 * np.eye(3)[labels] + rng.normal(size=(60, 3))
    points = tsne_medoids.embedding_and_labels(gradients, labels, seed=0)
    assert points.shape == (60, 3)
    np.testing.assert_array_equal(points[:, 2], labels)
    choose = jax.jit(tsne_medoids.tsne_medoids, static_argnums=2)
    found = choose(key, points, 6)
    assert len(set(found.indices.tolist())) == 6
    assert set(labels[found.indices]) == {0, 1, 2}
    assert bool(found.converged)
    # The label is a column like the others: far apart, labels alone decide.
    found = choose(key, points * np.array([0.01, 0.01, 9], np.float32), 3)
    assert sorted(labels[found.indices].tolist()) == [0, 1, 2]


@pytest.mark.slow
def test_importing_coresets_is_light():
    program = (
        "import sys, lgc.coresets, lgc.coresets.tsne_medoids, lgc.coresets.lossy_subset;"
        "print([m for m in ('sklearn', 'matplotlib', 'cvxpy', 'tensorflow') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
