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

Each takes `d=`, a distortion table of its own in place of the problem's: squared error on average
and Hamming distortion of some letters, say, in one problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from ratedist.problem._arrays import namespace
from ratedist.problem.checks import as_array, as_mass, check_level, check_table, concrete
from ratedist.problem.float64 import in_float64


class Constraint(NamedTuple):
    """One bound on a weighted sum of expected distortions: sum_x a_x E[d | x] <= D.

    Attributes:
      weights: Float[n], a_x >= 0.
      level: Float[], the largest value allowed, D, in units of distortion.
      d: Float[n, m], the distortion table that is bounded; None for the problem's. A pair at inf
        is forbidden, whatever the weights.

    >>> import ratedist
    >>> ratedist.Constraint([0.5, 0.5], 0.1)
    Constraint(weights=[0.5, 0.5], level=0.1, d=None)
    """

    weights: Any
    level: Any
    d: Any = None


Constraints = Constraint | Sequence[Constraint] | ArrayLike
"""One constraint, several, or a number: a mean distortion."""


@in_float64
def mean_distortion(
    p: Float[ArrayLike, " n"],
    level: Float[ArrayLike, ""],
    *,
    d: Float[ArrayLike, "n m"] | None = None,
) -> Constraint:
    """Average distortion over the whole source: `sum_x p_x E[d | x] <= level`.

    Args:
      p: source probabilities.
      level: D in units of distortion.
      d: the distortion table; None for the problem's.

    Raises:
      ValueError: the level is not one finite number.

    >>> import ratedist
    >>> float(ratedist.mean_distortion([0.5, 0.5], 0.1).level)
    0.1
    """
    return Constraint(_own(as_mass(p)), _level(level), d)


@in_float64
def per_symbol(
    index: int,
    size: int,
    level: Float[ArrayLike, ""],
    *,
    d: Float[ArrayLike, "n m"] | None = None,
) -> Constraint:
    """Expected distortion of one letter: `E[d | x = index] <= level`.

    Args:
      index: which letter, 0 <= index < size.
      size: n, the number of letters.
      level: D in units of distortion.
      d: the distortion table; None for the problem's.

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
    return Constraint(np.eye(size)[index], _level(level), d)


@in_float64
def subset_sum(
    p: Float[ArrayLike, " n"],
    mask: Bool[ArrayLike, " n"],
    level: Float[ArrayLike, ""],
    *,
    d: Float[ArrayLike, "n m"] | None = None,
) -> Constraint:
    """Distortion spent within a subset, not divided by P(S): `sum_{x in S} p_x E[d | x] <= level`.

    Args:
      p: source probabilities.
      mask: true on the subset S.
      level: in units of distortion times probability.
      d: the distortion table; None for the problem's.

    Raises:
      ValueError: the subset has no probability, or a level that is not one finite number.

    >>> import ratedist
    >>> ratedist.subset_sum([0.5, 0.25, 0.25], [False, True, True], 0.1).weights.tolist()
    [0.0, 0.25, 0.25]
    """
    inside, _ = _subset(p, mask)
    return Constraint(inside, _level(level), d)


@in_float64
def subset_mean(
    p: Float[ArrayLike, " n"],
    mask: Bool[ArrayLike, " n"],
    level: Float[ArrayLike, ""],
    *,
    d: Float[ArrayLike, "n m"] | None = None,
) -> Constraint:
    """Average distortion within a subset: `E[d | x in S] <= level`.

    Args:
      p: source probabilities.
      mask: true on the subset S.
      level: D in units of distortion.
      d: the distortion table; None for the problem's.

    Raises:
      ValueError: the subset has no probability, or a level that is not one finite number.

    >>> import ratedist
    >>> ratedist.subset_mean([0.5, 0.25, 0.25], [False, True, True], 0.1).weights.tolist()
    [0.0, 0.5, 0.5]
    """
    inside, total = _subset(p, mask)
    return Constraint(inside / total, _level(level), d)


def stacked(constraints: Constraint | Sequence[Constraint]) -> tuple[Any, Any]:
    """Weights Float[G, n] and levels Float[G] of one constraint or a sequence of them.

    Raises:
      ValueError: there is no constraint, or their sources differ in size.
    """
    rows = as_tuple(constraints)
    sizes = {np.shape(row.weights)[-1] for row in rows}
    if len(sizes) > 1:
        raise ValueError(f"constraints over sources of different sizes: {sorted(sizes)} letters")
    values = [as_array(value) for row in rows for value in row[:2]]
    xp = namespace(*values)
    wide = [xp.asarray(value, float) for value in values]
    return xp.stack(wide[::2]), xp.stack(wide[1::2])


def own_tables(d: Any, constraints: Constraint | Sequence[Constraint]) -> Any:
    """Float[G, n, m], the table of each constraint; None where all have that of the problem."""
    rows = as_tuple(constraints)
    if all(row.d is None for row in rows):
        return None
    tables = [as_array(d if row.d is None else row.d) for row in rows]
    xp = namespace(*tables)
    return xp.stack([xp.asarray(table, float) for table in tables])


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


def check_constraints(
    p: Any, constraints: Constraint | Sequence[Constraint], d: Any | None = None
) -> None:
    """Raise for constraints that do not fit a source (and a distortion table, if there is one).

    Raises:
      ValueError: no constraint, sizes that differ from the source, a negative weight, a weight on a
        letter of probability zero, a level that is not one finite number, or a table of another
        shape or with NaN or -inf. Under tracing only shapes can be checked.
    """
    for row in as_tuple(constraints):
        if np.shape(row.weights) != np.shape(p):
            raise ValueError(
                f"a constraint over {np.size(row.weights)} letters for a source of {np.size(p)}"
            )
        check_level(row.level)
        _check_table(row.d, d)
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


def _check_table(table: Any, d: Any) -> None:
    if table is None or d is None:
        return
    if np.shape(table) != np.shape(d):
        raise ValueError(
            f"a constraint's distortions of shape {np.shape(table)} beside {np.shape(d)} of the "
            "problem; give both for the same letters and codewords"
        )
    known = concrete(table)
    if known is not None:
        check_table(known)


def _level(level: ArrayLike) -> Any:
    check_level(level)
    return _own(as_array(level))


def _own(values: Any) -> Any:
    """In double precision; NumPy's stay NumPy's."""
    return namespace(values).asarray(values, float)


def _subset(p: ArrayLike, mask: ArrayLike) -> tuple[Any, Any]:
    if np.shape(p) != np.shape(mask):
        raise ValueError(f"a subset mask of shape {np.shape(mask)} for {np.shape(p)} letters")
    mask, mass = as_array(mask), _own(as_mass(p))
    xp = namespace(mask, mass)
    inside = xp.where(xp.asarray(mask, bool), mass, 0.0)
    total = inside.sum()
    known = concrete(total)
    if known is not None and not known > 0:
        raise ValueError("the fidelity subset is empty or has probability 0")
    return inside, total
