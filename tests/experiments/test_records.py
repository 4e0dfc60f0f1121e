from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from experiments.runner import records
from experiments.runner.records import Claim, Seconds


@dataclass(frozen=True)
class _Config:
    steps: int = 3


@pytest.fixture
def run(tmp_path):
    return records.start_run("demo", "smoke", "a command", out=str(tmp_path / "run"), data_dir=None)


def _write(run, **metrics):
    return records.write_record(
        run,
        "smoke",
        config=_Config(),
        seeds=[0, 1],
        seconds=Seconds(1, 2),
        metrics=metrics,
        data="x",
    )


def test_a_record_holds_what_made_it(run):
    content = json.loads(
        _write(run, loss_nats=np.float32(0.5), sizes_bytes=np.arange(2)).read_text()
    )
    assert content["config"] == {"steps": 3}
    assert content["metrics"] == {"loss_nats": 0.5, "sizes_bytes": [0, 1]}
    assert content["seconds"] == {"compile": 1, "run": 2}
    assert content["environment"]["versions"]["jax"]


def _claim(identifier, value):
    return Claim(identifier, value, 0.1, 2, "%", "demo/smoke.json", "a command", 0.5, 3, "f.bin")


def test_publishing_copies_records_artifacts_and_merges_claims(run, tmp_path):
    results = tmp_path / "results"
    _write(run, loss_nats=1.0)
    (run.artifacts / "f.bin").write_bytes(b"abc")
    records.write_claims(run, [_claim("demo.b", 1.0), _claim("demo.a", 2.0)])
    published = records.publish(run.folder, results)
    assert published == ["demo/smoke.json", "artifacts/f.bin"]
    records.write_claims(run, [_claim("demo.b", 3.0)])
    records.publish(run.folder, results)
    claims = records.read_claims(results / "claims.json")
    assert list(claims) == ["demo.a", "demo.b"]
    assert claims["demo.b"].value == 3.0
    assert records.read_records("demo", results)["smoke"]["metrics"] == {"loss_nats": 1.0}


def test_a_folder_without_records_is_not_published(tmp_path):
    with pytest.raises(FileNotFoundError, match="records"):
        records.publish(tmp_path, tmp_path / "results")


def test_a_folder_takes_one_runs_settings_and_more_seeds(tmp_path):
    records.claim_folder(tmp_path, {"steps": 3, "seeds": (0, 1)})
    records.claim_folder(tmp_path, {"steps": 3, "seeds": (0, 1, 2)})
    with pytest.raises(records.RunError, match=r"other settings \(steps\); remove it or choose"):
        records.claim_folder(tmp_path, _Config(4))
    records.claim_folder(tmp_path, _Config(4), free=("steps", "seeds"))


def test_what_is_kept_is_measured_once(tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"loss": np.float32(0.5), "sizes": (1, 2)}

    path = tmp_path / "cells" / "one.json"
    first, second = (records.kept(path, measure) for _ in range(2))
    assert first == second == {"loss": 0.5, "sizes": [1, 2]}
    assert len(calls) == 1
