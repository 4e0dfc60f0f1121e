"""The regularisers as learners of texts, online and offline, and the decoder of all of them."""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from fewbits.codecs.text import archive, online, resumable
from fewbits.coding import container
from fewbits.training import gradient_descent
from fewbits.training.method import Loss, Method, OptimizerFactory
from pruning.methods import METHODS, schedule
from pruning.minimax import pmmp_curvature
from pruning.penalties import drr, relaxed_lasso

NAMES = ("none", "rl1", "drr", "pmmp_curvature")


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


def offline(name: str, loss: Loss, steps: int) -> tuple[Method, Callable[[Any, Any], Any]]:
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


def title(name: str) -> str:
    """For tables and legends."""
    return "none" if name == "none" else METHODS[name].title


def decode(path: Path) -> tuple[str, float]:
    """SHA-256 of the text in any text file, also one that learned with a penalty, and seconds.

    It goes on where it was stopped.
    """
    began = time.perf_counter()
    data = container.load_bytes(path)
    part = f".{hashlib.sha256(data).hexdigest()[:16]}.decoded.part"
    text = archive.decompress(data, ONLINE, resumable.resumable(path.with_suffix(part)))
    return hashlib.sha256(text).hexdigest(), time.perf_counter() - began
