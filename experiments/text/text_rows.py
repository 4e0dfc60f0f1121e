"""One row of the text table: train, write the file, decode it in a fresh process, count.

    python -m experiments.text.text_rows ROW.json

reads a `Row` and writes what it measured beside it. A row runs in a process of its own, so that an
interrupted experiment goes on with the next row and two rows can share a machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.runner import subprocesses
from experiments.runner.records import write_json
from experiments.text import text_methods, text_parts
from fewbits.codecs.text import header, offline, online
from fewbits.codecs.text.contexts import SHAPE
from fewbits.coding import container
from fewbits.coding.weights import sparse_code
from fewbits.training import data_parallel, loop, transformer, trees
from fewbits.training.transformer import TransformerConfig
from pruning import _three_phase

CANDIDATE_BITS = (4, 5, 6, 7)
"""Widths of the network's grid; the one with the shortest text and network is taken."""
_EVALUATED_BYTES = 1 << 18
_BATCH = 32


@dataclass(frozen=True)
class Model:
    """Shape of a network; see `fewbits.training.transformer`."""

    width: int = 64
    layers: int = 4
    heads: int = 4
    window: int = 128
    contexts: bool = False
    compute: Literal["float32", "bfloat16"] = "float32"

    def config(self) -> TransformerConfig:
        """As the room below knows it."""
        return TransformerConfig(
            self.width,
            self.layers,
            self.heads,
            self.window,
            contexts=SHAPE if self.contexts else None,
            compute=self.compute,
        )


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
    lanes: int = 64


@dataclass(frozen=True)
class Row:
    """What is measured, and where the texts lie (below the row's own folder)."""

    mode: Literal["offline", "online"]
    method: str
    strength: float
    text: str
    held_out: str
    model: Model
    training: Training = Training()
    learning: online.Learning = online.Learning()
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its files."""
        size = Path(self.text).stem
        plain = "_alone" if self.mode == "online" and not self.model.contexts else ""
        return f"{self.mode}_{size}_{self.method}_{self.strength:g}_{self.model.width}{plain}"


def from_json(content: dict[str, Any]) -> Row:
    """A row as `dataclasses.asdict` gives it."""
    parts = {"model": Model, "training": Training, "learning": online.Learning}
    built = {name: kind(**content[name]) for name, kind in parts.items()}
    return Row(**{**content, **built})


def measure(row: Row, folder: Path) -> dict[str, Any]:
    """The row's numbers; its file stays in the folder."""
    text = (folder / row.text).read_bytes()
    began = time.perf_counter()
    model = row.model.config()
    identity = json.dumps(dataclasses.asdict(row)).encode() + text
    part = f"{row.name}.{hashlib.sha256(identity).hexdigest()[:16]}.part"
    resumable = text_parts.resumable(folder / part)
    found: dict[str, Any] = {"parameters": _parameters(model)}
    if row.mode == "online":
        learning = dataclasses.replace(
            row.learning, method=row.method, strength=row.strength, seed=row.seed
        )
        config = online.OnlineConfig(model, learning)
        data = online.compress(text, config, text_methods.ONLINE, resumable)
    else:
        params, trained = _train(row, model, text, (folder / row.held_out).read_bytes())
        found |= trained | {"training_seconds": time.perf_counter() - began}
        network, found["bits"] = _smallest(model, params, text)
        began = time.perf_counter()
        data = offline.compress(text, model, network, max_streams=row.training.lanes, run=resumable)
    found["encode_seconds"] = time.perf_counter() - began
    path = folder / f"{row.name}.fwb"
    container.save(path, data)
    read = container.read_archive(data)
    size = path.stat().st_size
    model_bytes = len(read.sections.get(offline.NETWORK, b""))
    decoded = _decode(path, folder / f"{row.name}.decoded")
    if decoded["sha256"] != hashlib.sha256(text).hexdigest():
        raise ValueError(f"{path} decodes to another text")
    return {
        **found,
        "name": row.name,
        "mode": row.mode,
        "method": row.method,
        "strength": row.strength,
        "text_bytes": len(text),
        "file_bytes": size,
        "model_bytes": model_bytes,
        "data_bytes": size - model_bytes,
        "bits_per_byte": 8 * size / len(text),
        "decode_seconds": decoded["seconds"],
        "encode_bytes_per_second": len(text) / found["encode_seconds"],
        "decode_bytes_per_second": len(text) / decoded["seconds"],
    }


