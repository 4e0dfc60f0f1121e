"""Transformers of texts that learn under a penalty: while the text is coded, or before.

A text file of `fewbits.codecs.text.online` learns its network on both sides; one that learned
with a penalty is written and read with `ONLINE`:

    learning = Learning(method="drr", strength=1e-5)
    data = online.compress(text, OnlineConfig(learning=learning), ONLINE)
    text = archive.decompress(data, ONLINE)

`train` gives a network that `fewbits.codecs.text.offline` puts into the file.

>>> from pruning import text_learners
>>> sorted(text_learners.ONLINE)
['drr', 'none', 'pmmp_curvature', 'rl1']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from fewbits.codecs.text import header, offline_training, online
from fewbits.training import gradient_descent, loop, trees
from fewbits.training.method import Loss, Method, OptimizerFactory, Params
from fewbits.training.models import transformer
from fewbits.training.models.transformer import TransformerConfig
from fewbits.training.parallel import data_parallel
from pruning import description_length
from pruning.methods import METHODS, schedule
from pruning.minimax import pmmp_curvature
from pruning.penalties import drr, relaxed_lasso
from pruning.procedures import _three_phase


@dataclass(frozen=True)
class Training:
    """How a network is trained offline: three phases on pieces of the text.

    Attributes:
      steps: optimiser steps of the first phase.
      fine_tune_steps: of the last one; 0 for none.
      batch_size: pieces per step.
      length: bytes of a piece.
      learning_rate: of the first phase.
      fine_tune_rate: of the last one.
      tolerance: by how much of itself the loss of held-out text may rise when weights are cut.
      streams: the most streams that the text is coded in.
    """

    steps: int = 800
    fine_tune_steps: int = 200
    batch_size: int = 16
    length: int = 256
    learning_rate: float = 3e-3
    fine_tune_rate: float = 1e-3
    tolerance: float = 0.003
    streams: int = 64


class Trained(NamedTuple):
    """A network and what is known of it.

    Attributes:
      params: with exact zeros.
      nonzeros: weights that are left.
      loss_nats: mean over every fifth batch of the text, per byte.
      held_out_nats: of the first pieces of the held-out text.
      formula_bytes: `description_length.as_published` of network and text.
    """

    params: Params
    nonzeros: int
    loss_nats: float
    held_out_nats: float
    formula_bytes: float


def _rl1(loss: Loss, optimizer: OptimizerFactory, rate: float, strength: float) -> Method:
    return relaxed_lasso.build(
        relaxed_lasso.Rl1Config(relaxed_lasso.Hyperparameters(rate, strength)), loss, optimizer
    )


def _drr(loss: Loss, optimizer: OptimizerFactory, rate: float, strength: float) -> Method:
    return drr.build(drr.DrrConfig(drr.Hyperparameters(rate, strength)), loss, optimizer)


def _curvature(loss: Loss, optimizer: OptimizerFactory, rate: float, strength: float) -> Method:
    chosen = pmmp_curvature.Hyperparameters(rate, strength)
    return pmmp_curvature.build(pmmp_curvature.PmmpCurvatureConfig(chosen), loss, optimizer)


ONLINE: Mapping[str, online.Build] = {
    **online.METHODS,
    "rl1": _rl1,
    "drr": _drr,
    "pmmp_curvature": _curvature,
}
"""Rates and their schedule are the codec's own; only the penalty is the method's."""


def _offline(name: str, loss: Loss, steps: int) -> tuple[Method, Callable[[Any, Any], Any]]:
    """The first phase of training offline.

    Returns:
      Method, and (learning rate, strength) -> its hyperparameters.
    """
    if name != "none":
        named = METHODS[name]
        return named.build(loss, steps), named.hyperparameters

    def factor(step: ArrayLike) -> jax.Array:
        return schedule(steps).rate(jnp.asarray(step))

    def optimizer(learning_rate: Any) -> optax.GradientTransformation:
        return optax.chain(optax.adam(learning_rate), optax.scale_by_schedule(factor))

    method = gradient_descent.build(gradient_descent.GradientDescentConfig(), loss, optimizer)
    return method, lambda rate, _: gradient_descent.Hyperparameters(rate)


def train(
    model: TransformerConfig,
    text: bytes,
    held_out: bytes,
    *,
    method: str = "drr",
    weight: float = 2e-6,
    plan: Training = Training(),  # noqa: B008
    seed: int = 0,
) -> Trained:
    """A network for `fewbits.codecs.text.offline.compress`, by the three phases.

    Args:
      model: its shape.
      text: to be coded.
      held_out: more of the same kind, which the threshold is chosen on.
      method: one of `ONLINE`; with "none" no weight is cut.
      weight: of the penalty.
      plan: see `Training`.
      seed: of the initialisation and the batches.

    Raises:
      ValueError: training did not stay finite.
    """
    data = offline_training.pieces(text, plan.length)
    validation = jax.tree.map(lambda a: a[:128], offline_training.pieces(held_out, plan.length))
    batch_size = min(plan.batch_size, len(data[0]))
    plain_loss = transformer.next_byte_loss(model)
    loss = data_parallel.split_batches(plain_loss, data_parallel.batch_mesh(batch_size))
    key_params, key_run = jax.random.split(jax.random.key(seed))

    def objective(params: Any, batch: Any) -> jax.Array:
        return plain_loss(key_run, params, batch)[0]

    tune = loop.Plan(plan.fine_tune_steps, batch_size) if plan.fine_tune_steps else None
    phases = _three_phase.Phases(loop.Plan(plan.steps, batch_size), tune)
    built, hyperparameters = _offline(method, loss, plan.steps)
    point = _three_phase.Point(
        hyperparameters(plan.learning_rate, jnp.asarray(weight)),
        0.0 if method == "none" else plan.tolerance,
        fine_tune_rate=plan.fine_tune_rate,
    )
    run = jax.jit(partial(_three_phase.run, phases, built, loss, objective))
    result = run(key_run, header.start_params(model, key_params), point, data, validation)
    if not bool(result.finite):
        raise ValueError(f"{method} diverged at the penalty weight {weight}; use a smaller one")
    nats = offline_training.mean_nats(model, result.params, data, every=5)
    nonzeros = int(trees.nonzeros(result.params))
    formula = description_length.as_published(nonzeros, nats, len(text)).total_bytes
    held_out_nats = offline_training.mean_nats(model, result.params, validation)
    return Trained(result.params, nonzeros, nats, held_out_nats, float(formula))
