"""Joint training: what lambda and the utility buy, in bytes of files and accuracy of students.

A decoder and a mixture for each class are trained on their likelihood, on their price in bits and
on what a classifier learns from what they draw (`lgc.autoencoders.rate_constrained`). lambda is
swept with and without that last term; beside them stands a subset of the largest file's bytes.
Every file is decoded by a fresh process and judged as all others are.

    python -m experiments lgc_rate_constrained cpu
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets
from experiments.common import downstream as students
from experiments.common.downstream import StudentConfig
from experiments.runner import plots
from experiments.runner.records import Run, Seconds, kept, write_record
from experiments.runner.registry import Table, aligned
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.datasets import Images
from fewbits.training import loop, sweep
from lgc import images
from lgc.autoencoders import rate_constrained_compression
from lgc.autoencoders.rate_constrained import Hyperparameters
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file
from lgc.distillation.augmentation import Augmentation
from lgc.distillation.distilled_file import OperatingPoint

COLUMNS = ("utility weight", "lambda", "bytes", "report's CNN", "ConvNet")


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    data: str = "mnist"
    archive: rate_constrained_compression.Config = rate_constrained_compression.Config(steps=4_000)
    bits_weights: tuple[float, ...] = (0.0, 1e-6, 1e-5)
    """lambda, nats per pixel and bit of the file."""
    utility_weights: tuple[float, ...] = (0.0, 0.1)
    kl_weight: float = 0.5
    learning_rate: float = 2e-3
    students: dict[str, StudentConfig] = field(
        default_factory=lambda: {
            "report_cnn": StudentConfig(steps=8_000, falling=True),
            "convnet": StudentConfig("convnet", 4_000, 64, 2e-3, 32, True),
        }
    )
    seeds: tuple[int, ...] = (0,)
    reduction: Downsampling = Downsampling(factor=1, bits=2)
    moves: Augmentation = Augmentation(rotation=12, shear=10, scale=12, translation=6, elastic=20)
    """Of the subset: what `lgc_rate_curve` finds best for MNIST at 12,000 bytes."""
    per_class: int = 6_000
    lanes: int = 1
    """Files trained side by side."""


FREE_FIELDS = ("seeds", "bits_weights", "utility_weights", "lanes")
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "cpu": ("three lambdas, with and without the utility, one seed: hours on 2 cores", Config()),
    "gpu": (
        "seven lambdas, longer training, five seeds, all of a seed side by side",
        Config(
            archive=rate_constrained_compression.Config(steps=20_000, features_width=32),
            bits_weights=(0.0, 1e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4),
            seeds=(0, 1, 2, 3, 4),
            lanes=7,
        ),
    ),
    "smoke": (
        "the embedded digits, two lambdas, short training",
        Config(
            data="digits",
            archive=rate_constrained_compression.Config(
                steps=60, batch_size=50, latent=4, components=2, widths=(8, 8, 4), features_width=4
            ),
            bits_weights=(0.0, 1e-3),
            utility_weights=(0.1,),
            students={"report_cnn": StudentConfig(steps=200)},
            per_class=50,
            lanes=2,
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Train, write, decode in fresh processes and judge, file by file."""
    began = time.perf_counter()
    train = datasets.load(config.data, "train", data_dir=run.data_dir)
    test = datasets.load(config.data, "test", data_dir=run.data_dir)
    rows = []
    for seed in config.seeds:
        for utility in config.utility_weights:
            missing = [
                bits
                for bits in config.bits_weights
                if not _path(run, utility, bits, seed).is_file()
            ]
            for first in range(0, len(missing), config.lanes):
                _write(config, run, train, utility, missing[first : first + config.lanes], seed)
            for bits in config.bits_weights:
                path = _path(run, utility, bits, seed)
                rows.append(_judged(config, run, test, path, utility, bits, seed))
        size = max(row["bytes"] for row in rows if row["seed"] == seed)
        path = run.folder / "files" / f"subset_{size}_{seed}.lgc"
        if not path.is_file():
            choice = OperatingPoint(config.reduction, 0, config.moves, 0.0)
            key = jax.random.key(seed)
            container.save(
                path, distilled_file.write(train.pixels, train.labels, size, choice, key)
            )
        rows.append(_judged(config, run, test, path, None, None, seed))
    write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"rows": rows},
        data=datasets.SOURCES[config.data].note,
        notes="accuracies in percent on the official test set; seconds.run is the last session's",
    )
    print(aligned([COLUMNS, *_summaries(rows)]))


