"""The report's vanilla autoencoder on MNIST, re-coded: 95.98 % at 3,080,064 bytes as published.

Autoencoder 784-128-64 and back, 30 epochs; full-covariance Gaussian mixtures per class, K by BIC;
60,000 decoded images train the report's classifier of 5,254 parameters for 15 epochs (the report:
50, which takes 3.3 times as long); tested on the official 10,000. Five seeds: about an hour on two
cores.

    python -m experiments lgc_mnist paper
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets, downstream
from experiments.common.downstream import StudentConfig
from experiments.runner import plots
from experiments.runner.records import Claim, Run, Seconds, kept, write_claims, write_record
from experiments.runner.registry import Table, aligned
from experiments.runner.statistics import over_seeds
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.progress import Bar
from lgc import Config as Compression
from lgc import archive, compression
from lgc.coresets import lossless_subset
from lgc.gmm import selection

PUBLISHED_ACCURACY_PERCENT = 95.98
PUBLISHED_BYTES = 3_080_064
CLAIMED = {"8": "lgc.mnist.report_ae.accuracy", "5": "lgc.mnist.report_ae_5bit.accuracy"}
"""Rows that are claimed; 8 bits are the default of `python -m lgc compress`."""
BASELINE_BITS = "8"
"""The row whose bytes the subset gets."""


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    compression: Compression = Compression()
    student: StudentConfig = StudentConfig(steps=14_070)
    bits: tuple[str, ...] = ("float32", "8", "5")
    """Precisions at which each trained model is written; digits are k-bit grids."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    per_class: int = 6_000
    """Decoded images of each class."""
    train_images: int = 60_000
    lanes_per_chunk: int | None = 1
    """Students side by side: one is fastest on a CPU, None takes as many as fit in memory."""


