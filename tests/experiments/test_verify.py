from __future__ import annotations

import json
import types

import pytest

from experiments.runner import records, registry, verify
from experiments.runner.records import Claim
from fewbits.io.datasets import DataError


@pytest.fixture
def results(tmp_path, monkeypatch):
    module = types.ModuleType("demo")
    module.recompute = lambda claim, record, artifact, data_dir: float(artifact.read_text())
    monkeypatch.setattr(registry, "get", lambda name: module)
    records.write_json(tmp_path / "demo/paper.json", {"experiment": "demo"})
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/f.txt").write_text("95.5")
    return tmp_path, module


def _claim(**changes):
    base = Claim("a", 95.3, 0.1, 5, "%", "demo/paper.json", "cmd", 0.5, 4, "f.txt")
    return base._replace(**changes)


def test_a_number_within_its_tolerance_is_ok(results):
    verdict = verify.check(_claim(), results=results[0])
    assert (verdict.status, verdict.recomputed) == ("ok", 95.5)


@pytest.mark.parametrize(
    "changes",
    [{"value": 94.9}, {"bytes": 5}, {"artifact": "gone"}, {"record": "demo/gone.json"}],
)
def test_every_other_difference_fails(results, changes):
    assert verify.check(_claim(**changes), results=results[0]).status == "FAILED"


def test_nan_fails(results):
    (results[0] / "artifacts/f.txt").write_text("nan ")
    assert verify.check(_claim(), results=results[0]).status == "FAILED"


def test_a_claim_without_a_file_and_data_that_is_absent_are_skipped(results):
    assert verify.check(_claim(artifact=None), results=results[0]).status == "skipped"

    def absent(*_):
        raise DataError("mnist is not prepared")

    results[1].recompute = absent
    verdict = verify.check(_claim(), results=results[0])
    assert (verdict.status, verdict.detail) == ("skipped", "mnist is not prepared")


def test_the_exit_status_says_whether_anything_failed(results, monkeypatch, capsys):
    claims = {"a": _claim(), "b": _claim(value=0.0)._replace(id="b")}
    monkeypatch.setattr(verify, "read_claims", lambda: claims)
    monkeypatch.setattr(verify.check, "__kwdefaults__", {"results": results[0], "data_dir": None})
    assert verify.main(only="a", as_json=False, data_dir=None) == 0
    assert "1 ok, 0 failed" in capsys.readouterr().out
    assert verify.main(only=None, as_json=True, data_dir=None) == 1
    assert [row["status"] for row in json.loads(capsys.readouterr().out)] == ["ok", "FAILED"]
    assert verify.main(only="c", as_json=False, data_dir=None) == 2
    assert "'c'" in capsys.readouterr().err
