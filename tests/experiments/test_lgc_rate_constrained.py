"""Joint training, swept over lambda, at smoke size."""

from __future__ import annotations

import json

import pytest

from experiments.dataset_compression import lgc_rate_constrained
from experiments.runner.records import start_run


@pytest.mark.slow
def test_smoke_run_writes_files_and_resumes(tmp_path):
    config = lgc_rate_constrained.PRESETS["smoke"][1]
    run = start_run("lgc_rate_constrained", "smoke", "smoke", out=str(tmp_path), data_dir=None)
    lgc_rate_constrained.run(config, run)
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    free, priced, subset = record["metrics"]["rows"]
    assert priced["bytes"] < free["bytes"]
    assert 0.8 * free["bytes"] < subset["bytes"] <= free["bytes"]
    assert 0 < free["accuracy_percent"]["report_cnn"] <= 100
    files = sorted((tmp_path / "files").iterdir())
    stamps = [path.stat().st_mtime_ns for path in files]
    lgc_rate_constrained.run(config, run)  # nothing is done again
    assert [path.stat().st_mtime_ns for path in files] == stamps
    for row in (free, priced, subset):
        row["accuracy_percent"]["convnet"] = 50.0
    (table,) = lgc_rate_constrained.tables({"cpu": record})
    assert [row[0] for row in table.rows] == ["0.1", "0.1", "subset"]
    assert lgc_rate_constrained.figures({"cpu": record})
