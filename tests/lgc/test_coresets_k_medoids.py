"""k-medoids: swaps never lose, end at the best of small problems, and k-medoids++ starts well."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc.coresets import k_medoids, tsne_medoids

pytestmark = pytest.mark.slow

starts = jax.jit(jax.vmap(k_medoids.plus_plus, (0, None, None)), static_argnums=2)
swap = jax.jit(jax.vmap(k_medoids.faster_pam, (None, 0)))
alternate = jax.jit(jax.vmap(tsne_medoids.alternate, (None, 0)))


@jax.jit
def swap_while(distances, medoids, looks):
    """From one start, for several numbers of looks."""

    def run(limit):
        return k_medoids.faster_pam(distances, medoids, max_candidates=limit)

    return jax.vmap(run)(looks)


def distances_of(count: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(count, 2))
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1)).astype(np.float32)


def cost(distances: np.ndarray, medoids) -> float:
    return float(distances[list(medoids)].min(axis=0).astype(np.float64).sum())


@pytest.mark.parametrize("count", [1, 3])
def test_the_best_of_all_subsets(count, key):
    keys = jax.random.split(key, 16)
    for seed in range(4):
        distances = distances_of(13, seed)
        best = min(cost(distances, s) for s in itertools.combinations(range(13), count))
        found = swap(distances, starts(keys, distances, count))
        np.testing.assert_allclose(found.objective.min(), best, rtol=1e-5)
        assert found.converged.all()
        assert (found.objective < 1.1 * best).all()


@pytest.mark.parametrize("count", [1, 3])
def test_changes_are_what_swapping_changes(count):
    distances = distances_of(15, 2)
    medoids = list(range(count))
    rows = distances[medoids]
    ordered = np.sort(np.concatenate([rows, np.full((1, 15), distances.max())]), axis=0)
    for candidate in range(count, 15):
        change = k_medoids.swap_changes(
            jnp.asarray(distances[candidate]),
            jnp.asarray(rows.argmin(0)),
            jnp.asarray(ordered[0]),
            jnp.asarray(ordered[1]),
            count,
        )
        for place in range(count):
            changed = [*medoids[:place], candidate, *medoids[place + 1 :]]
            expected = cost(distances, changed) - cost(distances, medoids)
            np.testing.assert_allclose(change[place], expected, atol=1e-5)


def test_the_objective_never_rises_and_ends_where_no_swap_gains():
    distances = distances_of(40, 5)
    looks = np.arange(200)
    found = swap_while(distances, np.arange(4), looks)
    costs = [cost(distances, medoids) for medoids in found.indices.tolist()]
    np.testing.assert_allclose(found.objective, costs, rtol=1e-5)
    assert costs[0] == cost(distances, range(4))
    assert all(after <= before for before, after in itertools.pairwise(costs))
    assert len(set(costs)) == 1 + int(found.swaps[-1]) > 3
    assert not found.converged[:40].any()
    assert found.converged[-1]
    end = found.indices[-1]
    np.testing.assert_array_equal(found.labels[-1], distances[end].argmin(0))
    chosen = end.tolist()
    for place, other in itertools.product(range(4), set(range(40)) - set(chosen)):
        swapped = [*chosen[:place], other, *chosen[place + 1 :]]
        assert cost(distances, swapped) >= costs[-1] * (1 - 2e-6)


def test_better_than_random_and_than_alternation(key):
    distances = distances_of(40, 7)
    rng = np.random.default_rng(0)
    randoms = [cost(distances, rng.choice(40, 4, replace=False)) for _ in range(50)]
    seeds = starts(jax.random.split(key, 16), distances, 4)
    seeded = [cost(distances, one) for one in seeds.tolist()]
    swapped = swap(distances, seeds).objective
    alternated = alternate(distances, seeds).objective
    assert np.mean(seeded) < np.mean(randoms)
    assert (alternated <= np.array(seeded) * (1 + 1e-6)).all()
    assert swapped.mean() < alternated.mean() < np.mean(seeded)
    assert swapped.max() < min(randoms)


def test_copies_are_no_trap(key):
    distances = np.zeros((13, 13), np.float32)
    distances[:12, 12] = distances[12, :12] = 1
    seeds = starts(jax.random.split(key, 16), distances, 3)
    for found in (swap(distances, seeds), alternate(distances, seeds)):
        assert (found.objective == 0).all()
        assert found.converged.all()
        assert all(len(set(medoids)) == 3 for medoids in found.indices.tolist())