def _train(
    row: Row, model: TransformerConfig, text: bytes, held_out: bytes
) -> tuple[Any, dict[str, Any]]:
    """Three phases; parameters, and the paper's description length of them."""
    plan = row.training
    data = _pieces(text, plan.length)
    validation = jax.tree.map(lambda a: a[:128], _pieces(held_out, plan.length))
    batch_size = min(plan.batch_size, len(data[0]))
    plain_loss = transformer.next_byte_loss(model)
    loss = data_parallel.split_batches(plain_loss, data_parallel.batch_mesh(batch_size))
    key_params, key_run = jax.random.split(jax.random.key(row.seed))

    def objective(params: Any, batch: Any) -> jax.Array:
        return plain_loss(key_run, params, batch)[0]

    tune = loop.Plan(plan.fine_tune_steps, batch_size) if plan.fine_tune_steps else None
    phases = _three_phase.Phases(loop.Plan(plan.steps, batch_size), tune)
    method, hyperparameters = text_methods.offline(row.method, loss, plan.steps)
    tolerance = 0.0 if row.method == "none" else plan.tolerance
    point = _three_phase.Point(
        hyperparameters(plan.learning_rate, jnp.asarray(row.strength)),
        tolerance,
        fine_tune_rate=plan.fine_tune_rate,
    )
    run = jax.jit(partial(_three_phase.run, phases, method, loss, objective))
    result = run(key_run, header.start_params(model, key_params), point, data, validation)
    if not bool(result.finite):
        raise ValueError(f"{row.name} diverged")
    nats = _mean_nats(model, result.params, data, every=5)
    nonzeros = int(trees.nonzeros(result.params))
    formula = 4 * nonzeros + nats * len(text) / (8 * np.log(2))
    return result.params, {
        "nonzeros": nonzeros,
        "loss_nats": nats,
        "held_out_nats": _mean_nats(model, result.params, validation),
        "formula_bytes": float(formula),
    }


def _smallest(model: TransformerConfig, params: Any, text: bytes) -> tuple[bytes, int]:
    """The network file at the width that promises the smallest archive, on a part of the text."""
    pieces = _pieces(text, 4 * model.window)
    step = max(1, len(text) // _EVALUATED_BYTES)
    part = jax.tree.map(lambda a: a[::step], pieces)

    def promised(bits: int) -> float:
        network = offline.network_file(params, bits)
        nats = _mean_nats(model, sparse_code.read_sparse(network), part)
        return len(network) + nats * len(text) / (8 * np.log(2))

    bits = min(CANDIDATE_BITS, key=promised)
    return offline.network_file(params, bits), bits


def _mean_nats(model: TransformerConfig, params: Any, data: Any, every: int = 1) -> float:
    """Mean loss over pieces, each without a past; every fifth batch, in the paper."""
    loss = jax.jit(transformer.next_byte_loss(model))
    batch = min(_BATCH, len(data[0]))
    starts = range(0, len(data[0]) - batch + 1, batch * every)
    key = jax.random.key(0)
    params = jax.tree.map(jnp.asarray, params)
    losses = [
        loss(key, params, jax.tree.map(lambda a, s=start: a[s : s + batch], data))[0]
        for start in starts
    ]
    return float(np.mean(jax.device_get(losses)))


def _pieces(text: bytes, length: int) -> tuple[jax.Array, jax.Array]:
    """Bytes and the bytes after them, Int32[pieces, length] each; the text's end is left out."""
    length = min(length, len(text) - 1)
    count = (len(text) - 1) // length
    array = np.frombuffer(text, np.uint8).astype(np.int32)
    read = array[: count * length].reshape(count, length)
    return jnp.asarray(read), jnp.asarray(array[1 : count * length + 1].reshape(count, length))


def _parameters(model: TransformerConfig) -> int:
    return trees.size(jax.eval_shape(partial(transformer.init, model), jax.random.key(0)))


def _decode(path: Path, target: Path) -> dict[str, Any]:
    """Decodes in a fresh process; what it says of the text and the time it took."""
    said = subprocesses.python("experiments.text.text_methods", [path, target], same_device=True)
    target.unlink(missing_ok=True)
    return json.loads(said)


def main(arguments: list[str]) -> int:
    """Measures one row."""
    path = Path(arguments[0])
    row = from_json(json.loads(path.read_text()))
    write_json(path.with_suffix(".measured.json"), measure(row, path.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
