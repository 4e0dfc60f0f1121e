"""How much distortion is allowed, and of which source letters.

Every constraint has one shape: `sum_x a_x sum_j Q(j|x) d(x, j) <= D` with weights `a >= 0`.
The convex-rate-distortion report used three meanings of "fidelity" without saying so; here each
has its own name. With `p` the source probabilities and `S` a subset of letters:

| constructor       | weights a                | reads                                          |
|-------------------|--------------------------|------------------------------------------------|
| `mean_distortion` | `p`                      | the average distortion is at most D            |
| `per_symbol`      | `1[x = i]`               | letter i alone has distortion at most D        |
| `subset_sum`      | `p 1[x in S]`            | the report's code: *not* divided by P(S)       |
| `subset_mean`     | `p 1[x in S] / P(S)`     | the average distortion within S is at most D   |

A `subset_sum` at a level no smaller than the `mean_distortion` level is implied by it. The result
of a solve names such constraints (`RDPoint.vacuous`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ratedist.solvers.float64 import in_float64
from ratedist.solvers.problem import Problem, concrete


class Constraint(NamedTuple):
    """One bound on a weighted sum of expected distortions.

    Fields:
      weights: Float[n], a_x >= 0.
      level: Float[], the largest value allowed, in units of distortion.
    """

    weights: Any
    level: Any


Constraints = Constraint | Sequence[Constraint]


@in_float64
def mean_distortion(p: ArrayLike, level: ArrayLike) -> Constraint:
    """Average distortion over the whole source: `sum_x p_x E[d | x] <= level`.

    Args:
      p: Float[n], source probabilities.
      level: Float[], D in units of distortion.

    Raises:
      ValueError: the level is negative or not finite.
    """
    return Constraint(jnp.asarray(p, jnp.float64), _level(level))


@in_float64
def per_symbol(index: int, size: int, level: ArrayLike) -> Constraint:
    """Expected distortion of one letter: `E[d | x = index] <= level`.

    Args:
      index: which letter, 0 <= index < size.
      size: n, the number of letters.
      level: Float[], D in units of distortion.

    Raises:
      ValueError: no such letter, or a level that is negative or not finite.
    """
    if not 0 <= index < size:
        raise ValueError(f"letter {index} is outside a source of {size} letters (0 to {size - 1})")
    return Constraint(jnp.zeros(size, jnp.float64).at[index].set(1.0), _level(level))


@in_float64
def subset_sum(p: ArrayLike, mask: ArrayLike, level: ArrayLike) -> Constraint:
    """The report's fidelity constraint: `sum_{x in S} p_x E[d | x] <= level`.

    Args:
      p: Float[n], source probabilities.
      mask: Bool[n], true on the subset S.
      level: Float[], in units of distortion times probability.

    Raises:
      ValueError: the subset has no probability, or a bad level.
    """
    inside, _ = _subset(p, mask)
    return Constraint(inside, _level(level))


@in_float64
def subset_mean(p: ArrayLike, mask: ArrayLike, level: ArrayLike) -> Constraint:
    """Average distortion within a subset: `E[d | x in S] <= level`.

    Args:
      p: Float[n], source probabilities.
      mask: Bool[n], true on the subset S.
      level: Float[], D in units of distortion.

    Raises:
      ValueError: the subset has no probability, or a bad level.
    """
    inside, total = _subset(p, mask)
    return Constraint(inside / total, _level(level))


class Terms(NamedTuple):
    """Constraints written for one problem, in excess distortion.

    With prices nu_g the price at letter x is `s_x = base_x + sum_g nu_g share_gx`.

    Fields:
      share: Float[G, n], a_gx / p_x; zero in the rows of tight constraints.
      slack: Float[G], level minus the smallest reachable value; one for tight constraints.
      floor: Float[G], the smallest reachable value of each left side.
      base: Float[n], inf on the letters of tight constraints, else zero.
      tight: Bool[G], the level is the smallest reachable one (or below it).
      infeasible: Bool[G], the level is below the smallest reachable one.
    """

    share: jax.Array
    slack: jax.Array
    floor: jax.Array
    base: jax.Array
    tight: jax.Array
    infeasible: jax.Array


def terms(source: Problem, constraints: Constraints) -> Terms:
    """Write constraints for a problem.

    The encoder that takes every letter to its nearest codeword minimises every left side at once,
    so the constraints are feasible together exactly when each is feasible alone.

    Raises:
      ValueError: no constraint, sizes that differ from the source, a negative weight, or a weight
        on a letter of probability zero.
    """
    weights, levels = stacked(constraints)
    size = source.p.size
    if weights.shape[1] != size:
        raise ValueError(f"constraints over {weights.shape[1]} letters for a source of {size}")
    _check_weights(weights, source.p)
    mass = jnp.where(source.p > 0, source.p, jnp.inf)
    share = weights / mass[None, :]
    floor = share @ (source.p * source.nearest)
    slack = levels - floor
    rounding = 8 * size * jnp.finfo(jnp.float64).eps * (levels + floor)
    tight = slack <= rounding
    locked = jnp.any(tight[:, None] & (share > 0), axis=0)
    return Terms(
        share=jnp.where(tight[:, None], 0.0, share),
        slack=jnp.where(tight, 1.0, slack),
        floor=floor,
        base=jnp.where(locked, jnp.inf, 0.0),
        tight=tight,
        infeasible=slack < -rounding,
    )


def stacked(constraints: Constraints) -> tuple[jax.Array, jax.Array]:
    """Weights Float[G, n] and levels Float[G] of one constraint or a sequence of them.

    Raises:
      ValueError: there is no constraint, or their sources differ in size.
    """
    rows = as_tuple(constraints)
    sizes = {np.shape(row.weights)[-1] for row in rows}
    if len(sizes) > 1:
        raise ValueError(f"constraints over sources of different sizes: {sorted(sizes)} letters")
    weights = jnp.stack([jnp.asarray(row.weights, jnp.float64) for row in rows])
    return weights, jnp.stack([jnp.asarray(row.level, jnp.float64) for row in rows])


def as_tuple(constraints: Constraints) -> tuple[Constraint, ...]:
    """A single constraint or a sequence of them, as a tuple.

    Raises:
      ValueError: the sequence is empty.
    """
    rows = (constraints,) if isinstance(constraints, Constraint) else tuple(constraints)
    if not rows:
        raise ValueError("no constraint: give at least one, such as mean_distortion(p, D)")
    return rows


def _level(level: ArrayLike) -> jax.Array:
    known = concrete(level)
    if known is not None:
        if known.ndim:
            raise ValueError(f"a distortion level of shape {known.shape}; it must be one number")
        if not (np.isfinite(known) and known >= 0):
            raise ValueError(f"distortion level {known}; it must be finite and not negative")
    return jnp.asarray(level, jnp.float64)


def _subset(p: ArrayLike, mask: ArrayLike) -> tuple[jax.Array, jax.Array]:
    if np.shape(p) != np.shape(mask):
        raise ValueError(f"a subset mask of shape {np.shape(mask)} for {np.shape(p)} letters")
    inside = jnp.where(jnp.asarray(mask, bool), jnp.asarray(p, jnp.float64), 0.0)
    total = inside.sum()
    known = concrete(total)
    if known is not None and not known > 0:
        raise ValueError("the fidelity subset is empty or has probability 0")
    return inside, total


def _check_weights(weights: jax.Array, p: jax.Array) -> None:
    table, mass = concrete(weights), concrete(p)
    if table is not None and not (table >= 0).all():
        raise ValueError(f"constraint weight {table.min()}; weights must not be negative or NaN")
    if table is None or mass is None:
        return
    lost = np.flatnonzero((table > 0).any(axis=0) & (mass == 0))
    if lost.size:
        raise ValueError(f"a constraint weighs letter {lost[0]}, which has probability 0")
