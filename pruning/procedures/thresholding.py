"""TAMADE: the largest global magnitude threshold that leaves a data loss within its tolerance.

Given f(eps), the loss of the parameters with every |theta_i| < eps set to zero, and a limit
f(0) + delta |f(0)|, both searches look for the last point at which f is still within the limit, and
assume that f rises. `by_magnitude` bisects eps between 0 and 2 max |theta|, as published.
`by_rank` searches the number of weights kept: it ends with an exact
count instead of a resolution, needs no scale, and evaluates several probes side by side, each
pass dividing the bracket by (probes + 1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from fewbits.training import trees
from fewbits.training.method import Params
from pruning import leaves

Objective = Callable[[Params], jax.Array]
"""Parameters -> what pruning must not raise, Float[]: a validation loss, or an error."""

RESOLUTION = 1e-7
"""The published bisection ends when its bracket is this narrow."""


class Threshold(NamedTuple):
    """What a search found.

    Attributes:
      magnitude: Float[], weights below it go; 0 where no pruning keeps the limit.
      n_kept: Int[], weights at or above it that are not zero.
      value: Float[], the objective with the others removed.
      limit: Float[], what it was allowed to be.
      n_probes: Int[], evaluations of the objective, the first one excluded.
      within_limit: Bool[], whether value <= limit; False also where the objective is not finite.
    """

    magnitude: jax.Array
    n_kept: jax.Array
    value: jax.Array
    limit: jax.Array
    n_probes: jax.Array
    within_limit: jax.Array


def threshold_search(
    objective: Objective,
    params: Params,
    *,
    tolerance: jax.Array | float = 0.01,
    slack: jax.Array | float = 0.0,
    search: Literal["rank", "magnitude"] = "rank",
    probes: int = 1,
    mask: leaves.Mask = None,
) -> tuple[Params, Threshold]:
    """TAMADE: the largest global magnitude threshold that leaves an objective within its limit.

    Barth & von Petersenn, "Efficient compression of neural networks and datasets" (arXiv
    2505.17469): weights below the threshold go where f stays within f(0) + delta |f(0)|. Assumes
    that f rises as weights go. Traceable: jit it.

    Args:
      objective: params -> what must not rise, Float[]: a validation loss, or an error.
      params: any pytree; leaves that are no floats stay.
      tolerance: delta, share of the objective that it may rise by.
      slack: what it may rise by besides, in the objective's own units.
      search: bisection in `rank`, which ends with an exact count, or in `magnitude`, as published.
      probes: evaluations side by side, in a search in rank.
      mask: leaves that may be cut: a tree of bools (or a prefix of one), a function of the params
        that gives one, None for all.

    Returns:
      The params with exact zeros below the threshold, and a `Threshold` whose `within_limit` says
      whether the limit was kept; it is False where a weight or the objective is not finite.

    Raises:
      ValueError: an unknown search, or no probe.

    >>> import jax.numpy as jnp, pruning
    >>> params = {"w": jnp.array([2.0, -1.0, 0.1, 0.01])}
    >>> def loss(params):  # 1 plus what is missing
    ...     return 1 + jnp.sum((params["w"] - jnp.array([2.0, -1.0, 0.1, 0.01])) ** 2)
    >>> pruned, found = pruning.threshold_search(loss, params, tolerance=0.05)
    >>> print(pruned["w"], int(found.n_kept), bool(found.within_limit))
    [ 2. -1.  0.  0.] 2 True
    """
    weights = leaves.select(mask, params)

    def at(candidate: list[jax.Array]) -> jax.Array:
        return objective(leaves.replace(mask, params, candidate))

    limit = tolerated(at(weights), tolerance) + slack
    if search == "magnitude":
        found = by_magnitude(at, weights, limit)
    elif search == "rank":
        found = by_rank(at, weights, limit, probes=probes)
    else:
        raise ValueError(f"search must be 'rank' or 'magnitude', got {search!r}")
    return leaves.replace(mask, params, pruned(weights, found.magnitude)), found


def tolerated(value: jax.Array, tolerance: jax.Array | float) -> jax.Array:
    """The published limit f(0) + delta |f(0)|, which is (1 + delta) f(0) for losses above 0.

    Args:
      value: Float[], f(0).
      tolerance: Float[], delta; 0.01 for the classifiers of Barth & von Petersenn.
    """
    return jnp.where(value < 0, 1 - tolerance, 1 + tolerance) * value


def pruned(params: Params, magnitude: jax.Array | float) -> Params:
    """Parameters with every |theta_i| < magnitude set to zero; NaN stays, to be seen."""
    return jax.tree.map(
        lambda leaf: jnp.where(jnp.abs(leaf) < magnitude, jnp.zeros_like(leaf), leaf), params
    )


def by_magnitude(objective: Objective, params: Params, limit: jax.Array) -> Threshold:
    """The published bisection in magnitude, about 24 evaluations one after the other.

    Args:
      objective: see `Objective`; traceable.
      params: trained parameters.
      limit: Float[], the largest value allowed, e.g. `tolerated(objective(params), 0.01)`.

    Returns:
      Threshold.
    """
    largest = jnp.max(trees.magnitudes(params))
    # Float32 cannot tell magnitudes apart that differ by less than this.
    resolution = jnp.maximum(RESOLUTION, 4 * jnp.finfo(largest.dtype).eps * largest)

    def wide(bracket: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        low, high, _ = bracket
        return high - low > resolution

    def halve(bracket: tuple[jax.Array, jax.Array, jax.Array]):
        low, high, n_probes = bracket
        middle = (low + high) / 2
        fits = objective(pruned(params, middle)) <= limit
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle), n_probes + 1

    start = (jnp.zeros_like(largest), 2 * largest, jnp.zeros((), jnp.int32))
    magnitude, _, n_probes = jax.lax.while_loop(wide, halve, start)
    return _found(objective, params, magnitude, limit, n_probes)


def by_rank(
    objective: Objective, params: Params, limit: jax.Array, *, probes: int = 4
) -> Threshold:
    """Search in the number of weights kept, `probes` evaluations at a time.

    Args:
      objective: see `Objective`; traceable, evaluated under `vmap` over parameters.
      params: trained parameters.
      limit: Float[], the largest value allowed.
      probes: evaluations side by side.

    Returns:
      Threshold. Where f rises with every weight removed, `n_kept` is the least that fits, up to
      weights of equal magnitude, which go or stay together.

    Raises:
      ValueError: no probe.
    """
    if probes < 1:
        raise ValueError(f"probes must be at least 1, got {probes}")
    magnitudes = trees.magnitudes(params)

    def fits(n_kept: jax.Array) -> jax.Array:
        threshold = trees.threshold_keeping(magnitudes, n_kept)
        return objective(pruned(params, threshold)) <= limit

    def divide(bracket: tuple[jax.Array, jax.Array, jax.Array]):
        too_few, enough, n_probes = bracket
        width = enough - too_few
        share = jnp.arange(1, probes + 1) / (probes + 1)
        counts = too_few + jnp.ceil(share * width).astype(jnp.int32)
        good = jax.vmap(fits)(counts)
        # The least count that fits, and the largest below it that does not.
        enough = jnp.min(jnp.where(good, counts, enough))
        too_few = jnp.max(jnp.where(good | (counts >= enough), too_few, counts))
        return too_few, enough, n_probes + probes

    start = (jnp.array(-1), jnp.array(magnitudes.size), jnp.zeros((), jnp.int32))
    start = jax.tree.map(lambda number: number.astype(jnp.int32), start)
    _, n_kept, n_probes = jax.lax.while_loop(lambda b: b[1] - b[0] > 1, divide, start)
    magnitude = trees.threshold_keeping(magnitudes, n_kept)
    # Above every weight, but finite: infinity is no threshold that a record can hold.
    magnitude = jnp.minimum(magnitude, 2 * jnp.max(magnitudes))
    return _found(objective, params, magnitude, limit, n_probes)


def keeping(params: Params, n_kept: jax.Array | int) -> Params:
    """Parameters with all but the `n_kept` largest set to zero (ties at the last stay)."""
    return pruned(params, trees.threshold_keeping(trees.magnitudes(params), n_kept))


def _found(
    objective: Objective,
    params: Params,
    magnitude: jax.Array,
    limit: jax.Array,
    n_probes: jax.Array,
) -> Threshold:
    # Where a weight is NaN, nothing goes, and the objective says why.
    magnitude = jnp.where(jnp.isnan(magnitude), jnp.zeros_like(magnitude), magnitude)
    remaining = pruned(params, magnitude)
    value = objective(remaining)
    return Threshold(magnitude, trees.nonzeros(remaining), value, limit, n_probes, value <= limit)
