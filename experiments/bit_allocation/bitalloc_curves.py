"""Accuracy against bits for every mode and view, beside the published system's points.

Fashion-MNIST's T-shirts, dresses and coats; 15,000 images to fit on, 3,000 to choose on, the
official 3,000 to test on, once per row; three seeds, each with its own cut of the training images.
Every accuracy is that of labels decoded in a fresh process from B bits per image. About an hour
and a half on two cores; a run that was cut off goes on where it stopped when given its folder.

    python -m experiments bitalloc_curves goals
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from bitalloc import model as models
from bitalloc.encoders.bottleneck import BottleneckConfig
from bitalloc.fitting import modes, proposals
from bitalloc.fitting.fit import FitConfig
from experiments.bit_allocation import bitalloc_data
from experiments.runner import plots
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_json, write_record
from experiments.runner.registry import Table, aligned
from experiments.runner.statistics import mean_with, over_seeds
from fewbits.coding import container
from fewbits.io import datasets

PUBLISHED = {
    ("published", "central", 4): 67.0,
    ("published", "central", 160): 87.0,
    ("published", "quadrants", 160): 79.0,
}
UNCOMPRESSED_PUBLISHED = 89.8

Cell = tuple[str, str, int]
"""(mode, view, bits)."""

_CELLS: tuple[Cell, ...] = (
    *(("pixel", view, b) for b in (1, 2, 4, 8, 16, 32, 160) for view in ("central", "quadrants")),
    *(("projection", "central", b) for b in (1, 2, 3, 4, 8, 16, 160)),
    *(("projection", "quadrants", b) for b in (4, 8, 16, 32, 160)),
    ("decision", "central", 2),
)
_BEYOND: tuple[Cell, ...] = tuple(
    ("decision", view, b) for view in ("central", "quadrants") for b in (4, 16, 160)
)
"""With two bits a network at one sensor says all it knows; these show what is lost elsewhere."""
_ARTIFACT_BITS = (2, 4, 16, 160)


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    cells: tuple[Cell, ...] = _CELLS
    first_seed_cells: tuple[Cell, ...] = _BEYOND
    """Measured with the first seed only, in `decision_epochs_beyond` epochs."""
    seeds: tuple[int, ...] = (0, 1, 2)
    n_train: int = 15_000
    n_validation: int = 3_000
    restarts: int = 5
    starts: int = 3
    """Trainings of 8 signs or fewer; the best on validation is kept."""
    projection_epochs: int = 25
    decision_epochs: int = 60
    decision_epochs_beyond: int = 15
    decision_width: int = 32


FREE_FIELDS = ("seeds", "cells", "first_seed_cells")
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "goals": ("every mode and view, three seeds", Config()),
    "smoke": (
        "two seeds, 1,200 images, few bits",
        Config(
            cells=(
                ("pixel", "central", 2),
                ("pixel", "quadrants", 2),
                ("projection", "central", 3),
                ("projection", "quadrants", 4),
            ),
            first_seed_cells=(),
            seeds=(0, 1),
            n_train=1_000,
            n_validation=200,
            restarts=0,
            starts=1,
            projection_epochs=5,
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Fit every cell for every seed, decode its messages in a fresh process, record and claim."""
    train = bitalloc_data.three_classes("train", run.data_dir)
    test = bitalloc_data.three_classes("test", run.data_dir)
    rows = []
    for seed in config.seeds:
        beyond = config.first_seed_cells if seed == config.seeds[0] else ()
        for cell in (*config.cells, *beyond):
            mode, view, bits = cell
            path = run.folder / "cells" / f"{mode}_{view}_{bits}_{seed}.json"
            if not path.is_file():
                row = _measure_cell(config, run, cell, seed, train, test)
                write_json(path, row)
                print(
                    f"seed {seed} {mode} {view} {bits} bits: {row['test_percent']:.2f} % "
                    f"({row['decoder']}, {row['fit_seconds']:.0f} s)",
                    flush=True,
                )
            rows.append(json.loads(path.read_text()))
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, sum(row["fit_seconds"] for row in rows)),
        metrics={"rows": rows},
        data=datasets.SOURCES["fashion_mnist"].note,
        notes="seconds.run is fitting with its compilation, summed over cells and seeds",
    )
    if run.preset != "smoke":
        write_claims(run, [_claim(run, config, rows, cell, record) for cell in _cells(rows)])
    print(aligned([("mode", "view", "bits", "test, %", "decoder"), *_summaries(rows)]))


