"""Differentiable estimate of the bits of quantised tensors.

`quantised` puts every tensor on the grid that `fewbits.coding.weights.uniform_grid` will put it on,
and passes gradients straight through. `rate_bits` is what an ideal code of the grid's symbols k
costs if they follow the two-sided geometric law P(k) = (1 - q) / (1 + q) q^|k|, whose entropy is
the largest of all laws with the same mean of |k|: so it bounds the entropy of the symbols from
above, and it is differentiable in the tensor's mean magnitude in steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fewbits.coding.weights import uniform_grid

Bits = Callable[[str], int]
"""Path of a tensor, "decoder/up1/kernel", -> bits of its grid."""


def step_size(tensor: jax.Array, bits: int) -> jax.Array:
    """Step of the k-bit grid, max |w| / (2^(k-1) - 1), a constant to the gradient."""
    reach = jax.lax.stop_gradient(jnp.abs(tensor).max())
    return jnp.maximum(reach, 1e-12) / uniform_grid.largest_symbol(bits)


def quantised(tree: Any, bits: Bits) -> Any:
    """Every tensor rounded to its grid; the gradient is that of the identity.

    Tensors whose values have one sign are stored around the middle of their range instead (see
    `fewbits.coding.weights.uniform_grid`), on a finer step than is assumed here.
    """

    def rounded(path: str, tensor: jax.Array) -> jax.Array:
        step = step_size(tensor, bits(path))
        return tensor + jax.lax.stop_gradient(jnp.rint(tensor / step) * step - tensor)

    return _map(rounded, tree)


def rate_bits(tree: Any, bits: Bits) -> jax.Array:
    """Bits of all symbols under the geometric law, Float[], differentiable."""
    rates: list[jax.Array] = []

    def add(path: str, tensor: jax.Array) -> jax.Array:
        mean = jnp.mean(jnp.abs(tensor)) / step_size(tensor, bits(path))
        rates.append(tensor.size * geometric_entropy_bits(mean))
        return tensor

    _map(add, tree)
    return jnp.sum(jnp.stack(rates))


def geometric_entropy_bits(mean_magnitude: jax.Array) -> jax.Array:
    """Entropy of the two-sided geometric law with E|k| = m, bits.

    m = 2 q / (1 - q^2), so q = (sqrt(1 + m^2) - 1) / m, and
    H = -log2((1 - q) / (1 + q)) - m log2 q.

    Args:
      mean_magnitude: Float[...], m >= 0.
    """
    m = jnp.maximum(mean_magnitude, 1e-6)
    q = m / (jnp.sqrt(1 + jnp.square(m)) + 1)
    return (jnp.log1p(q) - jnp.log1p(-q) - m * jnp.log(q)) / jnp.log(2.0)


def _map(function: Callable[[str, jax.Array], jax.Array], tree: Any) -> Any:
    def named(path: Any, leaf: jax.Array) -> jax.Array:
        return function("/".join(str(part.key) for part in path), leaf)

    return jax.tree_util.tree_map_with_path(named, tree)
