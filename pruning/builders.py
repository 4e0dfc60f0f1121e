"""The methods that are no optax transformations, each made by one call.

Each takes the loss first (see `fewbits.training.method.Loss`), everything else by keyword. A number
that may be swept can be a traced array: build the method inside the function that is vmapped. With
`steps`, the learning rate falls to a twentieth along half a cosine within so many steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import optax

from fewbits.training.method import Loss, Method, OptimizerFactory
from pruning.controls import hard_concrete as gates
from pruning.minimax import pmmp as game
from pruning.minimax import pmmp_admm as admm
from pruning.minimax import pmmp_curvature as curved
from pruning.schedule import CosineDecay, Factor, Schedule, constant

Number = jax.Array | float


def default_schedule(steps: int | None) -> Schedule:
    """The learning rate falls to a twentieth along half a cosine; None keeps it."""
    return Schedule() if steps is None else Schedule(rate=CosineDecay(0, steps, 0.05))


def pmmp(
    loss: Loss,
    *,
    strength: Number = 1e-2,
    learning_rate: Number = 1e-3,
    initial_gate: Number = 1.0,
    initial_multiplier: Number = 1.0,
    steps: int | None = None,
    optimizer: OptimizerFactory = optax.adam,
) -> Method:
    """PMMP, probabilistic minimax pruning: an l0 penalty without a relaxation of the norm.

    min_{theta, w, gamma in [0, 1]} max_u L(theta) + alpha sum gamma + sum u E (theta - w z)^2 with
    z ~ Bernoulli(gamma): Barth & von Petersenn, "Efficient compression of neural networks and
    datasets" (arXiv 2505.17469), Eq. 10, by simultaneous gradient steps as published.

    Args:
      loss: (key, params, batch) -> (mean loss in nats, named scalars).
      strength: alpha, nats per weight.
      learning_rate: of all four tensors.
      initial_gate: gamma at the start, in [0, 1].
      initial_multiplier: u at the start.
      steps: length of the learning rate's schedule; None for a constant rate.
      optimizer: learning rate -> optax optimiser.

    Returns:
      Method(init, step, finalize); finalised params are zero where gamma is.

    >>> import jax, jax.numpy as jnp, pruning
    >>> def loss(key, params, batch):
    ...     return jnp.sum((params - batch) ** 2), {}
    >>> method = pruning.pmmp(loss, strength=0.1, learning_rate=0.02)
    >>> target = jnp.array([1.0, 0.05])
    >>> state, step = method.init(jax.random.key(0), target), jax.jit(method.step)
    >>> for number in range(300):
    ...     state, info = step(jax.random.key(number), state, target)
    >>> print(method.finalize(state) != 0)
    [ True False]
    """
    numbers = game.Hyperparameters(learning_rate, strength, initial_gate, initial_multiplier)
    config = game.PmmpConfig(numbers, schedule=default_schedule(steps))
    return game.build(config, loss, optimizer)


def fpp(
    loss: Loss,
    *,
    strength: Number = 1e-2,
    learning_rate: Number = 1e-3,
    initial_gate: Number = 1.0,
    initial_multiplier: Number = 1.0,
    averaging: Literal["mean", "exponential"] = "mean",
    memory: float = 0.01,
    steps: int | None = None,
    optimizer: OptimizerFactory = optax.adam,
) -> Method:
    """FPP: PMMP by fictitious play, each side moving against the other's average.

    theta, w and gamma descend against the average of u; u ascends on the constraint at the averages
    of theta, w and gamma. After the authors' program for arXiv 2505.17469; Eq. 10 is in `pmmp`.

    Args:
      loss: see `pmmp`, like all that is not named here.
      strength: alpha, nats per weight.
      learning_rate: of all four tensors.
      initial_gate: gamma at the start, in [0, 1].
      initial_multiplier: u at the start.
      averaging: `mean` of all steps, or a fading (`exponential`) one.
      memory: share that a new step has in the fading mean, in (0, 1].
      steps: length of the learning rate's schedule; None for a constant rate.
      optimizer: learning rate -> optax optimiser.

    Returns:
      Method(init, step, finalize).

    Raises:
      ValueError: an unknown averaging, or a memory outside (0, 1].

    >>> import jax, jax.numpy as jnp, pruning
    >>> def loss(key, params, batch):
    ...     return jnp.sum((params - batch) ** 2), {}
    >>> method = pruning.fpp(loss, strength=0.1, learning_rate=0.02)
    >>> target = jnp.array([1.0, 0.05])
    >>> state, step = method.init(jax.random.key(0), target), jax.jit(method.step)
    >>> for number in range(300):
    ...     state, info = step(jax.random.key(number), state, target)
    >>> print(method.finalize(state) != 0)
    [ True False]
    """
    numbers = game.Hyperparameters(learning_rate, strength, initial_gate, initial_multiplier)
    config = game.PmmpConfig(
        numbers, averaging=averaging, memory=memory, schedule=default_schedule(steps)
    )
    return game.build(config, loss, optimizer)


def pmmp_curvature(
    loss: Loss,
    *,
    strength: Number = 3e-5,
    learning_rate: Number = 1e-3,
    gate_rate: Number = 0.005,
    temperature: Number = 0.1,
    initial_gate: Number = 0.95,
    curvature: Literal["fisher", "hessian"] = "fisher",
    steps: int | None = None,
    optimizer: OptimizerFactory = optax.adam,
) -> Method:
    """PMMP with the network's own curvature in place of the multiplier, a plain minimisation.

    min_{w, gamma} L(w gamma) + 1/2 sum h w^2 gamma (1 - gamma) + alpha sum gamma, h the diagonal of
    the Fisher or Hessian matrix. This project's variant of arXiv 2505.17469, Eq. 10; at its
    minimum a weight goes if its saliency 1/2 h w^2 (LeCun et al. 1990) is below alpha.

    Args:
      loss: (key, params, batch) -> (mean loss in nats, named scalars).
      strength: alpha, nats per weight.
      learning_rate: of w.
      gate_rate: logits per step that a gate moves, for a weight that is worth nothing.
      temperature: of the entropy of the gates, in units of alpha.
      initial_gate: gamma at the start, in (0, 1).
      curvature: `fisher` (half a pass more) or `hessian` (one more).
      steps: length of the run, over which the learning rate falls and the temperature reaches
        zero; None keeps both.
      optimizer: learning rate -> optax optimiser of w.

    Returns:
      Method(init, step, finalize); finalised params are w where gamma > 1/2.

    Raises:
      ValueError: an unknown curvature.

    >>> import jax, jax.numpy as jnp, pruning
    >>> def loss(key, params, batch):
    ...     return jnp.sum((params - batch) ** 2), {}
    >>> method = pruning.pmmp_curvature(loss, strength=0.1, curvature="hessian", steps=1000)
    >>> target = jnp.array([1.0, 0.05])
    >>> state, step = method.init(jax.random.key(0), target), jax.jit(method.step)
    >>> for number in range(1000):
    ...     state, info = step(jax.random.key(number), state, target)
    >>> print(method.finalize(state) != 0)
    [ True False]
    """
    anneal: Factor = constant if steps is None else CosineDecay(0, steps)
    numbers = curved.Hyperparameters(learning_rate, strength, gate_rate, temperature, initial_gate)
    config = curved.PmmpCurvatureConfig(
        numbers, curvature, anneal=anneal, schedule=default_schedule(steps)
    )
    return curved.build(config, loss, optimizer)


def pmmp_admm(
    loss: Loss,
    *,
    strength: Number = 0.1,
    learning_rate: Number = 1e-3,
    penalty: Number = 10.0,
    steps_per_update: int = 50,
    steps: int | None = None,
    optimizer: OptimizerFactory = optax.adam,
) -> Method:
    """L0 pruning split for ADMM: the constraint theta = v is linear, so a finite multiplier exists.

    min_{theta, v} L(theta) + alpha ||v||_0 subject to theta = v (Boyd et al. 2011, section 9.1, for
    a network). This project's counterpart of the ADMM variant of arXiv 2505.17469, App. C.4.

    Args:
      loss: (key, params, batch) -> (mean loss in nats, named scalars).
      strength: alpha; nats per weight under plain gradient descent, in units of the rescaled
        gradient under Adam.
      learning_rate: of theta.
      penalty: r of the augmented Lagrangian, in the same units.
      steps_per_update: optimiser steps between two updates of v and the multipliers.
      steps: length of the learning rate's schedule; None for a constant rate.
      optimizer: learning rate -> optax optimiser of theta.

    Returns:
      Method(init, step, finalize); finalised params are v, exactly sparse.

    Raises:
      ValueError: fewer than one step per update.

    >>> import jax, jax.numpy as jnp, optax, pruning
    >>> def loss(key, params, batch):
    ...     return jnp.sum((params - batch) ** 2), {}
    >>> method = pruning.pmmp_admm(
    ...     loss, strength=0.1, learning_rate=0.1, penalty=1.0, steps_per_update=5,
    ...     optimizer=optax.sgd,
    ... )
    >>> target = jnp.array([1.0, 0.05])
    >>> state, step = method.init(jax.random.key(0), target), jax.jit(method.step)
    >>> for number in range(300):
    ...     state, info = step(jax.random.key(number), state, target)
    >>> print(method.finalize(state) != 0)
    [ True False]
    """
    numbers = admm.Hyperparameters(learning_rate, strength, penalty)
    config = admm.PmmpAdmmConfig(
        numbers, steps_per_update=steps_per_update, schedule=default_schedule(steps)
    )
    return admm.build(config, loss, optimizer)


def hard_concrete(
    loss: Loss,
    *,
    strength: Number = 1e-5,
    learning_rate: Number = 1e-3,
    gate_rate: Number = 10.0,
    initial_open: Number = 0.9,
    steps: int | None = None,
    optimizer: Callable[[Any], optax.GradientTransformation] = optax.adam,
) -> Method:
    """Hard-concrete gates, drawn at each step (Louizos, Welling & Kingma 2018).

    min_{w, log alpha} E_z L(w z) + lambda sum P(z != 0), z a stretched and clipped binary concrete
    variable (their Eqs. 10 to 12): one gate for each weight.

    Args:
      loss: (key, params, batch) -> (mean loss in nats, named scalars).
      strength: lambda, nats per expected open gate.
      learning_rate: of the weights.
      gate_rate: times `learning_rate` for the gates.
      initial_open: P(z != 0) at the start, in (0, 1).
      steps: length of the learning rate's schedule; None for a constant rate.
      optimizer: learning rate -> optax optimiser.

    Returns:
      Method(init, step, finalize); finalised params are the weights times their settled gates.

    >>> import jax, jax.numpy as jnp, pruning
    >>> def loss(key, params, batch):
    ...     return jnp.sum((params - batch) ** 2), {}
    >>> method = pruning.hard_concrete(loss, strength=0.1, learning_rate=0.01)
    >>> target = jnp.array([1.0, 0.05])
    >>> state, step = method.init(jax.random.key(0), target), jax.jit(method.step)
    >>> for number in range(300):
    ...     state, info = step(jax.random.key(number), state, target)
    >>> print(method.finalize(state) != 0)
    [ True False]
    """
    numbers = gates.Hyperparameters(learning_rate, gate_rate, strength, initial_open)
    config = gates.HardConcreteConfig(numbers, schedule=default_schedule(steps))
    return gates.build(config, loss, optimizer)
