from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from experiments.common.downstream import StudentConfig
from experiments.dataset_compression import spuco, spuco_figures
from experiments.runner import records, report, verify
from lgc import Config as Mixtures
from lgc.groups import grouped_compression as compression
from lgc.groups.grouped import Architecture


def _rows(strengths=(0.995,)):
    return [
        {
            "arm": arm, "strength": strength, "seed": seed, "bytes": size,
            "worst_percent": worst + seed, "average_percent": 99.0, "even_percent": 80.0,
            "groups_percent": [worst] * 25,
        }
        for strength in strengths
        for arm, size, worst in (("raw", None, 10.0), ("convolutional_equalised", 20_000, 70.0))
        for seed in (0, 1)
    ]  # fmt: skip


def test_rows_are_means_and_deviations_over_seeds():
    raw, ours = spuco_figures.summaries(_rows())
    assert raw[:4] == ("raw", "0.995", "all images", "10.50 ± 0.71")
    assert ours[:4] == ("convolutional, equalised", "0.995", "20,000", "70.50 ± 0.71")


def test_pictures_come_back():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)
    kept = json.loads(json.dumps(spuco_figures.pack(images)))
    np.testing.assert_array_equal(spuco_figures.unpack(kept), images)


def test_tables_and_figures_are_made_from_the_records():
    images = np.zeros((20, 8, 8, 3), np.uint8)
    pictures = {name: spuco_figures.pack(images) for name in ("originals", "dense")}
    paper = {
        "metrics": {"rows": _rows(), "pictures": pictures},
        "config": {"recipe": {"n_classes": 5}},
    }
    swept = {"metrics": {"rows": _rows((0.9, 0.99)), "pictures": {}}}
    made = {"paper": paper, "strengths": swept}
    first, second = spuco.tables(made)
    assert "all images" in report.markdown(first)
    assert len(second.rows) == 4
    assert list(spuco.figures(made)) == ["groups", "reconstructions", "against_strength"]
    assert spuco.tables({}) == []
    assert spuco.figures({}) == {}


_TINY = spuco.Config(
    data="digits",
    strengths=(0.8,),
    arms=("raw", "subset_equalised", "convolutional_natural", "convolutional_equalised"),
    archive=compression.Config(
        Architecture(latent=3, hidden=8, dense_hidden=(8,), widths=(2, 2, 2)),
        steps=20,
        mixtures=Mixtures(components=1),
    ),
    student=StudentConfig(steps=10),
    seeds=(0, 1),
)


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_and_its_claims_are_verified(tmp_path):
    run = records.start_run("spuco", "paper", "cmd", out=str(tmp_path / "run"), data_dir=None)
    spuco.run(_TINY, run)
    first = json.loads((run.folder / "records/paper.json").read_text())
    gone, kept = (run.folder / f"rows/{arm}_0.8_1.json" for arm in ("convolutional_natural", "raw"))
    gone.unlink()
    stamp = kept.stat().st_mtime_ns
    spuco.run(_TINY, run)
    again = json.loads((run.folder / "records/paper.json").read_text())
    assert kept.stat().st_mtime_ns == stamp
    for before, after in zip(first["metrics"]["rows"], again["metrics"]["rows"], strict=True):
        assert before["worst_percent"] == after["worst_percent"]
        assert before["bytes"] == after["bytes"]
    natural, equalised = first["metrics"]["rows"][2:4]
    assert natural["bytes"] == equalised["bytes"]
    assert len(first["metrics"]["pictures"]) == 2
    results = tmp_path / "results"
    records.publish(run.folder, results)
    claims = records.read_claims(results / "claims.json")
    verdicts = {name: verify.check(claim, results=results) for name, claim in claims.items()}
    assert verdicts["lgc.spuco5.worst_group.equalised"].status == "ok"
    assert verdicts["lgc.spuco5.worst_group.raw"].status == "skipped"


def test_validation_judges_where_choices_are_made():
    config = dataclasses.replace(_TINY, test="validation")
    train, judges = spuco.coloured(config, 0.8, 0, None)
    assert len(train.classes) + len(judges.classes) == 1_297
    other, same = spuco.coloured(config, 0.8, 1, None)
    np.testing.assert_array_equal(judges.pixels, same.pixels)
    assert (other.backgrounds != train.backgrounds).any()