def _measure_cell(config: Config, run: Run, cell: Cell, seed: int, train, test) -> dict[str, Any]:
    mode, view, bits = cell
    problem = bitalloc_data.problem(
        train, seed, view, n_train=config.n_train, n_validation=config.n_validation
    )
    began = time.perf_counter()
    model = modes.fit(jax.random.key(seed), problem, mode, bits, _fit_config(config, cell))
    fit_seconds = time.perf_counter() - began
    path = _model_path(config, run, cell, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    container.save(path, models.to_bytes(model))
    return {
        "mode": mode,
        "view": view,
        "bits": bits,
        "seed": seed,
        "decoder": model.decoder_kind,
        "sensor_bits": model.sensor_bits.tolist(),
        "n_train": model.n_train,
        "train_percent": bitalloc_data.accuracy_percent(model, problem.train),
        "validation_percent": bitalloc_data.accuracy_percent(model, problem.validation),
        "test_percent": bitalloc_data.measure(path, test),
        "model_bytes": path.stat().st_size,
        "fit_seconds": fit_seconds,
    }


def _fit_config(config: Config, cell: Cell) -> FitConfig:
    mode, _, bits = cell
    settings = proposals.default_bottleneck(mode, bits)
    if mode == "decision":
        settings = BottleneckConfig(
            epochs=(
                config.decision_epochs_beyond
                if cell in config.first_seed_cells
                else config.decision_epochs
            ),
            sensor_width=config.decision_width,
            noise=settings.noise,
            weight_decay=0.02,
            shift_pixels=2,
            flip=True,
        )
    else:
        settings = replace(settings, epochs=config.projection_epochs)
    # Few signs may all end alike; a network that sends its decision is trained once, and longest.
    once = bits > 8 or mode == "pixel" or (mode == "decision" and cell in config.cells)
    starts = 1 if once else config.starts
    return FitConfig(restarts=config.restarts, starts=starts, bottleneck=settings)


def _model_path(config: Config, run: Run, cell: Cell, seed: int) -> Path:
    mode, view, bits = cell
    if run.preset != "smoke" and seed == config.seeds[0] and _is_kept(cell):
        return run.artifacts / f"bitalloc_{mode}_{view}_{bits}.model"
    return run.folder / "models" / f"{mode}_{view}_{bits}_{seed}.model"


def _is_kept(cell: Cell) -> bool:
    """Whether a cell's model is published; four networks of two megabytes together are not."""
    mode, view, bits = cell
    return bits in _ARTIFACT_BITS and (mode, view) != ("decision", "quadrants")


def _of_cell(rows: list[dict[str, Any]], cell: Cell) -> list[dict[str, Any]]:
    return [row for row in rows if (row["mode"], row["view"], row["bits"]) == tuple(cell)]


def _cells(rows: list[dict[str, Any]]) -> list[Cell]:
    return list(dict.fromkeys((row["mode"], row["view"], row["bits"]) for row in rows))


def _claim(run: Run, config: Config, rows, cell: Cell, record: Path) -> Claim:
    mode, view, bits = cell
    accuracy = over_seeds(row["test_percent"] for row in _of_cell(rows, cell))
    path = _model_path(config, run, cell, config.seeds[0])
    kept = _is_kept(cell)
    return Claim(
        id=f"bitalloc.{mode}.{view}.{bits}",
        value=accuracy.mean,
        std=accuracy.std,
        seeds=accuracy.count,
        unit="%",
        tolerance=0.04,
        bytes=path.stat().st_size if kept else None,
        artifact=path.name if kept else None,
        record=f"bitalloc_curves/{record.name}",
        command=run.command,
    )


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """The first seed's accuracy again, from its file, averaged with the other seeds' as recorded.

    The test set is encoded to bytes and these are decoded in a fresh process. The tolerance allows
    three of 3,000 images to change sides where a network computes with another rounding.
    """
    test = bitalloc_data.three_classes("test", data_dir)
    _, mode, view, bits = claim.id.split(".")
    rows = _of_cell(record["metrics"]["rows"], (mode, view, int(bits)))
    again = bitalloc_data.measure(artifact, test)
    return mean_with(again, rows, "test_percent", record["seeds"][0])


def _summaries(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    summaries = []
    for cell in _cells(rows):
        own = _of_cell(rows, cell)
        accuracy = over_seeds(row["test_percent"] for row in own)
        kinds = "/".join(sorted({row["decoder"] for row in own}))
        summaries.append((cell[0], cell[1], str(cell[2]), accuracy.text(), kinds))
    return summaries


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Every cell, with the published system's rows first."""
    if "goals" not in records:
        return []
    published = [
        (mode, view, str(bits), f"{value:.0f}", "linear")
        for (mode, view, bits), value in PUBLISHED.items()
    ]
    return [
        Table(
            "Accuracy from a handful of bits, Fashion-MNIST's T-shirts, dresses and coats",
            ("mode", "view", "bits per image", "test accuracy, %", "decoder"),
            [*published, *_summaries(records["goals"]["metrics"]["rows"])],
            "Mean ± standard deviation over three seeds (one seed where no deviation is given); "
            "15,000 training and 3,000 validation images, official test images. The published "
            "system: 800 training images, tested on 500; uncompressed 89.8.",
        )
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """The published figure redrawn, ours beside it."""
    if "goals" not in records:
        return {}
    rows = records["goals"]["metrics"]["rows"]
    figure, axes = plots.subplots(2, width=4.6)
    for axis, view in zip(axes, ("central", "quadrants"), strict=True):
        for mode, marker in (("pixel", "o"), ("projection", "s"), ("decision", "^")):
            budgets = sorted({r["bits"] for r in rows if (r["mode"], r["view"]) == (mode, view)})
            means = [
                np.mean([row["test_percent"] for row in _of_cell(rows, (mode, view, bits))])
                for bits in budgets
            ]
            axis.plot(budgets, means, marker + "-", label=mode)
        points = [(b, v) for (_, of, b), v in PUBLISHED.items() if of == view]
        axis.plot(*zip(*points, strict=True), "*", color=plots.PUBLISHED, ms=10, label="published")
        axis.axhline(UNCOMPRESSED_PUBLISHED, color=plots.PUBLISHED, lw=0.8, ls=":")
        axis.annotate("published, uncompressed", (20, 88.3), color=plots.PUBLISHED, fontsize=7)
        axis.axhline(200 / 3, color=plots.BASELINE, lw=0.8, ls="--")
        axis.annotate("one bit's limit, 2/3", (20, 67.2), color=plots.BASELINE, fontsize=7)
        axis.set(xlabel="bits per image", ylabel="test accuracy, %")
        plots.doubling_axis(axis)
        axis.set_title(f"view: {view}", loc="left")
        axis.legend()
    return {"accuracy_against_bits": figure}
