"""Pytrees of parameters seen as one long vector: sizes, magnitudes, thresholds, names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from fewbits.training.method import Params


def size(tree: Params) -> int:
    """Number of numbers in a tree; static, so it also works on `jax.ShapeDtypeStruct`s."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def nonzeros(tree: Params) -> jax.Array:
    """Int[]: numbers that differ from zero."""
    counts = [jnp.count_nonzero(leaf) for leaf in jax.tree.leaves(tree)]
    return sum(counts, start=jnp.array(0, jnp.int32))


def as_vector(tree: Params) -> jax.Array:
    """Float[size]: all leaves flattened, in the order of `jax.tree.leaves`."""
    leaves = jax.tree.leaves(tree)
    return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves]) if leaves else jnp.zeros(0)


def from_vector(vector: jax.Array, like: Params) -> Params:
    """The inverse of `as_vector`: a tree with the structure, shapes and dtypes of `like`.

    Raises:
      ValueError: a vector whose length is not `size(like)`.
    """
    leaves, structure = jax.tree.flatten(like)
    if vector.shape != (size(like),):
        raise ValueError(f"the tree holds {size(like)} numbers, the vector is {vector.shape}")
    parts, first = [], 0
    for leaf in leaves:
        parts.append(vector[first : first + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
        first += leaf.size
    return jax.tree.unflatten(structure, parts)


def magnitudes(tree: Params) -> jax.Array:
    """Float[size]: |theta| over the whole tree, in the order of `as_vector`."""
    return jnp.abs(as_vector(tree))


def threshold_keeping(magnitudes: jax.Array, n_kept: ArrayLike) -> jax.Array:
    """The magnitude at and above which `n_kept` numbers lie: the n_kept-th largest, exactly.

    Found bit by bit from the highest, with one count over all numbers for each: floats that are not
    negative lie in the order of their bits. A sort takes an accelerator's compiler minutes, and
    under vmap it is repeated for every run.

    Args:
      magnitudes: Float[size], none negative, in any order; NaN counts as the largest.
      n_kept: Int[...] in [0, size]; traced values are welcome (bisection in rank).

    Returns:
      Float[...], `inf` for n_kept = 0. Ties at the threshold are all kept, so that
      `mask_above` may keep more than `n_kept`.
    """
    n_kept = jnp.asarray(n_kept)
    wanted = jnp.clip(n_kept, 1, max(magnitudes.size, 1))
    n_bits = jnp.finfo(magnitudes.dtype).bits
    integer = jnp.dtype(f"int{n_bits}")
    ordered = jax.lax.bitcast_convert_type(magnitudes, integer)

    def settle(number: jax.Array, found: jax.Array) -> jax.Array:
        bit = jnp.left_shift(jnp.ones((), integer), (n_bits - 2 - number).astype(integer))
        tried = found | bit
        above = ordered.reshape((1,) * tried.ndim + (-1,)) >= tried[..., None]
        enough = jnp.sum(above, axis=-1) >= wanted
        return jnp.where(enough, tried, found)

    found = jax.lax.fori_loop(0, n_bits - 1, settle, jnp.zeros(wanted.shape, integer))
    largest = jax.lax.bitcast_convert_type(found, magnitudes.dtype)
    return jnp.where(n_kept > 0, largest, jnp.inf)


def mask_above(tree: Params, threshold: ArrayLike) -> Params:
    """Bool tree: |theta| >= threshold and theta != 0, so a threshold of 0 gives the support.

    Args:
      tree: pytree of float arrays.
      threshold: Float[], one for the whole tree.

    Returns:
      Pytree of Bool arrays of the same shapes.
    """
    return jax.tree.map(lambda leaf: (jnp.abs(leaf) >= threshold) & (leaf != 0), tree)


def masked(tree: Params, mask: Params) -> Params:
    """Numbers where the mask is true, exact zeros elsewhere, even in place of NaN."""
    return jax.tree.map(lambda leaf, kept: jnp.where(kept, leaf, jnp.zeros_like(leaf)), tree, mask)


def named_leaves(tree: Any) -> dict[str, Any]:
    """Leaves by readable path, `{"conv1/kernel": ...}`, in the order of `jax.tree.leaves`.

    Raises:
      ValueError: two leaves whose paths read the same, or a path without a name.
    """
    named = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not name or name in named:
            raise ValueError(f"every leaf needs a path of its own, got {name!r} again or empty")
        named[name] = leaf
    return named


def from_named(named: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts from readable paths: the inverse of `named_leaves` on nested dicts.

    Raises:
      ValueError: an empty part in a path, or a path that runs through another's leaf.
    """
    tree: dict[str, Any] = {}
    for name, leaf in named.items():
        *folders, last = name.split("/")
        if not last or not all(folders):
            raise ValueError(f"a path needs a name between its slashes, got {name!r}")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                raise ValueError(f"the path {name!r} runs through another path's leaf")
        if last in node:
            raise ValueError(f"the path {name!r} ends where another one passes")
        node[last] = leaf
    return tree
