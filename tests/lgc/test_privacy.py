from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgc.privacy import distance_ratios

_nearest = jax.jit(distance_ratios.nearest, static_argnames=("count", "block", "reference_block"))
_memorisation = jax.jit(distance_ratios.memorisation, static_argnames="permutations")


@pytest.mark.parametrize(("block", "reference_block"), [(7, 10), (100, 64), (3, 200)])
def test_nearest_neighbours_agree_with_all_distances(block, reference_block):
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 256, (23, 12)).astype(np.uint8)
    references = rng.integers(0, 256, (64, 12)).astype(np.uint8)
    references[5] = queries[3]
    found = _nearest(queries, references, 4, block=block, reference_block=reference_block)
    apart = np.linalg.norm(queries[:, None].astype(float) - references[None], axis=-1)
    np.testing.assert_allclose(found.distances, np.sort(apart, axis=1)[:, :4], rtol=1e-6)
    rows = np.arange(23)[:, None]
    np.testing.assert_allclose(apart[rows, found.indices], found.distances, rtol=1e-6)
    assert found.distances[3, 0] == 0


def test_more_neighbours_than_references_are_refused():
    with pytest.raises(ValueError, match="5 neighbours among 4 references"):
        distance_ratios.nearest(jnp.zeros((2, 3)), jnp.zeros((4, 3)), 5)


def test_ratios_of_a_line():
    pool = jnp.array([[0.0], [1.0], [3.0], [7.0]])
    members = jnp.array([True, False, True, False])
    neighbours = _nearest(jnp.array([[0.2], [6.0], [2.5]]), pool, 4)
    ratios = np.exp(distance_ratios.log_distance_ratios(neighbours, members))
    np.testing.assert_allclose(ratios, [0.2 / 0.8, 3.0 / 1.0, 0.5 / 1.5], rtol=1e-4)
    assert distance_ratios.closer_to_members(neighbours, members) == pytest.approx(2 / 3)


def test_a_kind_beyond_the_last_neighbour_is_taken_at_it():
    pool = jnp.array([[0.0], [1.0], [3.0], [7.0]])
    members = jnp.array([True, True, False, False])
    neighbours = _nearest(jnp.array([[0.25]]), pool, 2)
    np.testing.assert_allclose(
        np.exp(distance_ratios.log_distance_ratios(neighbours, members)), [0.25 / 0.75], rtol=1e-4
    )


def _pool(n=200, d=5):
    rng = np.random.default_rng(1)
    pool = jnp.asarray(rng.normal(size=(n, d)), jnp.float32)
    classes = jnp.arange(n) % 2
    half = rng.permutation(n // 2) < n // 4
    members = jnp.asarray(np.stack([half, ~half], axis=1).reshape(-1))
    return rng, pool, classes, members


def test_noisy_copies_of_members_are_found_out():
    rng, pool, classes, members = _pool()
    drawn = pool[members] + 0.1 * rng.normal(size=(100, 5))
    neighbours = _nearest(drawn, pool, 16)
    found = _memorisation(jax.random.key(0), neighbours, members, classes, permutations=99)
    assert found.p_value == pytest.approx(1 / 100)
    assert found.closer_share > 0.95
    assert found.ratio_quantiles[4] < 0.3


@pytest.mark.slow
def test_under_the_null_p_values_are_uniform():
    """Fresh draws and random halves: each p-value rank is as likely as any other."""
    rng, pool, classes, _ = _pool()
    drawn = jnp.asarray(rng.normal(size=(60, 5)), jnp.float32)
    neighbours = _nearest(drawn, pool, 16)

    def p_value(key):
        key_half, key_test = jax.random.split(key)
        members = jax.random.permutation(key_half, len(pool)) < len(pool) // 2
        return _memorisation(key_test, neighbours, members, permutations=49).p_value

    values = np.sort(
        jax.jit(partial(jax.lax.map, p_value))(jax.random.split(jax.random.key(2), 120))
    )
    uniform = (np.arange(120) + 0.5) / 120
    assert np.abs(values - uniform).max() < 0.15  # Kolmogorov-Smirnov at a level of about 1 %


def test_permutations_stay_within_classes():
    """Members that are a whole class: every permuted half is the same half, and p is one."""
    _, pool, classes, _ = _pool()
    neighbours = _nearest(pool[classes == 1] + 0.01, pool, 16)
    found = _memorisation(jax.random.key(0), neighbours, classes == 1, classes, permutations=99)
    assert found.closer_share > 0.95
    assert found.p_value == 1
