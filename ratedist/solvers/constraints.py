"""How much distortion is allowed, and of which source letters.

Every constraint has one shape: `sum_x a_x sum_j Q(j|x) d(x, j) <= D` with weights `a >= 0`.
Nasser, "Convex Relaxations for Entropy-Constrained Compression", bounds the distortion of every
letter of a subset; the code behind it bounds a sum over the subset. Here each meaning has its own
name. With `p` the source probabilities and `S` a subset of letters:

| constructor       | weights a                | reads                                           |
|-------------------|--------------------------|-------------------------------------------------|
| `mean_distortion` | `p`                      | the average distortion is at most D             |
| `per_symbol`      | `1[x = i]`               | letter i alone has distortion at most D         |
| `subset_sum`      | `p 1[x in S]`            | what S adds to the average, not divided by P(S) |
| `subset_mean`     | `p 1[x in S] / P(S)`     | the average distortion within S is at most D    |

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
from jaxtyping import Bool, Float

from ratedist.solvers.checks import as_mass, check_level, concrete
from ratedist.solvers.float64 import in_float64
from ratedist.solvers.problem import Problem

_SETTLED = 1e-6


class Constraint(NamedTuple):
    """One bound on a weighted sum of expected distortions: sum_x a_x E[d | x] <= D.

    Attributes:
      weights: Float[n], a_x >= 0.
      level: Float[], the largest value allowed, D, in units of distortion.

    >>> import ratedist
    >>> ratedist.Constraint([0.5, 0.5], 0.1)
    Constraint(weights=[0.5, 0.5], level=0.1)
    """

    weights: Any
    level: Any


Constraints = Constraint | Sequence[Constraint] | ArrayLike
"""One constraint, several, or a number: a mean distortion."""


@in_float64
def mean_distortion(p: Float[ArrayLike, " n"], level: Float[ArrayLike, ""]) -> Constraint:
    """Average distortion over the whole source: `sum_x p_x E[d | x] <= level`.

    Args:
      p: source probabilities.
      level: D in units of distortion.

    Raises:
      ValueError: the level is not one finite number.

    >>> import ratedist
    >>> float(ratedist.mean_distortion([0.5, 0.5], 0.1).level)
    0.1
    """
    return Constraint(jnp.asarray(as_mass(p)), _level(level))


@in_float64
def per_symbol(index: int, size: int, level: Float[ArrayLike, ""]) -> Constraint:
    """Expected distortion of one letter: `E[d | x = index] <= level`.

    Args:
      index: which letter, 0 <= index < size.
      size: n, the number of letters.
      level: D in units of distortion.

    Raises:
      ValueError: no such letter, or a level that is not one finite number.

    >>> import ratedist
    >>> ratedist.per_symbol(1, 3, 0.2).weights.tolist()
    [0.0, 1.0, 0.0]
    """
    if np.ndim(index) or np.ndim(size):
        raise ValueError("per_symbol(index, size, level) takes the number of a letter, not p")
    if not 0 <= index < size:
        raise ValueError(f"letter {index} is outside a source of {size} letters (0 to {size - 1})")
    return Constraint(jnp.zeros(size, jnp.float64).at[index].set(1.0), _level(level))


@in_float64
def subset_sum(
    p: Float[ArrayLike, " n"], mask: Bool[ArrayLike, " n"], level: Float[ArrayLike, ""]
) -> Constraint:
    """Distortion spent within a subset, not divided by P(S): `sum_{x in S} p_x E[d | x] <= level`.

    Args:
      p: source probabilities.
      mask: true on the subset S.
      level: in units of distortion times probability.

    Raises:
      ValueError: the subset has no probability, or a level that is not one finite number.

    >>> import ratedist
    >>> ratedist.subset_sum([0.5, 0.25, 0.25], [False, True, True], 0.1).weights.tolist()
    [0.0, 0.25, 0.25]
    """
    inside, _ = _subset(p, mask)
    return Constraint(inside, _level(level))


@in_float64
def subset_mean(
    p: Float[ArrayLike, " n"], mask: Bool[ArrayLike, " n"], level: Float[ArrayLike, ""]
) -> Constraint:
    """Average distortion within a subset: `E[d | x in S] <= level`.

    Args:
      p: source probabilities.
      mask: true on the subset S.
      level: D in units of distortion.

    Raises:
      ValueError: the subset has no probability, or a level that is not one finite number.

    >>> import ratedist
    >>> ratedist.subset_mean([0.5, 0.25, 0.25], [False, True, True], 0.1).weights.tolist()
    [0.0, 0.5, 0.5]
    """
    inside, total = _subset(p, mask)
    return Constraint(inside / total, _level(level))


class Terms(NamedTuple):
    """Constraints written for one problem, in excess distortion.

    With prices nu_g the price at letter x is `s_x = base_x + sum_g nu_g share_gx`.

    Attributes:
      share: Float[G, n], a_gx / p_x; zero in the rows of tight constraints.
      slack: Float[G], level minus the smallest reachable value; one for tight constraints.
      smallest: Float[G], the smallest reachable value of each left side.
      base: Float[n], inf on the letters of tight constraints, else zero.
      tight: Bool[G], the level is the smallest reachable one (or below it).
      infeasible: Bool[G], the level is below the smallest reachable one.
    """

    share: jax.Array
    slack: jax.Array
    smallest: jax.Array
    base: jax.Array
    tight: jax.Array
    infeasible: jax.Array


def terms(source: Problem, constraints: Constraint | Sequence[Constraint]) -> Terms:
    """Write constraints for a problem.

    The encoder that takes every letter to its nearest codeword minimises every left side at once,
    so the constraints are feasible together exactly when each is feasible alone.

    Returns:
      The terms; `slack` is NaN where invalid values are found only while tracing.

    Raises:
      ValueError: see `check_constraints`.
    """
    check_constraints(source.p, constraints)
    weights, levels = stacked(constraints)
    size = source.p.size
    lost = jnp.any((weights > 0) & (source.p == 0)[None, :], axis=1)
    valid = jnp.all(weights >= 0, axis=1) & jnp.isfinite(levels) & ~lost
    mass = jnp.where(source.p > 0, source.p, jnp.inf)
    share = weights / mass[None, :]
    smallest = share @ (source.p * source.nearest)
    slack = levels - smallest
    # The rounding errors of both, whatever the signs of the distortions.
    rounding = jnp.abs(levels) + share @ (source.p * jnp.abs(source.nearest))
    rounding = 8 * size * jnp.finfo(jnp.float64).eps * rounding
    tight = slack <= rounding
    locked = jnp.any(tight[:, None] & (share > 0), axis=0)
    return Terms(
        share=jnp.where(tight[:, None], 0.0, share),
        slack=jnp.where(valid, jnp.where(tight, 1.0, slack), jnp.nan),
        smallest=smallest,
        base=jnp.where(locked, jnp.inf, 0.0),
        tight=tight & valid,
        infeasible=valid & (slack < -rounding),
    )


def slack_side(source: Problem, terms: Terms, nu: jax.Array) -> jax.Array:
    """Bool[G], whether a price is too small to matter: it changes no kernel entry.

    The price is compared with the distortions, not with the level: close to the smallest reachable
    level a price that decides everything multiplies a level of almost nothing.
    """
    largest = jnp.max(terms.share * source.excess.max(axis=1)[None, :], axis=1)
    return nu * largest <= _SETTLED


def settled(
    source: Problem, terms: Terms, nu: jax.Array, w: jax.Array, gap: jax.Array
) -> jax.Array:
    """Bool[G], whether each price is known: the constraint is slack, or its price is accurate.

    Args:
      source: the source.
      terms: its constraints.
      nu: Float[G], prices, nats per unit.
      w: Float[G], what each constraint leaves unused.
      gap: Float[], duality gap in nats; it has to be small beside what a level is worth.
    """
    active = (w <= _SETTLED * terms.slack) & (gap <= _SETTLED * nu * terms.slack)
    return terms.tight | active | slack_side(source, terms, nu)


def stacked(constraints: Constraint | Sequence[Constraint]) -> tuple[jax.Array, jax.Array]:
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


def constraint_rows(p: Any, constraints: Constraints) -> tuple[Constraint, ...]:
    """A constraint, a sequence of them, or a number that means a mean distortion, as a tuple.

    Raises:
      ValueError: something else, or an empty sequence.
    """
    if isinstance(constraints, Constraint):
        return (constraints,)
    if isinstance(constraints, Sequence) and not isinstance(constraints, str):
        rows = tuple(constraints)
        if all(isinstance(row, Constraint) for row in rows):
            return as_tuple(rows)
    elif np.ndim(constraints) == 0 and not isinstance(constraints, str):
        return (mean_distortion(p, constraints),)
    raise ValueError("constraints: give a mean distortion D, a Constraint, or a list of them")


def as_tuple(constraints: Constraint | Sequence[Constraint]) -> tuple[Constraint, ...]:
    """A single constraint or a sequence of them, as a tuple.

    Raises:
      ValueError: the sequence is empty.
    """
    rows = (constraints,) if isinstance(constraints, Constraint) else tuple(constraints)
    if not rows:
        raise ValueError("no constraint: give at least one, such as mean_distortion(p, D)")
    return rows


def check_constraints(p: Any, constraints: Constraint | Sequence[Constraint]) -> None:
    """Raise for constraints that do not fit a source.

    Raises:
      ValueError: no constraint, sizes that differ from the source, a negative weight, a weight on a
        letter of probability zero, or a level that is not one finite number. Under tracing only
        shapes can be checked.
    """
    for row in as_tuple(constraints):
        if np.shape(row.weights) != np.shape(p):
            raise ValueError(
                f"a constraint over {np.size(row.weights)} letters for a source of {np.size(p)}"
            )
        check_level(row.level)
        weights, mass = concrete(row.weights), concrete(p)
        if weights is not None and not (weights >= 0).all():
            raise ValueError(
                f"constraint weight {weights.min()}; weights must not be negative or NaN"
            )
        if weights is None or mass is None:
            continue
        lost = np.flatnonzero((weights > 0) & (mass == 0))
        if lost.size:
            raise ValueError(f"a constraint weighs letter {lost[0]}, which has probability 0")


def _level(level: ArrayLike) -> jax.Array:
    check_level(level)
    return jnp.asarray(level, jnp.float64)


def _subset(p: ArrayLike, mask: ArrayLike) -> tuple[jax.Array, jax.Array]:
    if np.shape(p) != np.shape(mask):
        raise ValueError(f"a subset mask of shape {np.shape(mask)} for {np.shape(p)} letters")
    inside = jnp.where(jnp.asarray(mask, bool), jnp.asarray(as_mass(p)), 0.0)
    total = inside.sum()
    known = concrete(total)
    if known is not None and not known > 0:
        raise ValueError("the fidelity subset is empty or has probability 0")
    return inside, total
