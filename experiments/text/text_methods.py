"""The regularisers as learners of texts, online and offline; and the decoder that knows them all.

    python -m experiments.text.text_methods IN OUT

decodes any text file, also one that learned with a penalty, and prints what it cost as JSON. It
goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from experiments.text import text_parts
from fewbits.codecs.text import archive, online
from fewbits.coding import FormatError, container
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


def main(arguments: list[str]) -> int:
    """Decodes IN to OUT; the exit status is 2 for a file's mistake."""
    source, target = map(Path, arguments)
    began = time.perf_counter()
    try:
        data = container.load_bytes(source)
        part = f"{target.name}.{hashlib.sha256(data).hexdigest()[:16]}.part"
        text = archive.decompress(data, ONLINE, text_parts.resumable(target.with_name(part)))
    except FormatError as error:
        print(f"{source}: {error}", file=sys.stderr)
        return 2
    seconds = time.perf_counter() - began
    container.save(target, text)
    digest = hashlib.sha256(text).hexdigest()
    device = jax.devices()[0].device_kind
    print(json.dumps({"sha256": digest, "seconds": seconds, "device": device}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
