"""How the learning rate and the penalty change over a run: factors, given as functions of the step.

An optax schedule inside the optimiser would be invisible to a proximal step, which has to use the
same rate as the gradient step before it. So the methods of this package multiply their swept
`learning_rate` and `strength` by these factors and hand the product to both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

Factor = Callable[[jax.Array], jax.Array]
"""Number of steps done, Int[] -> factor, Float[]."""


def constant(step: jax.Array) -> jax.Array:
    """1 at every step."""
    return jnp.ones_like(step, jnp.float32)


@dataclass(frozen=True)
class Ramp:
    """0 until step `first`, then straight up to 1 at step `last`, and 1 from there on.

    Attributes:
      first: last step at which the factor is 0.
      last: first step at which it is 1.
    """

    first: int
    last: int

    def __post_init__(self):
        if not 0 <= self.first < self.last:
            raise ValueError(f"a ramp needs 0 <= first < last, got {self.first}, {self.last}")

    def __call__(self, step: jax.Array) -> jax.Array:
        """Factor at a step, Float[]."""
        return jnp.clip((step - self.first) / (self.last - self.first), 0.0, 1.0)


@dataclass(frozen=True)
class CosineDecay:
    """1 until step `first`, then half a cosine down to `floor` at step `last`.

    Attributes:
      first: last step at which the factor is 1.
      last: first step at which it is `floor`.
      floor: the factor at the end.
    """

    first: int
    last: int
    floor: float = 0.0

    def __post_init__(self):
        if not 0 <= self.first < self.last:
            raise ValueError(f"a decay needs 0 <= first < last, got {self.first}, {self.last}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor must be between 0 and 1, got {self.floor}")

    def __call__(self, step: jax.Array) -> jax.Array:
        """Factor at a step, Float[]."""
        progress = jnp.clip((step - self.first) / (self.last - self.first), 0.0, 1.0)
        return self.floor + (1 - self.floor) * 0.5 * (1 + jnp.cos(jnp.pi * progress))


@dataclass(frozen=True)
class Schedule:
    """The factors of one run.

    Attributes:
      rate: on `learning_rate`.
      strength: on `strength`, for methods that have one.
    """

    rate: Factor = constant
    strength: Factor = constant


H = TypeVar("H", bound=Any)


def scheduled(hyperparameters: H, schedule: Schedule, step: jax.Array) -> H:
    """The hyperparameters in force at a step.

    Args:
      hyperparameters: NamedTuple with `learning_rate` and perhaps `strength`.
      schedule: see `Schedule`.
      step: Int[], steps done.

    Returns:
      The same NamedTuple with both fields multiplied by their factors, dtypes kept.
    """
    rate = hyperparameters.learning_rate
    now = {"learning_rate": rate * jnp.asarray(schedule.rate(step), rate.dtype)}
    if "strength" in hyperparameters._fields:
        strength = hyperparameters.strength
        now["strength"] = strength * jnp.asarray(schedule.strength(step), strength.dtype)
    return hyperparameters._replace(**now)
