"""The published stopping rule, as data: train until the validation loss is saturated.

Every few steps the validation loss is measured. The last `window` values are cut in halves; the
run is saturated once the first half's mean exceeds the second's by no more than the noise, which
is the standard deviation of the values around their own smooth (an Epanechnikov kernel). What
comes back is the state of least validation loss.

In a sweep every run has the same number of steps and a saturated one just stands still: no
run depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fewbits.training import loop
from fewbits.training.method import Hyperparameters, Key, Method, Params


@dataclass(frozen=True)
class Stopping:
    """Static choices.

    Attributes:
      check_every: steps between two measurements.
      window: measurements that the rule looks at.
      first_check: measurements before which it does not stop.
      smoothing: half-width of the kernel, in measurements.
    """

    check_every: int
    window: int = 10
    first_check: int = 10
    smoothing: int = 3

    def __post_init__(self):
        if self.check_every < 1:
            raise ValueError(f"check_every must be at least 1, got {self.check_every}")
        if self.window < 4 or self.first_check < self.window:
            raise ValueError(
                "a rule needs window >= 4 and first_check >= window, "
                f"got {self.window} and {self.first_check}"
            )
        if self.smoothing < 1:
            raise ValueError(f"smoothing must be at least 1, got {self.smoothing}")


class Stopped(NamedTuple):
    """What a run with a stopping rule ends with.

    Attributes:
      params: finalised at the measurement of least validation loss.
      best_loss: that loss, Float[].
      stopped_at: Int[], steps done when the rule was met, or all.
      saturated: Bool[], whether it was met.
      history: Float[checks], validation losses; NaN after the stop.
      finite: Bool[], whether every step and every measurement up to the stop was finite.
    """

    params: Params
    best_loss: jax.Array
    stopped_at: jax.Array
    saturated: jax.Array
    history: jax.Array
    finite: jax.Array


def saturated(values: jax.Array, smoothing: int) -> jax.Array:
    """Whether the halves' means differ by no more than the noise.

    Args:
      values: Float[window], the last measurements, oldest first.
      smoothing: half-width of the Epanechnikov kernel, in measurements.

    Returns:
      Bool[]; False where a value is not finite.
    """
    n = values.shape[0]
    distance = (jnp.arange(n)[:, None] - jnp.arange(n)[None, :]) / (smoothing + 1)
    kernel = jnp.maximum(1 - jnp.square(distance), 0.0)
    smooth = (kernel @ values) / kernel.sum(axis=1)
    noise = jnp.std(values - smooth)
    half = n // 2
    return values[:half].mean() - values[-half:].mean() <= noise + 1e-10


def run(
    method: Method,
    plan: loop.Plan,
    stopping: Stopping,
    objective: Callable[[Params], jax.Array],
    key: Key,
    params: Params,
    data: loop.Data,
    hyperparameters: Hyperparameters | None = None,
) -> Stopped:
    """Runs a method until its objective is saturated, for `plan.steps` steps at most.

    Args:
      method: see `fewbits.training.method`.
      plan: see `fewbits.training.loop.Plan`.
      stopping: the rule.
      objective: finalised parameters -> validation loss, Float[].
      key: typed PRNG key of the run.
      params: starting parameters.
      data: pytree of arrays with a common leading axis.
      hyperparameters: the method's own.

    Returns:
      Stopped.

    Raises:
      ValueError: a plan too short for a single measurement.
    """
    n_checks = plan.steps // stopping.check_every
    if n_checks < 1:
        raise ValueError(f"{plan.steps} steps hold no check every {stopping.check_every}")
    carry = loop.start(method, plan, key, params, data, hyperparameters)

    def check(state, number: jax.Array):
        carry, best, best_loss, history, done, stopped_at = state
        first = number * stopping.check_every
        moved = loop.advance(method, plan, carry, data, first, first + stopping.check_every)
        candidate = method.finalize(moved.state)
        loss = objective(candidate)

        def unless_done(new, old):
            return jax.tree.map(lambda a, b: jnp.where(done, b, a), new, old)

        better = ~done & (loss < best_loss)
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), candidate, best)
        best_loss = jnp.where(better, loss, best_loss)
        history = jnp.roll(history, -1).at[-1].set(loss)
        carry = loop.Carry(
            carry.key,  # a key is no number to choose between, and it does not change
            *unless_done(tuple(moved)[1:], tuple(carry)[1:]),
        )
        met = saturated(history[-stopping.window :], stopping.smoothing)
        ripe = number + 1 >= stopping.first_check
        stopped_at = jnp.where(done, stopped_at, first + stopping.check_every)
        logged = jnp.where(done, jnp.nan, loss)
        state = (carry, best, best_loss, history, done | (met & ripe), stopped_at)
        return state, logged

    start = (
        carry,
        method.finalize(carry.state),
        jnp.array(jnp.inf),
        jnp.full(max(n_checks, stopping.window), jnp.nan),
        jnp.array(False),
        jnp.zeros((), jnp.int32),
    )
    (carry, best, best_loss, _, done, stopped_at), history = jax.lax.scan(
        check, start, jnp.arange(n_checks)
    )
    finite = carry.finite & jnp.isfinite(best_loss)
    return Stopped(best, best_loss, stopped_at, done, history, finite)
