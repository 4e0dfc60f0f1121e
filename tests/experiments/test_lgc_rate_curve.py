"""Accuracy against bytes: which rows are claimed."""

from __future__ import annotations

from pathlib import Path

from experiments.dataset_compression import lgc_rate_curve as curve
from experiments.runner import claims
from experiments.runner.experiment import Record


def _record(large: int = 10_000) -> Record:
    rows = [
        curve.Row("mnist", size, condition, "", "convnet", seed, size, base + seed, Path("file"))
        for size, condition, base in (
            (1_000, "lgc", 90.0), (1_000, "best subset", 86.0),
            (large, "lgc", 96.0), (large, "best subset", 94.0),
        )
        for seed in (0, 1)
    ]  # fmt: skip
    return Record("cpu", "cpu", curve.Config(), tuple(rows), {}, {})


def test_files_above_the_limit_are_not_claimed():
    found = claims.groups(curve.EXPERIMENT, _record(large=1_000_000))
    assert [(group.id, len(group.rows)) for group in found] == [
        ("lgc.mnist.1kB.convnet", 2),
        ("lgc.mnist.1kB.convnet.best_subset", 2),
    ]
