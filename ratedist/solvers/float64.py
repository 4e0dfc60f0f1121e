"""Double precision for one call, whatever the global flag says.

A certified gap of 1e-6 bits cannot be had in single precision. Every public function of this room
therefore works inside `jax.enable_x64`, and leaves the global flag alone. Where the flag is off,
results come back as NumPy arrays: JAX would warn about, and round, a float64 array of its own.

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


def in_float64(function: Callable[P, T]) -> Callable[P, T]:
    """The same function, run with double precision switched on for the time of the call."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if jax.config.read("jax_enable_x64"):
            return function(*args, **kwargs)
        with jax.enable_x64(True):
            return jax.tree.map(_as_numpy, function(*args, **kwargs))

    return wrapped


def compiled(function: Callable[..., T], **options: Any) -> Callable[..., T]:
    """`jax.jit(function)` whose arguments are taken, and computed with, in double precision.

    Args:
      function: anything jittable, such as `solve_fixed` or a `vmap` of it.
      **options: passed on to `jax.jit`.

    Returns:
      The compiled function; it retraces for new shapes only.
    """
    return in_float64(jax.jit(function, **options))


def _as_numpy(leaf: Any) -> Any:
    return leaf if isinstance(leaf, Tracer) else np.asarray(leaf)
