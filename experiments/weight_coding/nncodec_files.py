"""Weight files against NNCodec 2.x at equal mean squared error: digits networks, released networks.

A 64-300-100-10 network trained on digits, dense and pruned to 10 and 5 % of its weights, and two
networks from PyPI wheels on which no default was tuned: silero-vad (309,633 parameters) and
resemblyzer (1,423,618). Ours is `params_to_bytes` with its defaults, and a coarser file. NNCodec
has its own defaults but for qp; its bytes at our error are interpolated between the two nearest qp.
Preset `sorted`: the hidden units come in the order of `pruning.sort_units`, for both coders.

Needs `NNCODEC_PYTHON`, the Python of an environment with nncodec, and PyPI.

Cost: paper: 6 min, sorted: 2 min on 1 core; smoke: 15 s.
Data: digits (embedded); wheels of silero-vad and resemblyzer.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

import pruning
from experiments.common import decoded_networks
from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from experiments.weight_coding import sparse_lenets
from fewbits.coding import container, params_from_bytes, params_to_bytes
from fewbits.io import read_checkpoint, write_checkpoint
from fewbits.training import networks
from fewbits.training.trees import as_vector, named_leaves

REMAINING = {"dense": 1.0, "p10": 0.1, "p5": 0.05, "p10_sorted": 0.1, "p5_sorted": 0.05}
"""Shares of the weights; other networks are those of `benchmarks.released_networks`."""


@dataclass(frozen=True)
class Config:
    networks: tuple[str, ...] = ("dense", "p10", "p5", "silero-vad", "resemblyzer")
    coarser: float = 8.0
    """The coarser file has so many times the error of the default one."""
    seeds: tuple[int, ...] = (0, 1)
    steps: int = 4000
    batch_size: int = 100
    peer: bool = True
    """Whether NNCodec is run."""


class Row(NamedTuple):
    """Weight files against NNCodec 2.x at equal mean squared error.

    The worst of the seeds; released networks have one.
    """

    network: Annotated[str, ex.Key]
    quality: Annotated[str, ex.Key]
    seed: int
    parameters: Annotated[int, ex.Over(max), ex.Column("parameters", ",.0f")]
    bytes: Annotated[int, ex.Over(max), ex.Column("bytes on disk", ",.0f")]
    bits_per_weight: Annotated[float, ex.Over(max), ex.Column("bits per weight", ".2f")]
    given_percent: Annotated[float | None, ex.Over(min), ex.Column("test accuracy, %", ".2f")]
    accuracy_percent: Annotated[float | None, ex.Over(min), ex.Column("of the file, %", ".2f")]
    mse: float
    nncodec_bytes: Annotated[float | None, ex.Over(max), ex.Column("NNCodec, bytes", ",.0f")]
    bytes_ratio: Annotated[
        float | None, ex.Over(max), ex.Column("ratio", ".3f"),
        ex.Claim("pruning.nncodec.{point}.bytes_ratio", 1e-6, lambda r: r.point != "real.coarser"),
    ]  # fmt: skip
    decoded_sha256: str
    file: Annotated[Path, ex.Artifact]

    @property
    def point(self) -> str:
        """The network, `real` for the released ones, and the quality if it is not the default."""
        group = self.network if self.network in REMAINING else "real"
        return group if self.quality == "default" else f"{group}.{self.quality}"


def grid(config: Config) -> list[tuple[str, int]]:
    return [(one, seed) for one in config.networks
            for seed in (config.seeds if one in REMAINING else (0,))]  # fmt: skip


def measure(config: Config, trials: list[tuple[str, int]], data: ex.Data) -> list[Row]:
    """Write two files, decode them in a subprocess, and ask NNCodec for the same errors."""
    ((network, seed),) = trials
    params = _params(config, network, seed, data)
    vector = np.asarray(as_vector(params))
    rows, decoded, limit = [], [], None
    for quality in ("default", "coarser"):
        path = data.path(f"nncodec_{network}_{quality}_seed{seed}.fwb")
        container.save(path, params_to_bytes(params, max_mse=limit))
        back, size = params_from_bytes(container.load_bytes(path)), path.stat().st_size
        error = float(np.mean(np.square(np.asarray(as_vector(back)) - vector, dtype=float)))
        limit, bits = config.coarser * error, 8 * size / vector.size
        decoded.append((path, back))
        given, ours = (_accuracy_percent(network, each, data) for each in (params, back))
        rows.append(Row(network, quality, seed, vector.size, size, bits, given, ours, error, None,
                        None, digest(back), path))  # fmt: skip
    decoded_networks.check(decoded)
    if not config.peer:
        return rows
    arrays = data.path(f"nncodec_{network}_seed{seed}.npz")
    write_checkpoint(arrays, params)
    errors = [repr(row.mse) for row in rows]
    peers = json.loads(subprocesses.python("benchmarks.nncodec", [arrays, "--at-error", *errors]))
    return [
        row._replace(nncodec_bytes=peer, bytes_ratio=row.bytes / peer)
        for row, peer in zip(rows, peers, strict=True)
    ]


def _params(config: Config, network: str, seed: int, data: ex.Data) -> Any:
    if network not in REMAINING:
        released = data.cached_file(
            f"{network}.npz",
            lambda path: subprocesses.python("benchmarks.released_networks", [network, path]),
        )
        return read_checkpoint(released)
    share, images = REMAINING[network], data.images("digits", "train")
    params = sparse_lenets.pruned(images, seed, share, config.steps, config.batch_size, 1e-3)
    return pruning.sort_units(params) if network.endswith("_sorted") else params


def _accuracy_percent(network: str, params: Any, data: ex.Data) -> float | None:
    """Of a network on test digits; None for a released one."""
    test = data.images("digits", "test")
    net = networks.lenet_300_100(test.pixels.shape[1:])
    return decoded_networks.accuracy_percent(net, params, test) if network in REMAINING else None


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Decode in a subprocess to the tensors whose error was measured; NNCodec's bytes stay.

    Raises:
      ValueError: it decodes to others.
    """
    if digest(decoded_networks.decode(row.file)) != row.decoded_sha256:
        raise ValueError(f"{row.file.name} does not decode to what was measured")
    assert row.nncodec_bytes is not None
    return row.file.stat().st_size / row.nncodec_bytes


def digest(params: Any) -> str:
    """SHA-256 of the tensors' bytes in the order of their names."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(named_leaves(params).items()):
        hashed.update(name.encode() + np.ascontiguousarray(tensor, "<f4").tobytes())
    return hashed.hexdigest()


EXPERIMENT = ex.of_module(
    __name__, Row,
    {
        "paper": Config(),
        "sorted": Config(("p10_sorted", "p5_sorted")),
        "smoke": Config(("p10",), seeds=(0,), steps=300, peer=False),
    },
    free=("seeds", "networks"),
    notes="NNCodec's bytes at our error are interpolated between the two nearest qp",
)  # fmt: skip
