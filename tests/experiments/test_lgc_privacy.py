from __future__ import annotations

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.dataset_compression.privacy import (
    lgc_privacy,
    lgc_privacy_tables,
    privacy_archives,
    privacy_attacks,
)
from experiments.runner import records, report
from fewbits.io.datasets import Images


def _images(n_classes=3, side=8):
    rng = np.random.default_rng(0)
    n = 40
    coarse = rng.integers(0, 256, (n, side // 2, side // 2, 1)).astype(np.uint8)
    pixels = coarse.repeat(2, axis=1).repeat(2, axis=2)
    labels = np.arange(n, dtype=np.int32) % n_classes
    return Images(pixels, labels, tuple(map(str, range(n_classes))))


def _pool(per_class=8):
    return privacy_archives.make_pool(_images(), per_class)


def test_a_pool_has_its_classes_in_order():
    pool = _pool()
    assert pool.classes.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    for wrong in (3, 5, 100):
        with pytest.raises(ValueError, match=f"per_class is {wrong}"):
            _pool(wrong)


@pytest.mark.slow
def test_the_control_leaks_and_permuted_membership_does_not(tmp_path):
    """A lossy subset holds its images: distances and every attack must give them away."""
    config = lgc_privacy.Config(
        control_per_class=12, shadows=4, targets=2, permutations=99, neighbours=8
    )
    run = records.start_run("lgc_privacy", "paper", "cmd", out=str(tmp_path), data_dir=None)
    row = lgc_privacy._measure(config, run, lgc_privacy.CONTROL, _images())
    for attack in row["attacks"]:
        assert min(attack["auc"]) > 0.97, attack
        assert min(attack["true_positive_rate"]) > 0.5
    for distances in row["distances"]:
        assert distances["p_value"] == pytest.approx(0.01)
        assert distances["closer_share"] > 0.95
    files = [np.load(tmp_path / f"archives/lossy_subset_{n}.npy") for n in range(6)]
    scores = {"nearness": jnp.asarray(np.stack(files)[:, 0])}
    rng = np.random.default_rng(0)
    inside = jnp.asarray(rng.permuted(np.tile([True, False], (36, 2)), axis=1).T)
    targets = jnp.asarray(rng.permuted(np.tile([True, False], (2, 18)), axis=1))
    for attack in privacy_attacks.attacks(scores, inside, targets):
        assert np.abs(np.array(attack["auc"]) - 0.5).max() < 0.3


def test_roc_points_of_a_short_list():
    scores, members = np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])
    found = lgc_privacy_tables.roc(scores, members)
    assert found["false_positive_rate"] == [0, 0.5]
    assert found["true_positive_rate"] == [0.5, 1.0]


def _row(mode, area):
    attack = {
        "score": "nearness", "calibration": "online", "auc": [area, area + 0.01],
        "standard_error": [0.01, 0.01], "true_positive_rate": [0.001, 0.002],
    }  # fmt: skip
    distances = {
        "ratio_quantiles": [0.5, 0.6, 0.7, 0.9, 1.0, 1.1, 1.2], "mean_log_ratio": -0.1,
        "closer_share": 0.5, "p_value": 0.4,
    }  # fmt: skip
    return {
        "mode": mode, "pool": 100, "bytes": [10, 12], "attacks": [attack], "strongest": 0,
        "roc": {"false_positive_rate": [0, 0.5], "true_positive_rate": [0.1, 0.6]},
        "distances": [distances, distances],
    }  # fmt: skip


def test_tables_figures_and_claim_are_made_from_the_rows(tmp_path):
    rows = [_row("ae", 0.52), _row("vae", 0.51), _row("lossy_subset", 0.99)]
    paper = {"paper": {"metrics": {"rows": rows}}}
    first, every = lgc_privacy.tables(paper)
    assert first.rows[0][3] == "0.525 ± 0.007"
    assert len(every.rows) == 3
    assert "is the control" in first.note
    assert "nearness, online" in report.markdown(first)
    assert list(lgc_privacy.figures(paper)) == ["paper_attacks"]
    assert lgc_privacy.tables({}) == []
    assert lgc_privacy.figures({}) == {}
    run = records.start_run("lgc_privacy", "paper", "cmd", out=str(tmp_path), data_dir=None)
    claim = lgc_privacy._claim(run, rows, tmp_path / "paper.json")
    assert claim.value == pytest.approx(0.525)  # of mixtures, not of the control


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on(tmp_path):
    config = dataclasses.replace(
        lgc_privacy.PRESETS["smoke"][1], per_class=20, epochs=1, targets=2, permutations=19
    )
    run = records.start_run("lgc_privacy", "paper", "cmd", out=str(tmp_path), data_dir=None)
    lgc_privacy.run(config, run)
    first = json.loads((tmp_path / "records/paper.json").read_text())
    for gone in ("rows/ae.json", "archives/ae_1.lgc", "archives/ae_1.npy", "archives/ae_3.npy"):
        (tmp_path / gone).unlink()
    lgc_privacy.run(config, run)
    again = json.loads((tmp_path / "records/paper.json").read_text())
    for before, after in zip(first["metrics"]["rows"], again["metrics"]["rows"], strict=True):
        assert before["bytes"] == after["bytes"]
        for one, other in zip(before["attacks"], after["attacks"], strict=True):
            np.testing.assert_allclose(one["auc"], other["auc"], atol=0.02)
    assert len(first["metrics"]["rows"]) == 2
    assert (tmp_path / "claims.json").is_file()
