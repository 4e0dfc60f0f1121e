"""The table that every training method joins with one row; `test_contract.py` tests every row.

A row is a name and a function that makes a small case: the method and arguments for it. Keep cases
tiny (tens of parameters, a step well under a millisecond): each is compiled several times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import pruning
from fewbits.training import gradient_descent, losses, networks
from fewbits.training.method import Method
from pruning.controls import gradual_magnitude, hard_concrete
from pruning.minimax import pmmp, pmmp_admm, pmmp_curvature
from pruning.penalties import drr, relaxed_lasso
from pruning.schedule import CosineDecay, Ramp, Schedule


class Case(NamedTuple):
    """One method, ready to take steps.

    Attributes:
      method: the method under test.
      params: starting parameters.
      data: pytree of arrays with a leading axis of examples, for `fewbits.training.loop`.
      grid: the method's own Hyperparameters, its leaves with a leading axis of at least two
        values that differ: what a sweep would pass.
    """

    method: Method
    params: Any
    data: Any
    grid: Any


class Row(NamedTuple):
    """A line of the table.

    Attributes:
      name: shown in test ids.
      make: makes the case; called once.
      slow: only in the longer run; each row compiles its method several times.
    """

    name: str
    make: Callable[[], Case]
    slow: bool = False


def classification(n_examples: int = 24) -> tuple[networks.Network, Any, tuple[Any, Any]]:
    """A network of 26 parameters, its starting parameters and a separable problem of two classes.

    Args:
      n_examples: examples in the data.

    Returns:
      network, params, (inputs Float[n, 3], labels Int[n]).
    """
    network = networks.mlp((3, 4, 2))
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(n_examples, 3)).astype(np.float32)
    labels = (inputs.sum(axis=1) > 0).astype(np.int32)
    return network, network.init(jax.random.key(7)), (jnp.asarray(inputs), jnp.asarray(labels))


def _gradient_descent(optimizer: Callable[[Any], optax.GradientTransformation]) -> Case:
    network, params, data = classification()
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(), losses.cross_entropy(network.apply), optimizer
    )
    return Case(method, params, data, gradient_descent.Hyperparameters(jnp.array([1e-3, 1e-1])))


def _scheduled_momentum(learning_rate: Any) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.sgd(learning_rate, momentum=0.9),
        optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, 10)),
    )


def steady_adam(learning_rate: Any) -> optax.GradientTransformation:
    """Adam that does not turn rounding into steps of full size.

    Where a gradient is zero in exact arithmetic (PMMP's, for w = theta), plain Adam divides one
    rounding error by another, and two compilations of one step rightly differ.
    """
    return optax.adam(learning_rate, eps=1e-4)


def _pruning(build: Callable[..., Method], config: Any, first: Any, second: Any) -> Case:
    """A pruning method at two points of a sweep."""
    network, params, data = classification()
    grid = jax.tree.map(lambda *values: jnp.array(values), first, second)
    loss = losses.cross_entropy(network.apply)
    return Case(build(config, loss, steady_adam), params, data, grid)


_SCHEDULE = Schedule(rate=CosineDecay(0, 100, 0.1), strength=Ramp(0, 4))

TABLE = [
    Row("gradient_descent-adam", lambda: _gradient_descent(optax.adam)),
    Row("gradient_descent-scheduled_momentum", lambda: _gradient_descent(_scheduled_momentum)),
    Row(
        "optax-drr",
        lambda: _gradient_descent(lambda rate: optax.chain(pruning.drr(0.05), optax.adam(rate))),
        slow=True,
    ),
    Row(
        "optax-relaxed_lasso",
        lambda: _gradient_descent(
            lambda rate: optax.chain(pruning.relaxed_lasso(0.05), optax.sgd(rate))
        ),
        slow=True,
    ),
    Row(
        "optax-proximal",
        lambda: _gradient_descent(
            lambda rate: pruning.proximal(optax.adam(rate), pruning.drr(0.1), rate)
        ),
        slow=True,
    ),
    Row(
        "optax-gradual_magnitude",
        lambda: _gradient_descent(
            lambda rate: optax.chain(optax.adam(rate), pruning.gradual_magnitude(0.5))
        ),
        slow=True,
    ),
    Row(
        "drr-coupled",
        lambda: _pruning(
            drr.build,
            drr.DrrConfig(schedule=_SCHEDULE),
            drr.Hyperparameters(0.01, 1e-3),
            drr.Hyperparameters(0.02, 1e-1, 10.0, 1e-3),
        ),
        slow=True,
    ),
    Row(
        "drr-proximal",
        lambda: _pruning(
            drr.build,
            drr.DrrConfig(update="proximal"),
            drr.Hyperparameters(0.01, 0.1),
            drr.Hyperparameters(0.02, 5.0),
        ),
        slow=True,
    ),
    Row(
        "rl1-proximal",
        lambda: _pruning(
            relaxed_lasso.build,
            relaxed_lasso.Rl1Config(update="proximal"),
            relaxed_lasso.Hyperparameters(0.01, 0.1),
            relaxed_lasso.Hyperparameters(0.02, 5.0),
        ),
        slow=True,
    ),
    Row(
        "pmmp",
        lambda: _pruning(
            pmmp.build,
            pmmp.PmmpConfig(schedule=_SCHEDULE),
            pmmp.Hyperparameters(0.01, 1e-3),
            pmmp.Hyperparameters(0.05, 1e-1, 0.7, 3.0),
        ),
        slow=True,
    ),
    Row(
        "pmmp-fictitious_play",
        lambda: _pruning(
            pmmp.build,
            pmmp.PmmpConfig(averaging="mean", steps_per_average=2),
            pmmp.Hyperparameters(0.01, 1e-3),
            pmmp.Hyperparameters(0.05, 1e-1, 0.7, 3.0),
        ),
        slow=True,
    ),
    Row(
        "pmmp_curvature",
        lambda: _pruning(
            pmmp_curvature.build,
            pmmp_curvature.PmmpCurvatureConfig(schedule=_SCHEDULE, anneal=CosineDecay(0, 10)),
            pmmp_curvature.Hyperparameters(0.01, 1e-3),
            pmmp_curvature.Hyperparameters(0.02, 1e-1, 0.5),
        ),
        slow=True,
    ),
    Row(
        "pmmp_admm",
        lambda: _pruning(
            pmmp_admm.build,
            pmmp_admm.PmmpAdmmConfig(steps_per_update=2),
            pmmp_admm.Hyperparameters(0.01, 1e-3),
            pmmp_admm.Hyperparameters(0.02, 1.0, 20.0),
        ),
        slow=True,
    ),
    Row(
        "magnitude",
        lambda: _pruning(
            gradual_magnitude.build,
            gradual_magnitude.MagnitudeConfig(ramp=Ramp(0, 4)),
            gradual_magnitude.Hyperparameters(0.01, 0.5),
            gradual_magnitude.Hyperparameters(0.02, 0.2),
        ),
        slow=True,
    ),
    Row(
        "hard_concrete",
        lambda: _pruning(
            hard_concrete.build,
            hard_concrete.HardConcreteConfig(schedule=_SCHEDULE),
            hard_concrete.Hyperparameters(0.01),
            hard_concrete.Hyperparameters(0.02, 20.0, 1e-1, 0.6),
        ),
        slow=True,
    ),
]