def _write(
    config: Config, run: Run, train: Images, utility: float, lambdas: list[float], seed: int
) -> None:
    """The files of some lambdas, trained side by side in one program."""
    checked = images.check(train.pixels, train.labels)
    archive = replace(config.archive, hyperparameters=Hyperparameters(utility_weight=utility))
    method, plan, start = rate_constrained_compression.training(archive, checked)

    def lane(key: jax.Array, point: Hyperparameters, data: Any) -> loop.Result:
        key_params, key_run = jax.random.split(key)
        return loop.run(method, plan, key_run, start(key_params), data, point)._replace(state=None)

    swept = jax.tree.map(
        lambda value: jnp.broadcast_to(jnp.float32(value), len(lambdas)),
        Hyperparameters(config.learning_rate, jnp.array(lambdas), config.kl_weight, utility),
    )
    found = sweep(
        lane,
        swept,
        (seed,),
        (checked.pixels, checked.classes.astype(np.int32)),
        runs_per_chunk=config.lanes,
    )
    for number, bits in enumerate(lambdas):
        result = jax.tree.map(lambda leaf, number=number: leaf[number, 0], found)
        if not result.finite:
            raise FloatingPointError(f"lambda {bits:g} did not stay finite")
        path = _path(run, utility, bits, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = rate_constrained_compression.write(result.params, archive, checked)
        container.save(path, data)
        print(f"{path.name}: {len(data):,} bytes", flush=True)


def _judged(
    config: Config,
    run: Run,
    test: Images,
    path: Path,
    utility: float | None,
    bits: float | None,
    seed: int,
) -> dict[str, Any]:
    """A file's row; the weights of a subset are None."""

    def judge() -> dict[str, Any]:
        decoded = decoded_sets.from_archive(path, config.per_class, seed)
        accuracies = {}
        for name, settings in config.students.items():
            accuracies[name] = students.accuracy_percent(settings, decoded, test, seed)
        return {
            "utility_weight": utility,
            "bits_weight": bits,
            "seed": seed,
            "bytes": path.stat().st_size,
            "accuracy_percent": accuracies,
        }

    row = kept(run.folder / "rows" / f"{path.stem}.json", judge)
    print(*row.values(), flush=True)
    return row


def _path(run: Run, utility: float, bits: float, seed: int) -> Path:
    return run.folder / "files" / f"utility_{utility:g}_bits_{bits:g}_{seed}.lgc"


def _summaries(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """One line for each point, means over seeds."""
    found = []
    for point in dict.fromkeys((row["utility_weight"], row["bits_weight"]) for row in rows):
        mine = [row for row in rows if (row["utility_weight"], row["bits_weight"]) == point]
        sizes = [row["bytes"] for row in mine]
        cells = []
        for student in ("report_cnn", "convnet"):
            values = [row["accuracy_percent"].get(student, np.nan) for row in mine]
            spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.2f}{spread}")
        weights = ("subset", "") if None in point else (f"{weight:g}" for weight in point)
        found.append((*weights, f"{np.mean(sizes):,.0f}", *cells))
    return found


def _published(records: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    return records.get("gpu") or records.get("cpu")


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Bytes and accuracies of every point."""
    record = _published(records)
    if record is None:
        return []
    steps, seeds = record["config"]["archive"]["steps"], len(record["seeds"])
    return [
        Table(
            "Decoder, class mixtures and their bits trained together, "
            f"{record['config']['data']}: test accuracy, %",
            COLUMNS,
            _summaries(record["metrics"]["rows"]),
            f"{steps:,} steps of training; {seeds} seed{'s' if seeds > 1 else ''}; hard labels, "
            "official test set; nothing was chosen on it. Subset: random images of the largest "
            "file's bytes, reduced, coded and moved as `lgc_rate_curve` does at 12,000 bytes.",
        )
    ]


_DRAWN = (("convnet", "ConvNet", "o-"), ("report_cnn", "report CNN", "P--"))
"""Student, its name, its line."""


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Accuracy against bytes, a curve for each weight of the utility."""
    record = _published(records)
    if record is None:
        return {}
    rows = record["metrics"]["rows"]
    figure, (axis,) = plots.subplots()
    for utility in (*record["config"]["utility_weights"], None):
        mine = [row for row in rows if row["utility_weight"] == utility]
        colour = "black" if utility is None else plots.OURS if utility else plots.BASELINE
        what = "subset" if utility is None else f"utility {utility:g}"
        for student, name, style in _DRAWN:
            points = sorted((row["bytes"], row["accuracy_percent"][student]) for row in mine)
            axis.plot(*zip(*points, strict=True), style, color=colour, label=f"{name}, {what}")
    axis.set(xlabel="bytes on disk", ylabel="test accuracy, %")
    axis.legend(fontsize="small")
    return {"accuracy_against_bytes": figure}
