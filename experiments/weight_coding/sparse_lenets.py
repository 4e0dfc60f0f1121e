"""Files of LeNet-300-100 pruned to 97, 98 and 99 %: bits per nonzero, and the gain over xz.

Gradual magnitude pruning (`pruning.controls.gradual_magnitude`), five seeds; kernels and biases on
5-bit grids, the whole file counted and decoded in a fresh process. Training takes a quarter of an
hour on one core and can be done apart from the coding:

    python -m experiments.weight_coding.sparse_lenets runs/pruned_lenets.npz
    python -m experiments sparse_lenets paper --networks runs/pruned_lenets.npz
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table
from experiments.runner.statistics import over_seeds
from experiments.weight_coding import penalised_lenets
from fewbits.io import datasets
from fewbits.training import evaluation, loop, losses, sweep
from fewbits.training.trees import from_named, named_leaves
from pruning import methods
from pruning.controls import gradual_magnitude

BITS = 5


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    data: str = "mnist"
    sparsities: tuple[float, ...] = (0.97, 0.98, 0.99)
    """Shares of all weights that are zero."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    lanes_per_chunk: int | None = 1
    """Networks side by side; one is fastest on a CPU, None is as many as fit in memory."""
    networks: str | None = None
    """File written by `experiments.weight_coding.sparse_lenets`; trained here if not given."""


PRESETS = {
    "smoke": (
        "digits, short training",
        Config("digits", (0.9,), seeds=(0,), epochs=20, batch_size=32),
    ),
    "paper": ("MNIST, 97, 98 and 99 %, five seeds", Config()),
}


def train(config: Config, images: datasets.Images, progress: Any = None) -> Any:
    """Params with leading axes (sparsities, seeds)."""
    net = network(config)
    steps = config.epochs * (len(images.labels) // config.batch_size)
    plan = loop.Plan(steps, config.batch_size)
    method = methods.METHODS["magnitude"].build(losses.cross_entropy(net.apply), steps)

    def lane(key: jax.Array, hyperparameters: Any, data: Any) -> Any:
        key_params, key_run = jax.random.split(key)
        params = net.init(key_params)
        return loop.run(method, plan, key_run, params, data, hyperparameters).params

    kept = 1 - jnp.asarray(config.sparsities)
    return sweep(
        lane,
        gradual_magnitude.Hyperparameters(config.learning_rate, kept),
        config.seeds,
        (images.pixels, images.labels),
        runs_per_chunk=config.lanes_per_chunk,
        progress=progress,
    )


def run(config: Config, run: Run) -> None:
    """Train or load, write a file for each network, decode it in a fresh process, test it."""
    from experiments.common import decoded_networks, plain_files
    from fewbits.coding import container
    from fewbits.coding.weights import sparse_code

    began = time.perf_counter()
    if config.networks is None:
        params = train(config, datasets.load(config.data, "train", data_dir=run.data_dir))
    else:
        params = load(Path(config.networks))
    trained = time.perf_counter()
    test = datasets.load(config.data, "test", data_dir=run.data_dir)
    net = network(config)
    rows, files, plains = [], [], []
    for point, sparsity in enumerate(config.sparsities):
        for column, seed in enumerate(config.seeds):
            tree = jax.tree.map(lambda leaf: np.asarray(leaf[point, column]), params)  # noqa: B023
            path = run.artifacts / f"sparse_{config.data}_{round(100 * sparsity)}_seed{seed}.fwb"
            encoding = time.process_time()
            data = sparse_code.write_sparse(tree, BITS)
            decoding = time.process_time()
            quantised = sparse_code.read_sparse(data)
            done = time.process_time()
            container.save(path, data)
            files.append((path, quantised))
            path_xz, plain = run.folder / f"{path.stem}.xz", dense_symbols(quantised)
            plains.append((path_xz, plain))
            nonzeros = sparse_code.count_nonzeros(quantised)
            rows.append(
                {
                    "sparsity": sparsity,
                    "seed": seed,
                    "file": path.name,
                    "bytes": path.stat().st_size,
                    "nonzeros": nonzeros,
                    "bits_per_nonzero": 8 * len(data) / nonzeros,
                    "xz_bytes": plain_files.save(path_xz, plain),
                    "accuracy_percent": _accuracy(net, quantised, test),
                    "float_accuracy_percent": _accuracy(net, tree, test),
                    "encode_cpu_seconds": decoding - encoding,
                    "decode_cpu_seconds": done - decoding,
                }
            )
    decoded_networks.check(files)
    plain_files.check(plains)
    for path, _ in files:
        if not path.name.endswith(f"seed{config.seeds[0]}.fwb"):
            path.rename(run.folder / path.name)
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, time.perf_counter() - trained),
        metrics={"networks": rows, "training_seconds": trained - began},
        data=datasets.SOURCES[config.data].note,
        notes="xz_bytes is `xz -9e` of all tensors of the file as int8; seconds are CPU time",
    )
    if config.data == "mnist":
        write_claims(
            run, [claim for s in config.sparsities for claim in _claims(run, rows, s, record)]
        )
    for row in _table_rows(rows):
        print("  ".join(map(str, row)))


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """One row for each sparsity."""
    if "paper" not in records:
        return []
    return [
        Table(
            "Files of pruned LeNets-300-100",
            (
                "zeros, %",
                "accuracy, %",
                "bytes on disk",
                "bits per nonzero",
                "xz -9e of int8, bytes",
                "smaller by, %",
            ),
            _table_rows(records["paper"]["metrics"]["networks"]),
            f"{BITS}-bit values and biases, whole file; mean ± standard deviation over seeds.",
        )
    ]


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Decode in a fresh process, test again, count again.

    Raises:
      ValueError: the decoded network has another accuracy than the record says.
    """
    from experiments.common import decoded_networks, plain_files
    from fewbits.coding.weights import sparse_code

    row = next(r for r in record["metrics"]["networks"] if r["file"] == artifact.name)
    params = decoded_networks.decode(artifact)
    config = Config(data=record["config"]["data"])
    test = datasets.load(config.data, "test", data_dir=data_dir)
    accuracy = _accuracy(network(config), params, test)
    if abs(accuracy - row["accuracy_percent"]) > 0.03:
        raise ValueError(f"accuracy {accuracy:.2f} %, the record says {row['accuracy_percent']} %")
    size = artifact.stat().st_size
    if claim.id.endswith("gain_vs_xz"):
        plain = plain_files.CODECS[".xz"].compress(dense_symbols(params))
        return 100 * (1 - size / len(plain))
    return 8 * size / sparse_code.count_nonzeros(params)


def dense_symbols(params: Any) -> bytes:
    """Every tensor's symbols as int8, one after the other: what a user would hand to xz."""
    symbols = []
    for leaf in named_leaves(params).values():
        step = np.abs(leaf).max(initial=0) / ((1 << (BITS - 1)) - 1)
        symbols.append(np.rint(np.asarray(leaf) / (step or 1)).astype(np.int8).tobytes())
    return b"".join(symbols)