PRESETS = {
    "paper": ("the report's settings, five seeds, official 60k/10k", Config()),
    "smoke": (
        "two seeds, 6,000 images, short training",
        Config(
            compression=Compression(epochs=3, max_components=2),
            student=StudentConfig(steps=600),
            bits=("float32", "8"),
            seeds=(0, 1),
            per_class=300,
            train_images=6_000,
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Train, write every archive, decode each in a fresh process, train and test students.

    Every seed's outcome is kept in the run's folder, so that a run that was cut off and is started
    again with the same `--out` goes on with the next seed.
    """
    train = datasets.load("mnist", "train", data_dir=run.data_dir)
    test = datasets.load("mnist", "test", data_dir=run.data_dir)
    train = train.first(config.train_images)
    models, seconds = [], Seconds(0.0, 0.0)
    for seed in config.seeds:
        path = run.folder / "seeds" / f"{seed}.json"
        done = kept(path, partial(_run_seed, config, run, train, test, seed))
        models += done["models"]
        seconds = Seconds(
            seconds.compile + done["compress_seconds"], seconds.run + done["student_seconds"]
        )
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=seconds,
        metrics={"models": models},
        data=datasets.SOURCES["mnist"].note,
        notes="seconds.compile is all up to the decoded files, seconds.run training the students; "
        "both with their compilation",
    )
    write_claims(run, [_claim(run, config, models, b, record) for b in config.bits if b in CLAIMED])
    print(aligned([("stored as", "bytes", "accuracy, %", "seeds", "difference"), *_rows(models)]))


def _run_seed(
    config: Config, run: Run, train: datasets.Images, test: datasets.Images, seed: int
) -> dict[str, Any]:
    began = time.perf_counter()
    models, training_sets = [], []
    for bits, data in _archives(train, config, seed).items():
        kept = bits in CLAIMED and seed == config.seeds[0]
        path = (run.artifacts if kept else run.folder) / f"lgc_mnist_{bits}_seed{seed}.lgc"
        container.save(path, data)
        training_sets.append(decoded_sets.from_archive(path, config.per_class, seed))
        components = archive.read(data).components
        models.append({"row": bits, "seed": seed, "bytes": len(data), "components": components})
    budget = next((m["bytes"] for m in models if m["row"] == BASELINE_BITS), models[-1]["bytes"])
    data, count = lossless_subset.largest(train.pixels, train.labels, budget, seed)
    path = run.folder / f"lgc_mnist_subset_seed{seed}.bin"
    container.save(path, data)
    training_sets.append(decoded_sets.from_subset(path, len(training_sets[0][1]), seed))
    models.append({"row": "subset", "seed": seed, "bytes": len(data), "images": count})
    if seed == config.seeds[0]:
        _save_preview(run, train, training_sets[0])
    compressed = time.perf_counter()
    with Bar(f"seed {seed}: training {len(training_sets)} students") as bar:
        outcome = downstream.train(
            config.student,
            training_sets,
            test,
            seeds=(seed,),
            runs_per_chunk=config.lanes_per_chunk,
            progress=bar,
        )
    for model, accuracy, finite in zip(
        models, outcome.accuracy[:, 0], outcome.finite[:, 0], strict=True
    ):
        model["accuracy_percent"] = 100 * float(accuracy)
        model["finite"] = bool(finite)
    return {
        "models": models,
        "compress_seconds": compressed - began,
        "student_seconds": time.perf_counter() - compressed,
    }


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """One table: every precision beside the published point and the subset of the same bytes."""
    if "paper" not in records:
        return []
    models = records["paper"]["metrics"]["models"]
    published = ("as published", f"{PUBLISHED_BYTES:,}", f"{PUBLISHED_ACCURACY_PERCENT}", "1", "")
    return [
        Table(
            "The report's autoencoder, re-coded",
            ("stored as", "bytes on disk", "accuracy, %", "seeds", "difference, points"),
            [published, *_rows(models)],
            "Mean ± standard deviation over seeds; official MNIST test set. Published accuracy: "
            "one run on 10,000 held-out training images. `subset`: as many random training images, "
            f"losslessly compressed, as fit the bytes of the {BASELINE_BITS}-bit archive.",
        )
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Accuracy against bytes of the file."""
    if "paper" not in records:
        return {}
    figure, (axis,) = plots.subplots(width=5.4)
    models = records["paper"]["metrics"]["models"]
    for name in dict.fromkeys(model["row"] for model in models):
        sizes, accuracies = (
            _column(models, name, "bytes"),
            _column(models, name, "accuracy_percent"),
        )
        colour = plots.BASELINE if name == "subset" else plots.OURS
        axis.errorbar(
            sizes.mean(),
            accuracies.mean(),
            accuracies.std(ddof=1),
            fmt="o",
            color=colour,
            capsize=3,
        )
        axis.annotate(
            name, (sizes.mean(), accuracies.mean()), xytext=(5, -10), textcoords="offset points"
        )
    axis.plot(PUBLISHED_BYTES, PUBLISHED_ACCURACY_PERCENT, "*", color=plots.PUBLISHED, ms=10)
    axis.annotate(
        "report", (PUBLISHED_BYTES, PUBLISHED_ACCURACY_PERCENT), xytext=(-12, 8),
        textcoords="offset points", color=plots.PUBLISHED,
    )  # fmt: skip
    axis.set(xscale="log", xlabel="bytes on disk", ylabel="test accuracy, %")
    axis.set_title("MNIST, vanilla autoencoder and mixtures, one file each", loc="left")
    return {"accuracy_against_bytes": figure}


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Decode the archive in a fresh process, train its student again, test it: percent."""
    test = datasets.load("mnist", "test", data_dir=data_dir)
    config = record["config"]
    decoded = decoded_sets.from_archive(artifact, config["per_class"], seed=0)
    student = StudentConfig(**config["student"])
    return downstream.accuracy_percent(student, decoded, test, seed=0)


def _archives(train: datasets.Images, config: Config, seed: int) -> dict[str, bytes]:
    """One trained model, written at every precision."""
    key_train, key_fit = jax.random.split(jax.random.key(seed))
    with Bar(f"seed {seed}") as bar:
        classes = train.labels
        latents = compression.encode(
            train.pixels, classes, config.compression, key_train, progress=bar
        )
        candidates = selection.fit_candidates(
            latents.values, classes, config.compression, key_fit, progress=bar
        )
    archives = {}
    for name in config.bits:
        bits: Any = int(name) if name.isdecimal() else name
        chosen = replace(config.compression, bits=bits)
        archives[name] = archive.write(
            latents.decoder,
            [selection.select(each, chosen) for each in candidates],
            image_shape=train.pixels.shape[1:],
            labels=range(len(train.label_names)),
            counts=np.bincount(classes, minlength=len(train.label_names)).tolist(),
            covariance=chosen.covariance,
            bits=bits,
        )
    return archives


def _claim(
    run: Run, config: Config, models: list[dict[str, Any]], bits: str, record: Path
) -> Claim:
    accuracy = over_seeds(_column(models, bits, "accuracy_percent"))
    kept = next(m for m in models if m["row"] == bits and m["seed"] == config.seeds[0])
    return Claim(
        id=CLAIMED[bits],
        value=accuracy.mean,
        std=accuracy.std,
        seeds=accuracy.count,
        unit="%",
        tolerance=0.5,
        bytes=kept["bytes"],
        artifact=f"lgc_mnist_{bits}_seed{config.seeds[0]}.lgc",
        record=f"lgc_mnist/{record.name}",
        command=run.command,
    )


def _save_preview(run: Run, train: datasets.Images, decoded: tuple[np.ndarray, np.ndarray]) -> None:
    order = np.argsort(train.labels, kind="stable")
    originals = train.pixels[order][:: max(1, len(order) // 20)]
    drawn = decoded[0][:: max(1, len(decoded[0]) // 20)]
    figure = plots.image_grid([("originals", originals), ("decoded from the archive", drawn)])
    figure.savefig(run.folder / "preview.png")


def _column(models: list[dict[str, Any]], name: str, field: str) -> np.ndarray:
    return np.array([float(model[field]) for model in models if model["row"] == name])


def _rows(models: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    rows = []
    for name in dict.fromkeys(model["row"] for model in models):
        accuracy = over_seeds(_column(models, name, "accuracy_percent"))
        rows.append(
            (
                f"{name}-bit grid" if name.isdecimal() else name,
                f"{_column(models, name, 'bytes').mean():,.0f}",
                accuracy.text(),
                str(accuracy.count),
                f"{accuracy.mean - PUBLISHED_ACCURACY_PERCENT:+.2f}",
            )
        )
    return rows
