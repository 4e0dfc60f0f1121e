"""The experiment of docs/adding_an_experiment.md has all that follows from its row."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.runner import records, registry, report, run, verify

ROOT = Path(__file__).resolve().parents[2]
CODE = re.search(
    r"```python\n(.*?)```", (ROOT / "docs/adding_an_experiment.md").read_text(), re.DOTALL
)[1]  # type: ignore


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the experiment in it, known to the registry."""
    (tmp_path / "lab/means").mkdir(parents=True)
    (tmp_path / "lab/means/class_means.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = registry.discover(tmp_path / "lab")
    monkeypatch.setattr(registry, "EXPERIMENTS", found)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]


def test_it_is_short():
    assert len(CODE.splitlines()) < 60


def test_record_claims_table_figure_and_verification(checkout, capsys):
    experiment = importlib.import_module("lab.means.class_means").EXPERIMENT
    folder, results = checkout / "run", checkout / "results"
    assert main(["class_means", "paper", "--bits", "2", "4", "--out", str(folder)]) == 0
    record = json.loads((folder / "records/paper.json").read_text())
    assert record["command"] == "python -m experiments class_means paper --bits 2 4"
    assert record["seeds"] == [0, 1, 2, 3, 4]
    assert len(record["rows"]) == 10
    published = records.publish(folder, results)
    assert set(published) == {
        "class_means/paper.json", "artifacts/means_2bit_0.fwb", "artifacts/means_4bit_0.fwb",
    }  # fmt: skip
    made = report.rebuild(write=True, repository=checkout)
    assert "results/class_means/accuracy_percent_against_bits.png" in made
    page = (results / "class_means/README.md").read_text()
    assert "| bits per value | bytes on disk | test accuracy, % |" in page
    assert page.count("±") == 6  # twice bytes and accuracy, and two claims
    claims = records.read_claims(results / "claims.json")
    claim = claims["means.digits.4bit"]
    assert (claim.seeds, claim.unit, claim.artifact) == (5, "%", "means_4bit_0.fwb")
    assert claim.bytes == (results / "artifacts/means_4bit_0.fwb").stat().st_size
    assert verify.check(claim, results=results).status == "ok"
    broken = claim._replace(value=claim.value + 0.01)
    assert verify.check(broken, results=results).status == "FAILED"
    assert experiment.identifier == "class_means"


def without_times(path: Path) -> dict:
    record = json.loads(path.read_text())
    return {name: value for name, value in record.items() if name not in ("seconds", "environment")}


@pytest.mark.slow
def test_a_killed_run_goes_on(checkout):
    experiment = importlib.import_module("lab.means.class_means").EXPERIMENT
    few = dataclasses.replace(experiment.presets["paper"], bits=(2, 4))
    run.run(experiment, "paper", few, folder=checkout / "whole")
    program = (
        "from pathlib import Path; from experiments.__main__ import main; "
        "from experiments.runner import registry; "
        f"registry.EXPERIMENTS = registry.discover(Path({str(checkout / 'lab')!r})); "
        f"main(['class_means', 'paper', '--bits', '2', '4', '--out', {str(checkout / 'killed')!r}])"
    )
    environment = {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{ROOT}"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.DEVNULL
    )
    trials = checkout / "killed/trials"
    while len(list(trials.glob("*.json"))) < 4 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run.run(experiment, "paper", few, folder=checkout / "killed")
    ways = [checkout / way / "records/paper.json" for way in ("whole", "killed")]
    assert without_times(ways[0]) == without_times(ways[1])


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "file_cut", "file_missing"])
def test_damaged_trials_are_measured_again(checkout, damage, capsys):
    experiment = importlib.import_module("lab.means.class_means").EXPERIMENT
    folder = checkout / "run"
    run.run(experiment, "smoke", folder=folder)
    before = without_times(folder / "records/smoke.json")
    victim = next((folder / "trials").glob("*.json"))
    if damage.startswith("file"):
        victim = next((folder / "files").glob("*"))
    if damage.endswith("missing"):
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:100] if damage.endswith("cut") else b"")
    capsys.readouterr()
    run.run(experiment, "smoke", folder=folder)
    out = capsys.readouterr().out
    assert out.count("accuracy_percent") == 1
    assert ("is damaged" in out) == (damage != "missing")
    assert without_times(folder / "records/smoke.json") == before


def test_two_runs_on_one_folder_and_cut_settings_are_one_line(checkout, capsys):
    from experiments.runner import folder as folders

    folder = checkout / "run"
    command = ["class_means", "smoke", "--out", str(folder)]
    with folders.locked(folder):
        assert main(command) == 2
    assert main(command) == 0
    (folder / "settings.json").write_text('{"experiment": "cl')
    assert main(command) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: {folder} is in use by another run")
    assert second.startswith(f"error: {folder}/settings.json is damaged")
