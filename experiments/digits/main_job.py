"""The main job: every method once, end to end, on scikit-learn's handwritten digits.

Each method trains, compresses into a real file, has a fresh process decode it, and is judged by
what came out, beside a baseline of the same bytes. Needs no download.

    python -m experiments
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass

from experiments.digits import html_report
from experiments.digits.row import Job, Row
from experiments.runner.records import Run, Seconds, write_record
from experiments.runner.registry import aligned
from fewbits.io import datasets
from fewbits.io.progress import Bar

METHODS = (
    "experiments.digits.dataset_compression",
    "experiments.digits.pruned_network",
    "experiments.digits.rate_distortion",
    "experiments.digits.bit_allocation",
)
"""Modules with `rows(job, bar) -> list[Row]`, in the order of the table."""

COLUMNS = ("method", "bytes on disk", "bits per image", "accuracy, %", "baseline, %", "baseline is")


@dataclass(frozen=True)
class Config:
    """One run of the main job."""

    seed: int = 0
    quick: bool = False
    """Train a tenth as long: to see that everything works, not what it reaches."""


PRESETS = {
    "default": ("every method once", Config()),
    "smoke": ("a tenth of the training", Config(quick=True)),
}


def run(config: Config, run: Run) -> None:
    """Run every method, print the table, write the report."""
    train, test = datasets.load("digits", "train"), datasets.load("digits", "test")
    job = Job(run, train, test, config.seed, 0.1 if config.quick else 1.0)
    began = time.perf_counter()
    rows: list[Row] = []
    for number, name in enumerate(METHODS, start=1):
        with Bar(f"method {number} of {len(METHODS)}") as bar:
            rows += importlib.import_module(name).rows(job, bar)
    seconds = time.perf_counter() - began
    cells = [_cells(row) for row in rows]
    print(aligned([COLUMNS, *cells]))
    write_record(
        run,
        run.preset,
        config=config,
        seeds=[config.seed],
        seconds=Seconds(0.0, seconds),
        metrics={"rows": [row._replace(pictures=())._asdict() for row in rows]},
        data=datasets.SOURCES["digits"].note,
        notes="seconds.run holds compilation too",
    )
    path = run.folder / "report.html"
    pictures = [picture for row in rows for picture in row.pictures]
    html_report.write(path, "fewbits: the main job", COLUMNS, cells, pictures, _INTRODUCTION)
    print(f"\n{seconds:.0f} s; report with pictures: {path}")


_INTRODUCTION = (
    f"{datasets.SOURCES['digits'].note}. Every size is that of a file on disk that a fresh process "
    "has decoded; accuracy is on the test images, one seed."
)


def _cells(row: Row) -> tuple[str, ...]:
    baseline = "" if row.baseline_percent is None else f"{row.baseline_percent:.1f}"
    return (
        row.method,
        f"{row.bytes:,}",
        f"{row.bits_per_image:.1f}",
        f"{row.accuracy_percent:.1f}",
        baseline,
        row.baseline,
    )
