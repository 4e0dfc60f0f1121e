from __future__ import annotations

import json
from dataclasses import replace

import pytest

from experiments.runner import records, registry, verify
from fewbits.io.datasets import DataError
from tests.experiments import demo


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "get", lambda name: demo)
    demo.publish(tmp_path / "run", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def claim(results):
    return records.read_claims(results / "claims.json")["a"]


def test_a_number_within_its_tolerance_is_ok(results, claim):
    (results / "artifacts/f.txt").write_text("95.7")
    verdict = verify.check(claim, results=results)
    assert (verdict.status, verdict.recomputed) == ("ok", 95.7)


@pytest.mark.parametrize(
    "changes",
    [{"value": 94.9}, {"bytes": 5}, {"artifact": "gone"}, {"record": "demo/gone.json"}],
)
def test_every_other_difference_fails(results, claim, changes):
    assert verify.check(claim._replace(**changes), results=results).status == "FAILED"


@pytest.mark.parametrize("text", ["nan ", "96.1", "none"])
def test_another_number_in_the_file_fails(results, claim, text):
    (results / "artifacts/f.txt").write_text(text)
    assert verify.check(claim, results=results).status == "FAILED"


def test_data_that_is_absent_is_skipped(results, claim, monkeypatch):
    def absent(*_):
        raise DataError("mnist is not prepared")

    monkeypatch.setattr(demo, "EXPERIMENT", replace(demo.EXPERIMENT, recompute=absent))
    verdict = verify.check(claim, results=results)
    assert (verdict.status, verdict.detail) == ("skipped", "mnist is not prepared")


def test_the_exit_status_says_whether_anything_failed(results, claim, monkeypatch, capsys):
    claims = {"a": claim, "b": claim._replace(id="b", value=0.0)}
    monkeypatch.setattr(verify, "read_claims", lambda: claims)
    monkeypatch.setattr(verify.check, "__kwdefaults__", {"results": results, "data_dir": None})
    assert verify.main(only="a", as_json=False, data_dir=None) == 0
    assert "1 ok, 0 failed" in capsys.readouterr().out
    assert verify.main(only=None, as_json=True, data_dir=None) == 1
    assert [row["status"] for row in json.loads(capsys.readouterr().out)] == ["ok", "FAILED"]
    assert verify.main(only="c", as_json=False, data_dir=None) == 2
    assert "'c'" in capsys.readouterr().err
