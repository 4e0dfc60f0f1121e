"""Double precision for one call, and programs that are compiled once for each set of shapes.

A certified gap of 1e-6 bits cannot be had in single precision. Every public function of this
package therefore works inside `jax.enable_x64`, and leaves the global flag alone. Where the flag is
off, results come back as NumPy arrays: JAX would warn about, and round, a float64 array of its own.

Rates and points of known values are found in NumPy: nothing to compile. `compiled` makes programs.

`jax.jit` rounds its *arguments* before it traces, so a jitted call made while the flag is off would
solve the problem of the rounded numbers. `compiled` is the jit to use: it enters the context first.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

P = ParamSpec("P")
T = TypeVar("T")

_PROGRAMS: set[Callable[..., Any]] = set()
_INSIDE = contextvars.ContextVar("inside a call", default=False)
_SINGLE = contextvars.ContextVar("single precision", default=False)
_COMPILING = contextvars.ContextVar("compiling", default=False)


def in_float64(function: Callable[P, T]) -> Callable[P, T]:
    """The same function, run with double precision switched on for the time of the call."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if _SINGLE.get() or jax.config.read("jax_enable_x64"):
            return function(*args, **kwargs)
        with jax.enable_x64(True):
            return jax.tree.map(_as_numpy, function(*args, **kwargs))

    return wrapped


def program(function: Callable[P, T]) -> Callable[P, T]:
    """`in_float64` for a function that checks its arguments and calls jitted ones itself."""
    double = in_float64(function)

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if _INSIDE.get():
            return function(*args, **kwargs)
        token = _INSIDE.set(True)
        try:
            found = double(*args, **kwargs)
        finally:
            _INSIDE.reset(token)
        # The user's own flag: where it is off, `in_float64` makes everything NumPy's.
        return jax.tree.map(_as_jax, found) if jax.config.read("jax_enable_x64") else found

    _PROGRAMS.add(wrapped)
    return wrapped


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Programs that are traced inside are in single precision, for accelerators with no other.

    Matrix products are at full precision (`jax.lax.Precision.HIGHEST`); rates of small problems are
    known to about 1e-5 bits, prices to 1e-4 relative. `ratedist.certificate`, on the host and in
    double precision, proves a bound from the `dual` and `q` of a point. For one call:
    `ratedist.sweep(..., precision="single")`.

    >>> import jax, numpy as np, ratedist
    >>> p, d = np.float32([0.5, 0.5]), np.float32([[0, 1], [1, 0]])
    >>> with ratedist.single_precision():
    ...     point = jax.jit(ratedist.solve_fixed)(p, d, np.float32(0.1))
    >>> point.q.dtype.name, round(float(point.rate_ub), 4)
    ('float32', 0.531)
    """
    token = _SINGLE.set(True)
    try:
        with jax.enable_x64(False), jax.default_matmul_precision("highest"):
            yield
    finally:
        _SINGLE.reset(token)


def is_single() -> bool:
    """Whether this is inside `single_precision`."""
    return _SINGLE.get()


def at_hand(*values: Any) -> bool:
    """Whether a call is to run in NumPy: all values are known, and no program is asked for."""
    return not (_COMPILING.get() or _SINGLE.get()) and not any(
        isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values)
    )


@contextlib.contextmanager
def _as_programs() -> Iterator[None]:
    token = _COMPILING.set(True)
    try:
        yield
    finally:
        _COMPILING.reset(token)


def compiled(function: Callable[..., T], **options: Any) -> Callable[..., T]:
    """`jax.jit(function)` whose arguments are taken, and computed with, in double precision.

    For functions of one's own, such as a `jax.vmap` of `solve_fixed`, and for solvers of this
    package that are called hundreds of times: these check the values that they are given, and are
    compiled once for each set of shapes, small ones sharing a program. Inside a program of one's
    own, values can no longer raise an error: invalid ones give NaN and `converged=False`.

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

        @functools.wraps(function)
        def solver(*args: Any, **kwargs: Any) -> T:
            with _as_programs():
                return function(*args, **kwargs)

        return solver
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


def _as_jax(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf
