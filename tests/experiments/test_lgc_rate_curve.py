"""Accuracy against bytes: the tables' arithmetic, and the whole experiment at smoke size."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiments.dataset_compression import (
    lgc_rate_curve,
    lgc_rate_curve_choices,
    lgc_rate_curve_tables,
)
from experiments.runner.records import Run, start_run


def _rows():
    return [
        {
            "data": "mnist", "budget": size, "arm": arm, "seed": seed, "bytes": size - 3,
            "accuracy_percent": {"convnet": base + seed},
        }
        for size, arm, base in (
            (1_000, "ours", 90.0), (1_000, "subset", 86.0),
            (10_000, "ours", 96.0), (10_000, "subset", 94.0),
        )
        for seed in (0, 1)
    ]  # fmt: skip


def test_means_are_over_the_seeds_of_one_cell():
    found = lgc_rate_curve_tables.mean_of(_rows(), "mnist", 1_000, "ours", "convnet")
    assert found.mean == 90.5
    assert found.count == 2
    np.testing.assert_allclose(found.std, np.sqrt(0.5))
    assert lgc_rate_curve_tables.mean_of(_rows(), "mnist", 1_000, "ours", "lenet5").count == 0


def test_the_area_is_the_mean_difference_over_the_logarithm_of_bytes():
    area = lgc_rate_curve_tables.area_over_subset(_rows(), "mnist", "convnet")
    assert area == pytest.approx(3.0)  # 4 points at one end, 2 at the other
    assert lgc_rate_curve_tables.area_over_subset(_rows()[:4], "mnist", "convnet") is None


def test_a_second_student_is_asked_only_about_other_reductions_that_are_alike():
    def trial(factor: int, percent: float, order: str = "random"):
        reduction = {"factor": factor, "bits": 2}
        return {"reduction": reduction, "order": order, "validation_percent": percent}

    near = [trial(2, 70.5), trial(1, 69.7), trial(1, 69.6, "medoids")]
    assert lgc_rate_curve_choices.contested(near) == [near[1], near[0]]
    assert lgc_rate_curve_choices.contested([trial(2, 70.5), trial(1, 69.4)]) == []
    assert lgc_rate_curve_choices.contested([trial(2, 70.5), trial(2, 70.4, "medoids")]) == []
    assert lgc_rate_curve_choices.best_of(near) == near[0]


def test_claims_have_the_seeds_of_their_cells_and_large_files_none(tmp_path):
    both = {"convnet": 90.0, "report_cnn": 80.0}
    rows: list[dict[str, Any]] = [
        {**row, "accuracy_percent": both, "file": "file"}
        for row in _rows()
        if (row["budget"], row["seed"]) != (10_000, 1)
    ]
    config = lgc_rate_curve.Config(
        data=("mnist",), budgets=(1_000,), first_seed_budgets=(10_000, 1_000_000)
    )
    run = Run("lgc_rate_curve", "cpu", tmp_path, "command", None)
    claims = lgc_rate_curve._claims(config, run, rows, tmp_path / "cpu.json")
    assert {claim.id.split(".", 2)[2]: claim.seeds for claim in claims} == {
        f"{size}kB.{student}{suffix}": seeds
        for size, seeds in ((1, 2), (10, 1))
        for student in both
        for suffix in ("", ".best_subset")
    }


@pytest.mark.slow
@pytest.mark.data
def test_smoke(tmp_path, tfds_dir):
    config = lgc_rate_curve.PRESETS["smoke"][1]
    run = start_run("lgc_rate_curve", "smoke", "smoke", out=str(tmp_path), data_dir=str(tfds_dir))
    lgc_rate_curve.run(config, run)
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    rows = record["metrics"]["rows"]
    assert len(rows) == 4
    for row in rows:
        assert row["bytes"] <= 2_000
        assert row["accuracy_percent"]["report_cnn"] > 20  # chance is 10
    cells = sorted((tmp_path / "cells").iterdir())
    stamps = [path.stat().st_mtime_ns for path in cells]
    lgc_rate_curve.run(config, run)  # nothing is done again
    assert [path.stat().st_mtime_ns for path in cells] == stamps
    assert lgc_rate_curve.tables({"cpu": record})
    assert lgc_rate_curve.figures({"cpu": record})
