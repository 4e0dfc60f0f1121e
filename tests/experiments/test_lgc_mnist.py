from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.common.downstream import StudentConfig
from experiments.dataset_compression import lgc_mnist
from experiments.dataset_compression.lgc_mnist import Config
from experiments.runner import records, report, verify
from lgc import Config as Compression

_TINY = Config(
    compression=Compression(hidden=16, latent=4, epochs=1, components=1),
    student=StudentConfig(steps=40),
    bits=("float32", "8", "5"),
    seeds=(0, 1),
    per_class=40,
    train_images=600,
)


def _models():
    return [
        {"row": row, "seed": seed, "bytes": size, "accuracy_percent": accuracy + seed}
        for row, size, accuracy in (("float32", 800, 96.0), ("8", 160, 95.0), ("subset", 160, 92.0))
        for seed in (0, 1)
    ]


def test_rows_are_means_and_deviations_over_seeds():
    rows = lgc_mnist._rows(_models())
    assert rows[1] == ("8-bit grid", "160", "95.50 ± 0.71", "2", "-0.48")


def test_tables_and_figures_are_made_from_the_record():
    paper = {"paper": {"metrics": {"models": _models()}}}
    (table,) = lgc_mnist.tables(paper)
    assert "3,080,064" in report.markdown(table)
    assert list(lgc_mnist.figures(paper)) == ["accuracy_against_bytes"]
    assert lgc_mnist.tables({}) == []


@pytest.mark.data
@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_and_its_claims_are_verified(tmp_path, tfds_dir):
    run = records.start_run(
        "lgc_mnist", "paper", "cmd", out=str(tmp_path / "run"), data_dir=str(tfds_dir)
    )
    lgc_mnist.run(_TINY, run)
    first = json.loads((run.folder / "records/paper.json").read_text())
    (run.folder / "seeds/1.json").unlink()
    kept = (run.folder / "seeds/0.json").stat().st_mtime_ns
    lgc_mnist.run(_TINY, run)
    again = json.loads((run.folder / "records/paper.json").read_text())
    assert (run.folder / "seeds/0.json").stat().st_mtime_ns == kept
    np.testing.assert_allclose(
        [m["accuracy_percent"] for m in first["metrics"]["models"]],
        [m["accuracy_percent"] for m in again["metrics"]["models"]],
    )
    results = tmp_path / "results"
    records.publish(run.folder, results)
    for claim in records.read_claims(results / "claims.json").values():
        verdict = verify.check(
            claim._replace(tolerance=60.0), results=results, data_dir=str(tfds_dir)
        )
        assert verdict.status == "ok", verdict
