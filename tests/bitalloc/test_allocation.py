"""The knapsack against the integer program, brute force, the greedy rule and its bounds."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitalloc.fitting import allocation, integer_program


def instance(seed: int) -> tuple[np.ndarray, int]:
    """Even seeds are concave (falling increments), odd ones arbitrary; four shapes."""
    rng = np.random.default_rng(seed)
    n_features, n_depths = [(20, 5), (5, 7), (24, 2), (11, 6)][seed // 2 % 4]
    increments = rng.exponential(size=(n_features, n_depths - 1))
    if seed % 2 == 0:
        increments = -np.sort(-increments, axis=1)
        gain = np.concatenate([np.zeros((n_features, 1)), increments.cumsum(1)], axis=1)
    else:
        gain = rng.normal(size=(n_features, n_depths))
    return gain, int(rng.integers(0, n_features * (n_depths - 1) + 2))


compiled = jax.jit(allocation.knapsack, static_argnums=1)


def solve(gain: np.ndarray) -> allocation.Allocation:
    """All budgets up to one past the largest that can be spent."""
    with jax.enable_x64(True):
        return jax.tree.map(
            np.asarray, compiled(jnp.asarray(gain), gain.shape[0] * (gain.shape[1] - 1) + 1)
        )


@pytest.mark.parametrize("seed", range(100))
def test_knapsack_equals_the_integer_program(seed):
    gain, budget = instance(seed)
    ours = solve(gain)
    theirs = integer_program.solve_integer_program(gain, budget)
    assert theirs.optimal
    np.testing.assert_allclose(ours.value[budget], theirs.value, rtol=0, atol=1e-9)
    assert ours.value[budget] <= theirs.bound + 1e-6
    depth = ours.depth[budget]
    assert depth.sum() <= budget
    np.testing.assert_allclose(gain[np.arange(len(gain)), depth].sum(), theirs.value, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_every_budget_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    gain = rng.normal(size=(4, 4))
    ours = solve(gain)
    for budget in range(13):
        best = max(
            gain[np.arange(4), list(depths)].sum()
            for depths in itertools.product(range(4), repeat=4)
            if sum(depths) <= budget
        )
        np.testing.assert_allclose(ours.value[budget], best, atol=1e-12)
        assert ours.depth[budget].sum() <= budget


@pytest.mark.parametrize("seed", range(0, 20, 2))
def test_greedy_is_optimal_on_concave_gains_and_prices_fall(seed):
    gain, _ = instance(seed)
    ours = solve(gain)
    increments = -np.sort(-np.diff(gain, axis=1).ravel())
    greedy = gain[:, 0].sum() + np.concatenate([[0], increments.cumsum()])
    np.testing.assert_allclose(ours.value[:-1], greedy, atol=1e-9)
    prices = np.asarray(allocation.shadow_prices(ours.value))
    assert np.all(np.diff(prices) <= 1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_relaxation_bounds_the_knapsack_and_brackets_its_price(seed):
    gain, budget = instance(seed)
    budget = max(1, min(budget, gain.size // 2))
    value = solve(gain).value
    relaxed = integer_program.solve_relaxation(gain, budget)
    assert relaxed.optimal
    assert relaxed.n_fractional <= 2
    assert value[budget] <= relaxed.bound + 1e-7
    # A gap is at most one upgrade: the relaxation moves at most one depth fractionally.
    assert relaxed.bound - value[budget] <= np.abs(np.diff(gain, axis=1)).sum(axis=1).max() + 1e-9
    if seed % 2 == 0:
        np.testing.assert_allclose(relaxed.bound, value[budget], atol=1e-7)
        assert relaxed.shadow_price >= value[budget + 1] - value[budget] - 1e-7
        assert relaxed.shadow_price <= value[budget] - value[budget - 1] + 1e-7


@pytest.mark.slow
def test_two_levels_equal_one_knapsack_over_all_features():
    rng = np.random.default_rng(3)
    gains = [rng.normal(size=(m, 4)) for m in (3, 5, 2)]
    with jax.enable_x64(True):
        two = allocation.two_level_knapsack([jnp.asarray(g) for g in gains], 15)
        one = allocation.knapsack(jnp.asarray(np.concatenate(gains)), 15)
    np.testing.assert_allclose(two.value, one.value, atol=1e-12)
    for s, gain in enumerate(gains):
        depth = np.asarray(two.depth[s])
        assert np.all(depth.sum(axis=1) <= np.asarray(two.sensor_bits)[:, s])
        assert depth.shape == (16, len(gain))
    assert np.all(np.asarray(two.sensor_bits).sum(axis=1) <= np.arange(16))
    total = sum(
        gain[np.arange(len(gain)), np.asarray(two.depth[s])].sum(axis=1)
        for s, gain in enumerate(gains)
    )
    np.testing.assert_allclose(total, two.value, atol=1e-12)


def test_vmap_equals_a_python_loop():
    gains = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6, 4)), jnp.float32)
    batched = jax.vmap(lambda gain: allocation.knapsack(gain, 9))(gains)
    for i, gain in enumerate(gains):
        single = allocation.knapsack(gain, 9)
        np.testing.assert_array_equal(batched.depth[i], single.depth)
        np.testing.assert_array_equal(batched.value[i], single.value)


def test_equal_gains_spend_nothing():
    assert solve(np.ones((5, 3))).depth.max() == 0


def test_fewest_bits_reads_the_curve_sideways():
    curve = np.array([0.33, np.nan, 0.7, 0.69, 0.9])
    assert allocation.fewest_bits(curve, 0.7) == 2
    assert allocation.fewest_bits(curve, 0.8) == 4
    assert allocation.fewest_bits(curve, 0.95) is None


@pytest.mark.parametrize(("gain", "budget"), [(np.zeros(3), 4), (np.zeros((0, 3)), 4)])
def test_a_gain_that_is_no_matrix_is_refused(gain, budget):
    with pytest.raises(ValueError, match="gain must have shape"):
        allocation.knapsack(jnp.asarray(gain), budget)


def test_bad_budgets_and_no_sensors_are_refused():
    with pytest.raises(ValueError, match="-1"):
        allocation.knapsack(jnp.zeros((2, 2)), -1)
    with pytest.raises(ValueError, match="none"):
        allocation.two_level_knapsack([], 3)
