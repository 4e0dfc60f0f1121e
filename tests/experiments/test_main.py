"""`python -m experiments` as a user types it, mistakes included."""

from __future__ import annotations

import json

import pytest

from experiments.__main__ import main
from experiments.runner import registry
from experiments.runner.folder import locked


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
        main(["digits", "smoke", "--seedz", "1"])
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


@pytest.mark.nightly  # .ci/run runs it as README's first command
def test_the_main_job_writes_its_report(capsys, tmp_path):
    assert main(["digits", "smoke", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "latent Gaussian compression" in out
    assert str(tmp_path / "report.html") in out
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 3
    rows = json.loads((tmp_path / "records/smoke.json").read_text())["rows"]
    assert len(rows) == 6
    for row in rows:
        assert row["bytes"] == (tmp_path / "files" / row["file"]).stat().st_size
        assert 10 <= row["accuracy_percent"] <= 100


def test_several_processes_need_a_folder(capsys):
    assert main(["envelope", "--distributed", "127.0.0.1:1,2,0"]) == 2
    assert capsys.readouterr().err == "error: several processes need one folder: give --out\n"


def test_flags_of_the_machine_are_no_part_of_the_command(tmp_path):
    assert main(["envelope", "--out", str(tmp_path), "default", "--data-dir=x"]) == 0
    record = json.loads((tmp_path / "records/default.json").read_text())
    assert record["command"] == "python -m experiments envelope default"
