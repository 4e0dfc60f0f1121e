"""Spurious correlations: does a compressed data set teach the digit or the background?

SpuCo MNIST (`lgc.groups.spuco_mnist`), five classes of two digits on five colours of which each
class has its own in 99.5 % of the training images. Students that read the background are right on
average and wrong in the worst group. They are trained, for equally many steps, on: all images; a
lossless random subset of the convolutional archive's bytes; what a fresh process draws from that
archive with the training set's own group sizes (`natural`) or with equal ones (`equalised`), which
costs no bytes since the file holds classes and backgrounds apart. Groups are the known colours;
`raw_equalised` and `subset_equalised` know them too, and repeat the rare images. The same again
with a dense decoder. Official test images, all groups equally large.

Choices belong to the validation part (`--test validation`). Cells that are done are kept, and a run
that was cut off goes on.

    python -m experiments spuco paper
"""

from __future__ import annotations

import json
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets, downstream
from experiments.common.downstream import StudentConfig
from experiments.dataset_compression import spuco_figures
from experiments.dataset_compression.spuco_sets import Arm, Config, coloured, for_arm, path_of
from experiments.runner.records import Claim, Run, Seconds, kept, write_claims, write_record
from experiments.runner.registry import Table, aligned
from experiments.runner.statistics import mean_with, over_seeds
from fewbits.io import datasets
from lgc import Config as Mixtures
from lgc.groups import grouped_compression as compression
from lgc.groups.grouped import Architecture
from lgc.groups.spuco_mnist import Colouring, Grouped, group_accuracies

CLAIMED: dict[str, Arm] = {
    "lgc.spuco5.worst_group.raw": "raw",
    "lgc.spuco5.worst_group.equalised": "convolutional_equalised",
}
"""Of the preset `paper`."""


