"""`python -m experiments` as a user types it, mistakes included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.runner import registry
from experiments.runner.folder import locked

ROOT = Path(__file__).resolve().parents[2]


def test_list_names_every_experiment(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name, entry in registry.EXPERIMENTS.items():
        assert name in out
        assert entry.reproduces in out


def test_an_unknown_name_gets_a_suggestion(capsys):
    assert main(["digist"]) == 2
    assert "perhaps you meant 'digits'" in capsys.readouterr().err
    assert main(["digits", "papre"]) == 2
    assert "default, smoke" in capsys.readouterr().err


def test_a_mistyped_flag_gets_a_suggestion(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["digits", "smoke", "--sede", "1"])
    assert stopped.value.code == 2
    assert "--seed" in "".join(capsys.readouterr())


def test_a_folder_of_another_run_is_refused(capsys, tmp_path):
    (tmp_path / "settings.json").write_text('{"steps": 3}')
    assert main(["text_description_length", "smoke", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path} holds a run with other settings (bytes, ")
    assert error.count("\n") == 1


def test_a_folder_in_use_is_refused(capsys, tmp_path):
    for name in ("envelope", "text_description_length"):
        with locked(tmp_path / name):
            assert main([name, "--out", str(tmp_path / name)]) == 2
        assert "is in use by another run" in capsys.readouterr().err


def test_a_run_writes_record_claims_and_files(capsys, tmp_path):
    assert main(["envelope", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "records/default.json").read_text())
    assert record["schema"] == 2
    assert record["command"] == "python -m experiments envelope default"
    assert record["artifacts"] == {"two_sections.bin": record["rows"][0]["file_bytes"]}
    assert "coding.container.overhead_bytes" in (tmp_path / "claims.json").read_text()
    assert "payload of two sections" in capsys.readouterr().out


def test_an_interrupted_run_is_one_line(capsys, tmp_path, monkeypatch):
    from experiments.runner import run as runner

    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupted)
    assert main(["envelope", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_verify_and_publish_name_what_is_missing(capsys, tmp_path):
    assert main(["verify", "--only", "no.such.claim"]) == 2
    assert "no.such.claim" in capsys.readouterr().err
    assert main(["publish", str(tmp_path)]) == 2
    assert main(["prepare", "mnist", "--from-idx", str(tmp_path)]) == 2
    assert "train-images" in capsys.readouterr().err


@pytest.mark.slow
def test_the_main_job_writes_its_report(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "experiments", "digits", "smoke", "--out", str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("method")
    assert any(line.startswith("latent Gaussian compression") for line in lines)
    page = (tmp_path / "run/report.html").read_text()
    assert page.count("data:image/png;base64,") >= 3
    record = json.loads((tmp_path / "run/records/smoke.json").read_text())
    for row in record["metrics"]["rows"]:
        assert row["bytes"] > 0
        assert 10 <= row["accuracy_percent"] <= 100
    archive = tmp_path / "run/artifacts/digits.lgc"
    ours = next(r for r in record["metrics"]["rows"] if r["method"].startswith("latent"))
    assert ours["bytes"] == archive.stat().st_size
