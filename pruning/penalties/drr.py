"""DRR: the differentiable relaxation of the l0 norm (Barth & von Petersenn, Eq. 11).

    J(theta) = L(theta) + alpha sum_i (1 - exp(-beta |theta_i|)) + rho ||theta||^2

Weights well above 1 / beta pay nearly alpha each and feel almost no pull; those below are pulled
to zero with a force of nearly alpha beta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Loss, Method, OptimizerFactory
from pruning.penalties import penalized
from pruning.penalties.lambert import BRANCH_POINT, lambert_w
from pruning.schedule import Schedule


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], handed to the optimiser factory.
      strength: Float[], alpha, nats per weight.
      sharpness: Float[], beta, per unit of weight; the published value is 5.
      decay: Float[], rho, nats per squared weight.
    """

    learning_rate: jax.Array | float = 1e-3
    strength: jax.Array | float = 1e-5
    sharpness: jax.Array | float = 5.0
    decay: jax.Array | float = 0.0


@dataclass(frozen=True)
class DrrConfig:
    """Static choices.

    Attributes:
      hyperparameters: the values of a run that sweeps nothing.
      update: `coupled` as published, or `proximal`; see `penalized`.
      schedule: factors on learning rate and strength.
    """

    hyperparameters: Hyperparameters = Hyperparameters()
    update: penalized.Update = "coupled"
    schedule: Schedule = Schedule()


def value(hyperparameters: Hyperparameters, theta: jax.Array) -> jax.Array:
    """Penalty alpha (1 - exp(-beta |theta|)), elementwise; same shape as theta."""
    strength, sharpness = _constants(hyperparameters, theta)
    # Not expm1: the slope needs the same exponential, which is then computed once.
    return strength * (1 - jnp.exp(-sharpness * jnp.abs(theta)))


def slope(hyperparameters: Hyperparameters, theta: jax.Array) -> jax.Array:
    """Slope alpha beta sign(theta) exp(-beta |theta|), elementwise, as in the paper."""
    strength, sharpness = _constants(hyperparameters, theta)
    return strength * sharpness * jnp.sign(theta) * jnp.exp(-sharpness * jnp.abs(theta))


def proximal(hyperparameters: Hyperparameters, rate: jax.Array, v: jax.Array) -> jax.Array:
    """argmin_x 1/2 (x - v)^2 + rate alpha (1 - exp(-beta |x|)), elementwise, globally.

    For v > 0 a stationary point x > 0 solves x - v + t beta exp(-beta x) = 0, t = rate alpha. With
    y = beta (x - v) this is y exp(y) = z, z = -t beta^2 exp(-beta v), so x = v + W0(z) / beta, the
    other branch being a maximum. It exists for z >= -1/e and is taken where it beats x = 0. The
    map is odd.

    Args:
      hyperparameters: alpha and beta.
      rate: Float[], eta.
      v: Float[...].

    Returns:
      Float[...], exactly zero where zero is best.
    """
    strength, beta = _constants(hyperparameters, v)
    t = rate.astype(v.dtype) * strength
    size = jnp.abs(v)
    z = -t * beta**2 * jnp.exp(-beta * size)
    w = lambert_w(z)
    x = size + w / beta
    # At the stationary point t exp(-beta x) = -w / beta^2, so that no exponential is needed here.
    gain = 0.5 * size**2 - 0.5 * jnp.square(w / beta) - (t + w / beta**2)
    kept = (z >= BRANCH_POINT) & (x > 0) & (gain > 0)
    # NaN compares false with everything: it must go through, not turn into a healthy zero.
    return jnp.where(kept | jnp.isnan(v), jnp.sign(v) * x, jnp.zeros_like(v))


def build(config: DrrConfig, loss: Loss, optimizer: OptimizerFactory = optax.adam) -> Method:
    """Minimises L + alpha sum(1 - exp(-beta |theta|)) + rho ||theta||^2; see `penalized.build`.

    Differs from the paper: nothing with `update="coupled"` and a constant schedule.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser.

    Returns:
      Method with `PenalizedState` and `PenalizedInfo`.

    Raises:
      ValueError: an unknown way of updating.
    """
    return penalized.build(config, penalized.Penalty(value, slope, proximal), loss, optimizer)


def _constants(hyperparameters: Hyperparameters, like: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The constants alpha and beta in the dtype of `like`: no penalty promotes parameters."""
    return (
        jnp.asarray(hyperparameters.strength, like.dtype),
        jnp.asarray(hyperparameters.sharpness, like.dtype),
    )
