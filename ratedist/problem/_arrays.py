"""One source for two kinds of arrays: NumPy's where values are at hand, JAX's inside a program.

A call with known values on a CPU needs no program, and no seconds to compile one. The solvers are
therefore written for either kind; what the two do not share is here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from scipy.linalg import get_lapack_funcs

T = TypeVar("T")
_POTRF, _POTRS = get_lapack_funcs(("potrf", "potrs"), dtype=np.float64)


def namespace(*values: Any) -> Any:
    """`jax.numpy` if any of the values belongs to JAX, else `numpy`."""
    for value in values:
        if isinstance(value, jax.Array):
            return jnp
    return np


def while_loop(xp: Any, unfinished: Callable[[T], Any], step: Callable[[T], T], start: T) -> T:
    """`jax.lax.while_loop`, or a loop."""
    if xp is jnp:
        return jax.lax.while_loop(unfinished, step, start)
    while unfinished(start):
        start = step(start)
    return start


def fori_loop(xp: Any, count: int, step: Callable[[T], T], start: T) -> T:
    """`count` steps."""
    if xp is jnp:
        return jax.lax.fori_loop(0, count, lambda _, state: step(state), start)
    for _ in range(count):
        start = step(start)
    return start


def select(xp: Any, condition: Any, first: T, second: T) -> T:
    """Every leaf of one of two equal trees, by a scalar condition."""
    if xp is np:
        return first if condition else second
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), first, second)


def cholesky_solver(xp: Any, matrix: Any) -> Callable[[Any], Any]:
    """Solver of `matrix v = r` for a positive definite matrix; NaN where it is not."""
    if xp is jnp:
        factor = cho_factor(matrix)
        return lambda r: cho_solve(factor, r)
    lower, failed = _POTRF(matrix, lower=1)
    if failed:
        return lambda r: np.full_like(r, np.nan)
    return lambda r: _POTRS(lower, r, lower=1)[0]
