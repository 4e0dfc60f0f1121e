"""Drawing minibatches inside a program: an order of the examples, and those at some places."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from fewbits.training.method import Key

Data = Any
"""A pytree of arrays that share their leading axis, usually `(inputs, labels)`."""

_FEISTEL_STEPS = 8


def examples(data: Data, indices: jax.Array) -> Data:
    """Some of the examples: leaves with a leading axis of `indices`' size.

    Each example is taken as one row. A TPU pads the last two axes of an array to tiles: pixels of
    one channel would be gathered from an array more than a hundred times as large.
    """

    def rows(a: jax.Array) -> jax.Array:
        flat = a.reshape(a.shape[0], -1) if a.ndim > 2 else a
        taken = jnp.take(flat, indices, axis=0, mode="clip")
        return taken.reshape(indices.shape[0], *a.shape[1:])

    return jax.tree.map(rows, data)


def permutation(key: Key, size: int) -> jax.Array:
    """Int[size]: 0, ..., size - 1 in random order; another order on a TPU than elsewhere.

    `jax.random.permutation` sorts, and for a TPU a large sort takes a minute to compile.
    """
    return jax.lax.platform_dependent(
        key,
        tpu=lambda key: _without_sorting(key, size),
        default=lambda key: jax.random.permutation(key, size),
    )


def _without_sorting(key: Key, size: int) -> jax.Array:
    """A keyed bijection: a Feistel network whose steps are repeated where they leave the range.

    Luby & Rackoff (1988); Black & Rogaway (2002), "Ciphers with arbitrary finite domains".
    """
    half_bits = max(1, -(-(size - 1).bit_length() // 2))
    mask = jnp.uint32((1 << half_bits) - 1)

    def enciphered(value: jax.Array) -> jax.Array:
        left, right = value >> half_bits, value & mask
        for number in range(_FEISTEL_STEPS):
            mixed = (right ^ keys[number]) * jnp.uint32(0x9E3779B1)
            mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x85EBCA6B)
            left, right = right, left ^ ((mixed ^ (mixed >> 13)) & mask)
        return (left << half_bits) | right

    keys = jax.random.bits(key, (_FEISTEL_STEPS,), jnp.uint32)
    found = jax.lax.while_loop(
        lambda value: jnp.any(value >= size),
        lambda value: jnp.where(value >= size, enciphered(value), value),
        enciphered(jnp.arange(size, dtype=jnp.uint32)),
    )
    return found.astype(jnp.int32)
