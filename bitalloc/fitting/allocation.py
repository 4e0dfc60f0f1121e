"""Bit allocation solved exactly, for every budget at once, by dynamic programming.

Giving each feature a depth so that the total gain is largest under a budget of bits is a
multiple-choice knapsack: one choice per feature, integer weights, one constraint. The table
over (features so far, bits spent) is filled by one `scan`, and reading it backwards gives
the best depths for all budgets 0..B together. Nothing is assumed of the gains: they need
not be concave, nor rise with the depth.

Works in the dtype of the gains. Values agree with an integer program to that dtype's
rounding: give float64 gains under `jax.enable_x64(True)` for a certificate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Allocation(NamedTuple):
    """The best allocation for every budget b = 0..B.

    value: Float[B+1], the largest total gain with at most b bits.
    depth: Int[B+1, M], the bits that each feature gets in it.
    """

    value: jax.Array
    depth: jax.Array


class TwoLevelAllocation(NamedTuple):
    """Bits given to sensors, and within each sensor to its features.

    value: Float[B+1], the largest total gain with at most b bits.
    sensor_bits: Int[B+1, S], bits granted to each sensor.
    depth: one Int[B+1, M_s] per sensor, the bits of its features under each total budget.
    """

    value: jax.Array
    sensor_bits: jax.Array
    depth: tuple[jax.Array, ...]


def knapsack(gain: jax.Array, budget_bits: int) -> Allocation:
    """Solve the multiple-choice knapsack for all budgets 0..`budget_bits`.

    maximise sum_m u[m, d_m] over depths d_m in 0..D-1 subject to sum_m d_m <= b. With
    V_m(b) the best of the first m features, V_m(b) = max_d V_{m-1}(b - d) + u[m, d]. Ties
    go to the smaller depth, so equal gains never spend a bit.

    Args:
      gain: Float[M, D], u[m, d] is the worth of giving feature m a depth of d bits.
        Entries of -inf forbid a depth, but every feature must allow depth 0.
      budget_bits: B, static; the largest budget answered.

    Returns:
      The values and depths for every budget; see `Allocation`.

    Raises:
      ValueError: if `gain` is not a matrix or the budget is negative.

    Cost: O(M B D) time, O(M B) bytes. To solve many problems, `vmap` over `gain`.
    """
    if gain.ndim != 2 or 0 in gain.shape:
        raise ValueError(f"gain must have shape (features, depths), got {gain.shape}")
    if budget_bits < 0:
        raise ValueError(f"budget_bits must be at least 0, got {budget_bits}")
    n_depths = gain.shape[1]
    budgets = jnp.arange(budget_bits + 1)
    # Left padding with -inf makes "spend more than there is" the worst choice.
    spent = n_depths - 1 + budgets[None, :] - jnp.arange(n_depths)[:, None]

    def add_feature(value, gain_of_depth):
        padded = jnp.pad(value, (n_depths - 1, 0), constant_values=-jnp.inf)
        candidates = padded[spent] + gain_of_depth[:, None]
        return jnp.max(candidates, axis=0), jnp.argmax(candidates, axis=0)

    start = jnp.zeros(budget_bits + 1, gain.dtype)
    value, best_depth = jax.lax.scan(add_feature, start, gain)

    def take_back(remaining_bits, best):
        depth = best[remaining_bits]
        return remaining_bits - depth, depth

    _, depth = jax.lax.scan(take_back, budgets, best_depth, reverse=True)
    return Allocation(value, depth.T)


def two_level_knapsack(gains: Sequence[jax.Array], budget_bits: int) -> TwoLevelAllocation:
    """Allocate bits to sensors, then to the features inside each sensor, exactly.

    Each sensor's own value function V_s(b) is the gain of granting it b bits, so the upper
    level is the same knapsack with S features and B+1 depths.

    Args:
      gains: one Float[M_s, D] per sensor.
      budget_bits: B, the largest total budget answered.

    Returns:
      The values, the sensors' bits and the features' bits for every total budget.

    Raises:
      ValueError: if there is no sensor, or as in `knapsack`.
    """
    if not gains:
        raise ValueError("two_level_knapsack needs the gains of at least one sensor, got none")
    inner = [knapsack(gain, budget_bits) for gain in gains]
    outer = knapsack(jnp.stack([sensor.value for sensor in inner]), budget_bits)
    depth = tuple(sensor.depth[outer.depth[:, s]] for s, sensor in enumerate(inner))
    return TwoLevelAllocation(outer.value, outer.depth, depth)


def price_per_bit(value: jax.Array) -> jax.Array:
    """What one more bit is worth at each budget: V(b+1) - V(b), Float[B]."""
    return jnp.diff(value)


def fewest_bits(score_of_budget: np.ndarray | jax.Array, target: float) -> int | None:
    """The smallest budget whose score reaches `target`, or None if none does.

    Args:
      score_of_budget: Float[B+1], entry b belongs to a budget of b bits (an accuracy, or a
        knapsack's value). NaN entries are budgets that were not tried.
      target: the score to reach.
    """
    reached = np.flatnonzero(np.asarray(score_of_budget) >= target)
    return int(reached[0]) if reached.size else None
