"""Checks of arguments that more than one function takes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import InputError


def typed_key(key: Any) -> jax.Array:
    """The key, or `jax.random.key(0)` for None; InputError for anything but a typed key."""
    if key is None:
        return jax.random.key(0)
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key) or key.ndim:
        raise InputError(f"key is {key!r}; use one key, such as jax.random.key(0)")
    return key


def is_positive_number(value: Any) -> bool:
    """Whether it is a number above 0, and no truth value."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(value > 0)


def check_count(value: Any, name: str) -> None:
    """InputError unless the value is a whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name} is {value!r}; use a whole number, 1 or more")


def check_config(config: Any, kind: type) -> None:
    """InputError unless the config is of the kind that the function takes."""
    if not isinstance(config, kind):
        raise InputError(f"config is a {type(config).__name__}; use lgc.{kind.__name__}(...)")
