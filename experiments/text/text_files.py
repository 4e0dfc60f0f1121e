"""One file of a text: train, write, decode in a subprocess, count."""

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from experiments.runner import subprocesses
from fewbits.codecs.text import archive, offline, offline_training, online, resumable
from fewbits.codecs.text.contexts import SHAPE
from fewbits.coding import container
from fewbits.io import wikipedia
from fewbits.training import trees
from fewbits.training.models import transformer
from fewbits.training.models.transformer import TransformerConfig
from pruning import text_learners
from pruning.text_learners import Training


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


def sample(config: Config, trial: Trial, data_dir: str | None) -> wikipedia.Sample:
    """The text to code, and what is held out of it."""
    return wikipedia.load(config.source, trial.bytes, file=config.file, data_dir=data_dir)


def measure(config: Config, trial: Trial, data_dir: str | None, path: Path) -> dict[str, Any]:
    """Write and decode a file; its numbers, by the names that the experiment's row has for them."""
    text, held_out = sample(config, trial, data_dir)
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
        data = online.compress(text, how, text_learners.ONLINE, run)
    else:
        trained = text_learners.train(
            shape, text, held_out, method=trial.method, weight=trial.weight,
            plan=config.training, seed=config.seed,
        )._asdict()  # fmt: skip
        params = trained.pop("params")
        found |= trained | {"training_seconds": time.perf_counter() - began}
        network, found["bits"] = offline_training.smallest_network(shape, params, text)
        began = time.perf_counter()
        data = offline.compress(text, shape, network, max_streams=config.training.streams, run=run)
    found["encode_seconds"] = time.perf_counter() - began
    container.save(path, data)
    decoded, seconds = subprocesses.call(decode, path, same_device=True)
    if decoded != text:
        raise ValueError(f"{path} decodes to another text")
    size = path.stat().st_size
    model_bytes = len(container.read_archive(data).sections.get(offline.NETWORK, b""))
    return {
        **found,
        "text_bytes": len(text),
        "file_bytes": size,
        "model_bytes": model_bytes,
        "data_bytes": size - model_bytes,
        "bits_per_byte": 8 * size / len(text),
        "decode_seconds": seconds,
        "encode_speed": len(text) / found["encode_seconds"],
        "decode_speed": len(text) / seconds,
    }


def decode(path: Path) -> tuple[bytes, float]:
    """The text in any text file, also one that learned with a penalty, and seconds.

    It goes on where it was stopped.
    """
    began = time.perf_counter()
    data = container.load_bytes(path)
    part = f".{hashlib.sha256(data).hexdigest()[:16]}.decoded.part"
    run = resumable.resumable(path.with_suffix(part))
    text = archive.decompress(data, text_learners.ONLINE, run)
    return text, time.perf_counter() - began
