"""Double precision for one call, and programs that are compiled once for each set of shapes.

A certified gap of 1e-6 bits cannot be had in single precision. Every public function of this
package therefore works inside `jax.enable_x64`, and leaves the global flag alone. Where the flag is
off, results come back as NumPy arrays: JAX would warn about, and round, a float64 array of its own.

`jax.jit` rounds its *arguments* before it traces, so a jitted call made while the flag is off would
solve the problem of the rounded numbers. `compiled` is the jit to use: it enters the context first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.core import Tracer

P = ParamSpec("P")
T = TypeVar("T")

_PROGRAMS: set[Callable[..., Any]] = set()


def in_float64(function: Callable[P, T]) -> Callable[P, T]:
    """The same function, run with double precision switched on for the time of the call."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if jax.config.read("jax_enable_x64"):
            return function(*args, **kwargs)
        with jax.enable_x64(True):
            return jax.tree.map(_as_numpy, function(*args, **kwargs))

    return wrapped


def program(function: Callable[P, T]) -> Callable[P, T]:
    """`in_float64` for a function that checks its arguments and calls jitted ones itself."""
    wrapped = in_float64(function)
    _PROGRAMS.add(wrapped)
    return wrapped


def compiled(function: Callable[..., T], **options: Any) -> Callable[..., T]:
    """`jax.jit(function)` whose arguments are taken, and computed with, in double precision.

    For functions of one's own, such as a `jax.vmap` of `solve_fixed`. The functions of this package
    are compiled once for each set of shapes as they are, and check the values that they are given;
    they are returned as they are. Inside a program of one's own, values can no longer raise an
    error: invalid ones give NaN and `converged=False`.

    Args:
      function: anything jittable; lists of numbers among its arguments become arrays.
      **options: passed on to `jax.jit`.

    Returns:
      The compiled function; it retraces for new shapes only.

    >>> import jax, numpy as np, ratedist
    >>> p, d = [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]]
    >>> rates = ratedist.compiled(jax.vmap(lambda D: ratedist.solve_fixed(p, d, D).rate_ub))
    >>> np.round(rates([0.1, 0.25]), 4).tolist()
    [0.531, 0.1887]
    """
    if function in _PROGRAMS:
        return function
    jitted = jax.jit(function, **options)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> T:
        return jitted(*map(_arrays, args), **{name: _arrays(v) for name, v in kwargs.items()})

    return in_float64(call)


def _is_numbers(value: Any) -> bool:
    """A list or tuple, nested or not, that holds numbers and nothing else."""
    if type(value) not in (list, tuple) or not value:
        return False
    return all(isinstance(v, int | float | np.number) or _is_numbers(v) for v in value)


def _arrays(argument: Any) -> Any:
    def array(value: Any) -> Any:
        return np.asarray(value) if _is_numbers(value) else value

    return jax.tree.map(array, argument, is_leaf=_is_numbers)


def _as_numpy(leaf: Any) -> Any:
    return leaf if isinstance(leaf, Tracer) else np.asarray(leaf)
