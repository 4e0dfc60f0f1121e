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
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from bitalloc.encoders import thresholds
from bitalloc.fitting import selection


def pixel_gains(
    features: np.ndarray, labels: np.ndarray, n_classes: int, n_levels: int, n_depths: int
) -> jax.Array:
    """What each feature tells about the class on its own at every depth, Float[M, n_depths], bits.

    That of its best quantiser (`thresholds`), in the precision in which this is called.

    Args:
      features: Float[N, M].
      labels: Int[N], class numbers.
      n_classes: K.
      n_levels: values of a feature that candidate thresholds keep apart.
      n_depths: depths from 0 to n_depths - 1.

    >>> import numpy as np
    >>> from bitalloc.fitting import allocation
    >>> labels = np.arange(64) % 2
    >>> features = np.stack([labels, np.zeros(64)], axis=1)
    >>> allocation.pixel_gains(features, labels, 2, 5, 2).round(3).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    candidates = selection.find_levels(features, selection.candidate_thresholds(features, n_levels))
    histogram = thresholds.class_histograms(candidates.level, labels, n_levels, n_classes)
    best = jax.jit(thresholds.best_quantisers, static_argnums=1)
    return best(jnp.asarray(histogram, float), n_depths).gain_bits


class Allocation(NamedTuple):
    """The best allocation for every budget b = 0..B.

    Attributes:
      value: Float[B+1], the largest total gain with at most b bits, in the unit of the gains.
      depth: Int[B+1, M], the bits that each feature gets in it.
    """

    value: Float[jax.Array, " budgets"]
    depth: Int[jax.Array, "budgets features"]


class TwoLevelAllocation(NamedTuple):
    """Bits given to sensors, and within each sensor to its features.

    Attributes:
      value: Float[B+1], the largest total gain with at most b bits.
      sensor_bits: Int[B+1, S], bits granted to each sensor.
      depth: one Int[B+1, M_s] per sensor, the bits of its features under each total budget.
    """

    value: jax.Array
    sensor_bits: jax.Array
    depth: tuple[jax.Array, ...]


def knapsack(gain: Float[ArrayLike, "features depths"], bits: int) -> Allocation:
    """Allocate bits to features exactly, for all budgets 0..B at once.

    maximise sum_m u[m, d_m] over depths d_m in 0..D-1 subject to sum_m d_m <= b. With
    V_m(b) the best of the first m features, V_m(b) = max_d V_{m-1}(b - d) + u[m, d]: the dynamic
    program of the multiple-choice knapsack (Kellerer, Pferschy and Pisinger, "Knapsack Problems",
    chapter 11). Ties go to the smaller depth, so equal gains never spend a bit. It may be traced,
    with `bits` static.

    Args:
      gain: Float[M, D], u[m, d] is the worth of giving feature m a depth of d bits.
        Entries of -inf forbid a depth, but every feature must allow depth 0.
      bits: B, the largest budget answered.

    Returns:
      The values and depths for every budget; see `Allocation`.

    Raises:
      ValueError: if `gain` is not a matrix or the budget is negative.

    Cost: O(M B D) time, O(M B) bytes. To solve many problems, `vmap` over `gain`.

    Example:
      >>> import bitalloc
      >>> best = bitalloc.knapsack([[0.0, 3.0, 4.0], [0.0, 2.0, 4.5]], 3)
      >>> best.value.tolist()
      [0.0, 3.0, 5.0, 7.5]
      >>> best.depth[3].tolist()
      [1, 2]
    """
    gain = jnp.asarray(gain)
    gain = gain if jnp.issubdtype(gain.dtype, jnp.floating) else gain.astype(float)
    if gain.ndim != 2 or 0 in gain.shape:
        raise ValueError(f"gain must have shape (features, depths), got {gain.shape}")
    if bits < 0:
        raise ValueError(f"bits must be at least 0, got {bits}")
    n_depths = gain.shape[1]
    budgets = jnp.arange(bits + 1)
    # Left padding with -inf makes "spend more than there is" the worst choice.
    spent = n_depths - 1 + budgets[None, :] - jnp.arange(n_depths)[:, None]

    def add_feature(value, gain_of_depth):
        padded = jnp.pad(value, (n_depths - 1, 0), constant_values=-jnp.inf)
        candidates = padded[spent] + gain_of_depth[:, None]
        return jnp.max(candidates, axis=0), jnp.argmax(candidates, axis=0)

    start = jnp.zeros(bits + 1, gain.dtype)
    value, best_depth = jax.lax.scan(add_feature, start, gain)

    def take_back(remaining_bits, best):
        depth = best[remaining_bits]
        return remaining_bits - depth, depth

    _, depth = jax.lax.scan(take_back, budgets, best_depth, reverse=True)
    return Allocation(value, depth.T)


def two_level_knapsack(gains: Sequence[jax.Array], bits: int) -> TwoLevelAllocation:
    """Allocate bits to sensors, then to the features inside each sensor, exactly.

    Each sensor's own value function V_s(b) is the gain of granting it b bits, so the upper
    level is the same knapsack with S features and B+1 depths.

    Args:
      gains: one Float[M_s, D] per sensor.
      bits: B, the largest total budget answered.

    Returns:
      The values, the sensors' bits and the features' bits for every total budget.

    Raises:
      ValueError: if there is no sensor, or as in `knapsack`.
    """
    if not gains:
        raise ValueError("two_level_knapsack needs the gains of at least one sensor, got none")
    inner = [knapsack(gain, bits) for gain in gains]
    outer = knapsack(jnp.stack([sensor.value for sensor in inner]), bits)
    depth = tuple(sensor.depth[outer.depth[:, s]] for s, sensor in enumerate(inner))
    return TwoLevelAllocation(outer.value, outer.depth, depth)


def shadow_prices(value: jax.Array) -> jax.Array:
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
