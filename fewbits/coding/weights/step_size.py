"""How finely to quantise: the step at which precision stops paying for itself.

Rounding n weights to multiples of delta adds noise of variance delta^2 / 12 to each, and so
delta^2 tr(H) / 24 nats to a loss with Hessian H (summed over all data); a finer step costs
n log2(1 / delta) bits. The sum of both is least at

    delta*^2 = 12 n / tr(H),

where the data cost 1/2 nat a weight more than at the exact optimum (Rissanen 1978; Hinton & van
Camp 1993). The Hessians of networks are far from what that assumes, so delta* is where a search by
validation loss starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

HALF_OCTAVE = 2.0**0.5


def hutchinson_trace(
    key: jax.Array, loss: Callable[[Any], jax.Array], params: Any, n_probes: int
) -> tuple[jax.Array, jax.Array]:
    """Trace of the Hessian by random probes: E[v' H v] = tr(H) for signs v (Hutchinson 1990).

    Args:
      key: typed key.
      loss: params -> scalar; summed, not averaged, over data where delta* is wanted.
      params: pytree of float arrays, where the Hessian is taken.
      n_probes: at least 2.

    Returns:
      The estimate and its standard error, Float[] each.

    Raises:
      ValueError: fewer than two probes.
    """
    if n_probes < 2:
        raise ValueError(f"a trace with its error needs at least 2 probes, not {n_probes}")
    leaves, structure = jax.tree.flatten(params)

    def probe(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, len(leaves))
        signs = [
            jax.random.rademacher(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)
        ]
        vector = jax.tree.unflatten(structure, signs)
        _, product = jax.jvp(jax.grad(loss), (params,), (vector,))
        pairs = zip(signs, jax.tree.leaves(product), strict=True)
        return sum((jnp.vdot(a, b) for a, b in pairs), start=jnp.zeros(()))

    samples = jax.lax.map(probe, jax.random.split(key, n_probes))
    return samples.mean(), samples.std(ddof=1) / n_probes**0.5


def best_step(count: int, trace: jax.Array | float) -> jax.Array:
    """delta* = sqrt(12 n / tr H); infinite where the trace is not positive."""
    trace = jnp.asarray(trace)
    positive = trace > 0
    return jnp.where(positive, jnp.sqrt(12 * count / jnp.where(positive, trace, 1.0)), jnp.inf)


def excess_nats(step: jax.Array | float, trace: jax.Array | float) -> jax.Array:
    """What rounding to multiples of `step` is expected to add to the loss: delta^2 tr(H) / 24."""
    return jnp.square(step) * jnp.asarray(trace) / 24


def coarsest(
    acceptable: Callable[[float], bool], start: float, finest: float, largest: float
) -> float:
    """The coarsest acceptable step of those half octaves below `largest`, searched from `start`.

    Args:
      acceptable: step -> whether validation allows it; fine steps are, coarse ones are not.
      start: where to begin, such as delta*; moved to the nearest of the steps.
      finest: the answer where nothing else is acceptable.
      largest: no step beyond this is tried.
    """
    start = min(max(start, finest), largest)
    step = max(largest * 2.0 ** (-0.5 * round(2 * math.log2(largest / start))), finest)
    if acceptable(step):
        while step * HALF_OCTAVE <= largest and acceptable(step * HALF_OCTAVE):
            step *= HALF_OCTAVE
        return step
    while step > finest:
        step /= HALF_OCTAVE
        if acceptable(step):
            return max(step, finest)
    return finest
