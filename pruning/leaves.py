"""Which leaves of a pytree a method prunes: floats that a mask does not exempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fewbits.training.method import Params

Mask = Any
"""A tree of bools with the structure of the parameters or a prefix of it, a function of the
parameters that gives one, or None for every float."""


def chosen(mask: Mask, params: Params) -> Params:
    """Tree of bools: True at the leaves of floats that the mask does not exempt.

    Raises:
      ValueError: a mask whose structure is no prefix of that of the parameters.
    """
    if callable(mask):
        mask = mask(params)
    if mask is None:
        mask = True
    return jax.tree.map(
        lambda wanted, tree: jax.tree.map(lambda leaf: bool(wanted) and _is_float(leaf), tree),
        mask,
        params,
    )


def map_chosen(
    function: Callable[[jax.Array, jax.Array], jax.Array], mask: Mask, params: Params, other: Params
) -> Params:
    """`function(leaf of params, leaf of other)` at chosen leaves, the leaf of `other` elsewhere.

    Args:
      function: called for chosen leaves only.
      mask: see `Mask`.
      params: decides what is chosen.
      other: of the same structure, but that a leaf which is not chosen may be None here.
    """

    def at(leaf: Any, theta: Any, wanted: Any) -> Any:
        return function(jnp.asarray(theta), jnp.asarray(leaf)) if wanted is True else leaf

    return jax.tree.map(at, other, params, chosen(mask, params), is_leaf=lambda x: x is None)


def select(mask: Mask, params: Params) -> list[Any]:
    """The chosen leaves, in the order of `jax.tree.leaves`."""
    wanted = jax.tree.leaves(chosen(mask, params))
    return [leaf for leaf, on in zip(jax.tree.leaves(params), wanted, strict=True) if on]


def replace(mask: Mask, params: Params, new: list[Any]) -> Params:
    """The parameters with their chosen leaves replaced; the inverse of `select`."""
    old, structure = jax.tree.flatten(params)
    wanted, rest = jax.tree.leaves(chosen(mask, params)), iter(new)
    return structure.unflatten(
        [next(rest) if on else leaf for leaf, on in zip(old, wanted, strict=True)]
    )


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
