"""One file of a text: train, write, decode in a subprocess, count."""

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.runner import subprocesses
from experiments.text import text_methods
from fewbits.codecs.text import header, offline, offline_training, online, resumable
from fewbits.codecs.text.contexts import SHAPE
from fewbits.coding import container
from fewbits.io import wikipedia
from fewbits.training import data_parallel, loop, transformer, trees
from fewbits.training.transformer import TransformerConfig
from pruning.procedures import _three_phase


@dataclass(frozen=True)
class Training:
    """How a network is trained offline: three phases on pieces of the text."""

    steps: int = 800
    fine_tune_steps: int = 200
    batch_size: int = 16
    length: int = 256
    learning_rate: float = 3e-3
    fine_tune_rate: float = 1e-3
    tolerance: float = 0.003
    """By how much of itself the loss of held-out text may rise when weights are cut."""
    streams: int = 64
    """The most streams that the text is coded in."""


@dataclass(frozen=True)
class Sweep:
    """Penalty weights of each method, from weak to strong; the first are used on the whole text.

    The price of a weight, some 10 bits of a file, is 7 nats over the bytes of the text: 2e-6 nats a
    byte at 4 MB. An l1 norm counts a weight by its size, about a tenth.
    """

    rl1: tuple[float, ...] = (1e-5, 1e-4)
    drr: tuple[float, ...] = (2e-6, 2e-5)
    pmmp_curvature: tuple[float, ...] = (2e-6, 2e-5)


@dataclass(frozen=True)
class Config:
    bytes: int = 4_000_000
    """Of text: all methods, at their first weights."""
    small_bytes: int = 1_000_000
    """Of text: the same, and offline all weights and widths."""
    source: wikipedia.Source = "wiki"
    file: str | None = None
    """The Wikipedia file, if it is not beside the folder of data sets."""
    offline_model: TransformerConfig = TransformerConfig(64, 4, 4, window=128)
    online_model: TransformerConfig = TransformerConfig(128, 2, 4, window=64, contexts=SHAPE)
    widths: tuple[int, ...] = (32, 96)
    """Of further networks offline, for description length against model size."""
    training: Training = Training()
    learning: online.Learning = online.Learning()
    sweep: Sweep = Sweep()
    seed: int = 0


class Trial(NamedTuple):
    """One file to write, or all those of general compressors."""

    mode: str
    """`online`, `offline` or `general`."""
    bytes: int
    """Of text."""
    method: str = "none"
    weight: float = 0.0
    width: int = 0
    """Of the offline network; 0 for the online one."""


def model(config: Config, trial: Trial) -> TransformerConfig:
    """Of the trial's network."""
    if not trial.width:
        return config.online_model
    return dataclasses.replace(config.offline_model, width=trial.width)


def measure(
    config: Config, trial: Trial, text_path: Path, held_out_path: Path, path: Path
) -> dict[str, Any]:
    """Write and decode a file; its numbers, by the names that the experiment's row has for them."""
    text = text_path.read_bytes()
    began = time.perf_counter()
    shape = model(config, trial)
    identity = hashlib.sha256(repr((config, trial)).encode() + text).hexdigest()[:16]
    run = resumable.resumable(path.with_suffix(f".{identity}.part"))
    initial = jax.eval_shape(partial(transformer.init, shape), jax.random.key(0))
    found: dict[str, Any] = {"parameters": trees.size(initial)}
    if trial.mode == "online":
        learning = dataclasses.replace(
            config.learning, method=trial.method, strength=trial.weight, seed=config.seed
        )
        how = online.OnlineConfig(shape, learning)
        data = online.compress(text, how, text_methods.ONLINE, run)
    else:
        params, trained = _train(config, trial, shape, text, held_out_path.read_bytes())
        found |= trained | {"training_seconds": time.perf_counter() - began}
        network, found["bits"] = offline_training.smallest_network(shape, params, text)
        began = time.perf_counter()
        data = offline.compress(text, shape, network, max_streams=config.training.streams, run=run)
    found["encode_seconds"] = time.perf_counter() - began
    container.save(path, data)
    digest, seconds = subprocesses.call(text_methods.decode, path, same_device=True)
    if digest != hashlib.sha256(text).hexdigest():
        raise ValueError(f"{path} decodes to another text")
    size = path.stat().st_size
    model_bytes = len(container.read_archive(data).sections.get(offline.NETWORK, b""))
    return {
        **found,
        "file_bytes": size,
        "model_bytes": model_bytes,
        "data_bytes": size - model_bytes,
        "bits_per_byte": 8 * size / len(text),
        "decode_seconds": seconds,
        "encode_speed": len(text) / found["encode_seconds"],
        "decode_speed": len(text) / seconds,
    }


def _train(
    config: Config, trial: Trial, model: TransformerConfig, text: bytes, held_out: bytes
) -> tuple[Any, dict[str, Any]]:
    """Three phases; parameters, and the paper's description length of them."""
    plan = config.training
    data = offline_training.pieces(text, plan.length)
    validation = jax.tree.map(lambda a: a[:128], offline_training.pieces(held_out, plan.length))
    batch_size = min(plan.batch_size, len(data[0]))
    plain_loss = transformer.next_byte_loss(model)
    loss = data_parallel.split_batches(plain_loss, data_parallel.batch_mesh(batch_size))
    key_params, key_run = jax.random.split(jax.random.key(config.seed))

    def objective(params: Any, batch: Any) -> jax.Array:
        return plain_loss(key_run, params, batch)[0]

    tune = loop.Plan(plan.fine_tune_steps, batch_size) if plan.fine_tune_steps else None
    phases = _three_phase.Phases(loop.Plan(plan.steps, batch_size), tune)
    method, hyperparameters = text_methods.offline(trial.method, loss, plan.steps)
    tolerance = 0.0 if trial.method == "none" else plan.tolerance
    point = _three_phase.Point(
        hyperparameters(plan.learning_rate, jnp.asarray(trial.weight)),
        tolerance,
        fine_tune_rate=plan.fine_tune_rate,
    )
    run = jax.jit(partial(_three_phase.run, phases, method, loss, objective))
    result = run(key_run, header.start_params(model, key_params), point, data, validation)
    if not bool(result.finite):
        raise ValueError(f"{trial} diverged")
    nats = offline_training.mean_nats(model, result.params, data, every=5)
    nonzeros = int(trees.nonzeros(result.params))
    formula = 4 * nonzeros + nats * len(text) / (8 * np.log(2))
    return result.params, {
        "nonzeros": nonzeros,
        "loss_nats": nats,
        "held_out_nats": offline_training.mean_nats(model, result.params, validation),
        "formula_bytes": float(formula),
    }
