from __future__ import annotations

import json

import pytest

from experiments.pruning import prune_speed
from experiments.runner import records


@pytest.mark.slow
def test_smoke_preset_measures_a_ratio_and_claims_nothing(tmp_path):
    run = records.start_run("prune_speed", "smoke", "command", out=str(tmp_path), data_dir=None)
    prune_speed.run(prune_speed.PRESETS["smoke"][1], run)
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    assert 0 < record["metrics"]["teacher_student"]["time_over_sequential"] < 10
    assert not (tmp_path / "claims.json").exists()


def test_tables_set_what_was_reached_beside_what_was_wanted():
    lanes = {"lanes": 4, "time_over_sequential": 0.5, "lanes_times_steps_per_second": 1e4}
    measured = {
        "device": "cpu",
        "teacher_student": lanes,
        "lenet300": lanes,
        "step_over_plain": {"plain": 1.0, "drr": 1.3},
    }
    sides, steps = prune_speed.tables({"paper": {"metrics": measured}})
    assert sides.rows[0] == ("teacher-student network", 4, "0.50", "0.15", "10,000")
    assert steps.rows == [("DRR, coupled", "1.30", "1.25")]
    assert prune_speed.tables({}) == []
