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
from pruning import leaves
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
    """Slope alpha beta sign(theta) exp(-beta |theta|), elementwise, as published."""
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
    strength, sharpness = _constants(hyperparameters, v)
    # At a sharpness of 0 there is no penalty, and nothing to divide by.
    beta = jnp.where(sharpness > 0, sharpness, jnp.ones_like(sharpness))
    t = jnp.asarray(rate, v.dtype) * strength
    size = jnp.abs(v)
    z = -t * beta**2 * jnp.exp(-beta * size)
    w = lambert_w(z)
    x = size + w / beta
    # At the stationary point t exp(-beta x) = -w / beta^2, so that no exponential is needed here.
    gain = 0.5 * size**2 - 0.5 * jnp.square(w / beta) - (t + w / beta**2)
    kept = (z >= BRANCH_POINT) & (x > 0) & (gain > 0)
    # NaN compares false with everything: it must go through, not turn into a healthy zero.
    found = jnp.where(kept | jnp.isnan(v), jnp.sign(v) * x, jnp.zeros_like(v))
    return jnp.where(sharpness > 0, found, v)


FORMULA = penalized.Formula(value, slope, proximal)


def drr(
    strength: optax.ScalarOrSchedule,
    sharpness: optax.ScalarOrSchedule = 5.0,
    mask: leaves.Mask = None,
) -> optax.GradientTransformation:
    """Adds the gradient of DRR, the differentiable relaxation of the l0 norm.

    alpha sum_i (1 - exp(-beta |theta_i|)): Barth & von Petersenn, "Efficient compression of neural
    networks and datasets" (arXiv 2505.17469), Eq. 11. As published it stands before the optimiser:
    `optax.chain(pruning.drr(2e-4), optax.adam(1e-3))`. Weights come close to zero but not to it:
    cut them with `threshold_search` and train on without the penalty, or use `prune`.

    Args:
      strength: alpha, nats per weight; a number, a traced array (vmap over it) or a schedule.
        `optax.inject_hyperparams(pruning.drr)` keeps it in the state.
      sharpness: beta, per unit of weight; likewise.
      mask: which leaves are penalised: a tree of bools (or a prefix of one), a function of the
        params that gives one, None for all. Leaves that are no floats are passed through.

    Returns:
      Transformation whose `update` needs `params`; dtypes of the updates are kept.

    Raises:
      ValueError: from `update`, without params or with a mask of another structure.

    >>> import jax.numpy as jnp, optax, pruning
    >>> penalty = pruning.drr(strength=0.1, sharpness=5.0)
    >>> params = {"w": jnp.array([1.0, -0.01, 0.0])}
    >>> gradient = {"w": jnp.zeros(3)}
    >>> updates, _ = penalty.update(gradient, penalty.init(params), params)
    >>> [round(float(slope), 4) for slope in updates["w"]]
    [0.0034, -0.4756, 0.0]
    """

    def at(count: jax.Array) -> Hyperparameters:
        alpha, beta = (penalized.value_at(x, count) for x in (strength, sharpness))
        return Hyperparameters(strength=alpha, sharpness=beta)

    return penalized.Penalty(FORMULA, at, mask)


def build(
    config: DrrConfig,
    loss: Loss,
    optimizer: OptimizerFactory = optax.adam,
    mask: leaves.Mask = None,
) -> Method:
    """Minimises L + alpha sum(1 - exp(-beta |theta|)) + rho ||theta||^2; see `penalized.build`.

    Differs from what is published: nothing with `update="coupled"` and a constant schedule.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`.
      optimizer: learning rate -> optax optimiser.
      mask: which leaves are penalised; see `leaves.chosen`.

    Returns:
      Method with `PenalizedState` and `PenalizedInfo`.

    Raises:
      ValueError: an unknown way of updating.
    """
    return penalized.build(config, FORMULA, loss, optimizer, mask)


def _constants(hyperparameters: Hyperparameters, like: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The constants alpha and beta in the dtype of `like`: no penalty promotes parameters."""
    return (
        jnp.asarray(hyperparameters.strength, like.dtype),
        jnp.asarray(hyperparameters.sharpness, like.dtype),
    )
