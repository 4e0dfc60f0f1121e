"""Accuracy against bytes: the gain over subsets, and which rows are claimed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

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


def test_the_gain_is_the_mean_difference_over_the_logarithm_of_bytes():
    (gain,) = curve.derive(_record())
    assert gain.points == pytest.approx(3.0)  # 4 points at one end, 2 at the other
    record = _record()
    (gain,) = curve.derive(dataclasses.replace(record, rows=record.rows[:4]))
    assert gain.points == pytest.approx(4.0)


def test_files_above_the_limit_are_not_claimed():
    found = claims.groups(curve.EXPERIMENT, _record(large=1_000_000))
    assert [(group.id, len(group.rows)) for group in found] == [
        ("lgc.mnist.1kB.convnet", 2),
        ("lgc.mnist.1kB.convnet.best_subset", 2),
    ]