_FEW: tuple[Arm, ...] = (
    "raw",
    "raw_equalised",
    "convolutional_natural",
    "convolutional_equalised",
)
FREE_FIELDS = ("seeds", "arms", "strengths")
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "paper": ("5 classes, 5 colours, strength 0.995, five seeds", Config()),
    "strengths": (
        "four arms at five strengths, three seeds",
        Config(strengths=(0.9, 0.97, 0.99, 0.995, 0.999), arms=_FEW, seeds=(0, 1, 2)),
    ),
    "ten": (
        "10 classes, 10 colours of the report's palette, strength 0.99, three seeds",
        Config(
            recipe=Colouring(n_classes=10, palette="tab10", label_noise=0.001),
            strengths=(0.99,),
            arms=_FEW,
            seeds=(0, 1, 2),
        ),
    ),
    "smoke": (
        "the embedded digits, strength 0.9, short training, one seed",
        Config(
            data="digits",
            strengths=(0.9,),
            arms=("raw", "subset", "dense_natural", "convolutional_equalised"),
            archive=compression.Config(
                Architecture(latent=8, hidden=64, dense_hidden=(32,)),
                steps=200,
                mixtures=Mixtures(components=2),
            ),
            student=StudentConfig(steps=200),
            seeds=(0,),
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Colour, compress, decode in a fresh process, train and judge; cell by cell."""
    rows = []
    for strength in config.strengths:
        for seed in config.seeds:
            images = cache(partial(coloured, config, strength, seed, run.data_dir))

            def of_arm(arm: Arm, strength=strength, seed=seed, images=images) -> dict[str, Any]:
                return _measure(config, run, arm, strength, seed, *images())

            for arm in config.arms:
                path = run.folder / "rows" / f"{arm}_{strength}_{seed}.json"
                rows.append(kept(path, partial(of_arm, arm)))
    pictures = {}
    for path in sorted((run.folder / "pictures").glob("*.json")):
        pictures |= json.loads(path.read_text())
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(
            sum(row["data_seconds"] for row in rows), sum(row["student_seconds"] for row in rows)
        ),
        metrics={"rows": rows, "pictures": pictures},
        data=f"coloured by lgc/groups/spuco_mnist.py: {datasets.SOURCES[config.data].note}",
        notes="seconds.compile is all up to the decoded files, seconds.run training the students; "
        "both with their compilation",
    )
    if run.preset == "paper" and config.test == "test":
        claims = [_claim(config, run, id_, arm, rows, record) for id_, arm in CLAIMED.items()]
        write_claims(run, [claim for claim in claims if claim is not None])
    print(aligned([spuco_figures.COLUMNS, *spuco_figures.summaries(rows)]))


def _measure(
    config: Config, run: Run, arm: Arm, strength: float, seed: int, train: Grouped, test: Grouped
) -> dict[str, Any]:
    began = time.perf_counter()
    images, labels, size_bytes = for_arm(config, run, arm, strength, seed, train, test)
    ready = time.perf_counter()
    worst, row = _judge(config.student, images, labels, train, test, seed)
    return {
        "arm": arm,
        "strength": strength,
        "seed": seed,
        "bytes": size_bytes,
        "worst_percent": worst,
        **row,
        "data_seconds": ready - began,
        "student_seconds": time.perf_counter() - ready,
    }


def _judge(
    student: StudentConfig,
    images: np.ndarray,
    labels: np.ndarray,
    train: Grouped,
    test: Grouped,
    seed: int,
) -> tuple[float, dict[str, Any]]:
    outcome = downstream.train(
        student, [(images, labels)], test.images(), seeds=(seed,), runs_per_chunk=1
    )
    found = group_accuracies(np.asarray(outcome.predictions)[0, 0], test, train.counts())
    return 100 * found.worst, {
        "average_percent": 100 * found.average,
        "even_percent": 100 * found.even,
        "groups_percent": np.round(100 * found.each, 2).tolist(),
        "finite": bool(outcome.finite[0, 0]),
    }


def _claim(
    config: Config, run: Run, identifier: str, arm: Arm, rows: list[dict[str, Any]], record: Path
) -> Claim | None:
    strength = config.strengths[0]
    mine = [row for row in rows if row["arm"] == arm and row["strength"] == strength]
    if not mine:
        return None
    worst = over_seeds(row["worst_percent"] for row in mine)
    return Claim(
        id=identifier,
        value=worst.mean,
        std=worst.std,
        seeds=worst.count,
        unit="%",
        tolerance=None if arm == "raw" else 2.0,
        bytes=mine[0]["bytes"],
        artifact=None
        if arm == "raw"
        else path_of(config, run, "convolutional", strength, config.seeds[0]).name,
        record=f"spuco/{record.name}",
        command=run.command,
    )


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """The first seed's student again, averaged with the other seeds' as recorded; percent."""
    stored, first = record["config"], record["seeds"][0]
    strength, arm = stored["strengths"][0], CLAIMED[claim.id]
    config = Config(data=stored["data"], recipe=Colouring(**stored["recipe"]), test=stored["test"])
    train, test = coloured(config, strength, first, data_dir)
    per_group = len(train.classes) // len(train.counts())
    images, labels = decoded_sets.from_archive(artifact, per_group, first)
    student = StudentConfig(**stored["student"])
    worst, _ = _judge(student, images, labels, train, test, first)
    rows = [
        row
        for row in record["metrics"]["rows"]
        if row["arm"] == arm and row["strength"] == strength
    ]
    return mean_with(worst, rows, "worst_percent", first)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Worst-group and average accuracy of every arm."""
    return [
        spuco_figures.table(preset, records[preset]["metrics"]["rows"])
        for preset in spuco_figures.TITLES
        if preset in records
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Accuracy by group, reconstructions by both decoders, accuracy against strength."""
    found = {}
    if "paper" in records:
        paper = records["paper"]
        found |= spuco_figures.draw(
            paper["metrics"]["rows"],
            paper["metrics"]["pictures"],
            paper["config"]["recipe"]["n_classes"],
        )
    if "strengths" in records:
        rows = records["strengths"]["metrics"]["rows"]
        found["against_strength"] = spuco_figures.against_strength(rows)
    return found
