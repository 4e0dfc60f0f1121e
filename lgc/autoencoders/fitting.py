"""Train a method in parts that report progress, and encode all images of a set.

Running in parts does not change the result (`fewbits.training.loop`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import InputError
from fewbits.training import evaluation, loop
from fewbits.training.method import Hyperparameters, Key, Method, Params
from lgc.config import Progress, report

_PARTS = 20
_ENCODED_AT_ONCE = 1_000

Encode = Callable[[Key, jax.Array, jax.Array], jax.Array]
"""(key, flat images Float[n, pixels] in [0, 1], labels or groups Int[n]) -> latents Float[n, d]."""


def in_parts(
    method: Method,
    plan: loop.Plan,
    key: Key,
    params: Params,
    data: loop.Data,
    hyperparameters: Hyperparameters | None = None,
    *,
    stage: str = "training the autoencoder",
    progress: Progress | None = None,
) -> loop.Result:
    """`loop.run`, in parts after each of which `progress` is called.

    Args:
      method: see `fewbits.training.method`.
      plan: see `loop.Plan`.
      key: typed key of the run.
      params: starting parameters.
      data: in device memory or to be put there.
      hyperparameters: the method's own; None takes its config's.
      stage: what progress is told.
      progress: see `lgc.config.Progress`.

    Raises:
      InputError: the training did not stay finite.
    """
    report(progress, stage, 0, plan.steps)
    carry = jax.jit(partial(loop.start, method, plan))(key, params, data, hyperparameters)
    advance = jax.jit(partial(loop.advance, method, plan), donate_argnums=0)
    ends = np.unique(np.linspace(0, plan.steps, _PARTS + 1).astype(int))
    for first, last in zip(ends, ends[1:], strict=False):
        carry = advance(carry, data, first, last)
        jax.block_until_ready(carry.finite)
        report(progress, stage, int(last), plan.steps)
    result = loop.finish(method, carry)
    if not result.finite:
        raise InputError(f"{stage} did not stay finite; use a lower learning rate")
    return result


def latents(encode: Encode, key: Key, flat: jax.Array, told: jax.Array) -> np.ndarray:
    """Float32[n, d]: each image's latents, from a key of its own.

    With one key for a batch, an image's latents would depend on the rest of the batch.

    Args:
      encode: see `Encode`.
      key: typed key.
      flat: UInt8[n, pixels].
      told: Int[n], labels or groups.
    """

    def one(key: Key, image: jax.Array, told: jax.Array) -> jax.Array:
        return encode(key, image.astype(jnp.float32)[None] / 255, told[None])[0]

    def batch(part: tuple[Key, jax.Array, jax.Array]) -> Any:
        return jax.vmap(one)(*part)

    keys = jax.random.split(key, len(flat))
    mapped = partial(evaluation.map_batches, batch, batch_size=_ENCODED_AT_ONCE)
    return np.asarray(jax.jit(mapped)((keys, flat, told)))
