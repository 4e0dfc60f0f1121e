"""The smoke runs of the pruning experiments: records, tables and figures from a real run."""

import dataclasses
import json

import pytest

from experiments.pruning import prune_convergence, prune_lenet, prune_teacher_student
from experiments.pruning.prune_runs import Training
from experiments.runner import records


def smoke(module, config, folder):
    """Run an experiment and hand its records back as published ones."""
    run = records.start_run("toy", "smoke", "command", out=str(folder), data_dir=None)
    module.run(config, run)
    return run, {
        path.stem: json.loads(path.read_text()) for path in (run.folder / "records").glob("*.json")
    }


@pytest.mark.slow
def test_teacher_student(tmp_path):
    config = dataclasses.replace(
        prune_teacher_student.PRESETS["smoke"][1],
        methods=("drr",), n_examples=(30,), strengths_bits=(0, 20), steps=1500,
    )  # fmt: skip
    _, found = smoke(prune_teacher_student, config, tmp_path)
    results = found["smoke"]["metrics"]["results"]["drr"]["30"]
    free, priced = results["nonzeros"]
    assert max(priced) < min(free)
    as_paper = {"paper": found["smoke"]}
    (table,) = prune_teacher_student.tables(as_paper)
    assert len(table.rows) == 1
    assert list(prune_teacher_student.figures(as_paper)) == ["drr_curves"]
    assert (tmp_path / "claims.json").is_file()


@pytest.mark.slow
def test_convergence(tmp_path):
    config = prune_convergence.PRESETS["smoke"][1]
    _, found = smoke(prune_convergence, config, tmp_path)
    assert set(found) == {"rates_pmmp_curvature", "drr_settings"}
    published = {name: {**record, "preset": "digits"} for name, record in found.items()}
    (table,) = prune_convergence.tables(published)
    assert len(table.rows) == 2
    assert set(prune_convergence.figures(published)) == {"drr_error", "drr_nonzeros"}


@pytest.mark.slow
def test_lenet_down_to_the_file(tmp_path, monkeypatch):
    """Train, code, decode in a fresh process, claim, and recompute the claim from the file."""
    from experiments.pruning import prune_files

    targets = (prune_files.Target("ratio", 10**9), prune_files.Target("bytes", 20_000))
    monkeypatch.setitem(prune_files.TARGETS, "lenet300", targets)
    monkeypatch.setitem(
        prune_files.CLAIMED_ERROR_PERCENT, "lenet300", {"ratio": 15.0, "bytes": 15.0}
    )
    preset = prune_lenet.PRESETS["smoke"][1]
    grids = tuple(grid for grid in preset.grids if grid.method == "drr")
    config = dataclasses.replace(
        preset, grids=grids, training=Training(epochs=60, fine_tune_epochs=30, batch_size=100)
    )
    run, found = smoke(prune_lenet, config, tmp_path)
    assert set(found) == {"lenet300_drr", "lenet300_files"}
    (row,) = found["lenet300_files"]["metrics"]["files"]
    file = run.artifacts / row["file"]
    assert file.stat().st_size == row["bytes"] < 20_000
    claims = records.read_claims(tmp_path / "claims.json")
    claim = claims["pruning.lenet300.file_bytes_at_85.0"]
    assert prune_lenet.recompute(claim, found["lenet300_files"], file, None) == row["bytes"]
    again = dataclasses.replace(config, lanes=str(tmp_path / "lanes"))
    _, from_lanes = smoke(prune_lenet, again, tmp_path / "again")
    assert from_lanes["lenet300_files"]["metrics"]["files"] == [row]