def main(arguments: list[str]) -> int:
    """`FILE.npz`: train alone, where the coder is not installed."""
    parser = argparse.ArgumentParser(prog="python -m experiments.weight_coding.sparse_lenets")
    parser.add_argument("file", type=Path)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="paper")
    parser.add_argument("--data-dir")
    options = parser.parse_args(arguments)
    config = replace(PRESETS[options.preset][1])
    try:
        images = datasets.load(config.data, "train", data_dir=options.data_dir)
    except datasets.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    params = train(config, images, lambda done, lanes: print(f"{done} of {lanes}", flush=True))
    arrays: dict[str, Any] = {k.replace("/", "."): v for k, v in named_leaves(params).items()}
    np.savez_compressed(options.file, **arrays)
    return 0


def load(path: Path) -> Any:
    """Params with leading axes (sparsities, seeds), as stored by `main`.

    Raises:
      DataError: no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return from_named({name.replace(".", "/"): stored[name] for name in stored})
    except OSError as error:
        raise datasets.DataError(f"no trained networks: {error}") from error


def network(config: Config) -> Any:
    """LeNet-300-100 for the images of the config."""
    return penalised_lenets.network(penalised_lenets.Config(data=config.data))


def _accuracy(net: Any, params: Any, test: datasets.Images) -> float:
    data = (jnp.asarray(test.pixels), jnp.asarray(test.labels))
    return 100 * float(evaluation.accuracy(net.apply, params, *data))


def _column(rows: list[dict[str, Any]], sparsity: float, name: str) -> np.ndarray:
    if name == "gain_percent":
        size, xz = (_column(rows, sparsity, one) for one in ("bytes", "xz_bytes"))
        return 100 * (1 - size / xz)
    return np.array([float(row[name]) for row in rows if row["sparsity"] == sparsity])


def _claims(run: Run, rows: list[dict[str, Any]], sparsity: float, record: Path) -> list[Claim]:
    name = f"coding.sparse.lenet300.{round(100 * sparsity)}"
    kept = next(row for row in rows if row["sparsity"] == sparsity)
    claims = []
    for field, suffix, unit in (
        ("bits_per_nonzero", "bits_per_nonzero", "bits per nonzero"),
        ("gain_percent", "gain_vs_xz", "%"),
    ):
        values = _column(rows, sparsity, field)
        claims.append(
            Claim(
                id=f"{name}.{suffix}",
                value=over_seeds(values).mean,
                std=over_seeds(values).std,
                seeds=len(values),
                unit=unit,
                record=f"{run.experiment}/{record.name}",
                command=run.command,
                # The file is the first seed's; the value is the mean.
                tolerance=abs(float(values[0] - values.mean())) + 1e-6,
                bytes=kept["bytes"],
                artifact=kept["file"],
            )
        )
    return claims


def _table_rows(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    table = []
    for sparsity in dict.fromkeys(row["sparsity"] for row in rows):

        def shown(name: str, digits: int, sparsity: float = sparsity) -> str:
            return over_seeds(_column(rows, sparsity, name)).text(digits)

        table.append(
            (
                f"{100 * sparsity:g}",
                shown("accuracy_percent", 2),
                shown("bytes", 0),
                shown("bits_per_nonzero", 2),
                shown("xz_bytes", 0),
                shown("gain_percent", 1),
            )
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
