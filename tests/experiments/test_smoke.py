"""Every experiment's smoke preset: record, claims, tables, figures, a claim again; SIGKILL."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.runner import claims, plots, records, registry, report
from experiments.runner.folder import Data
from experiments.runner.run import run
from fewbits.io.datasets import DataError

QUICK = {"envelope": (), "bits_back_refund": pytest.mark.slow}
"""Run and killed in CI, one of them run in the default tests; all others by the nightly tests."""
TIMED = ("em_speed", "rd_speed", "prune_speed", "bitalloc_prices")
"""Experiments that measure time, which no run repeats."""


def converted() -> list[str]:
    """Experiments that declare their rows."""
    found = []
    for name, entry in registry.EXPERIMENTS.items():
        path = records.REPOSITORY / (entry.module.replace(".", "/") + ".py")
        if "\nEXPERIMENT = " in path.read_text():
            found.append(name)
    return found


def experiment_of(name: str) -> Any:
    return registry.get(name).EXPERIMENT


def each() -> list[Any]:
    return [pytest.param(n, marks=QUICK.get(n, pytest.mark.nightly)) for n in converted()]


@pytest.mark.parametrize("name", each())
def test_a_run_makes_all_that_is_published(name, tmp_path):
    """The smoke configuration under the name of the first preset, as a paper run would be."""
    experiment = experiment_of(name)
    first = next(iter(experiment.presets))
    config = experiment.presets.get("smoke", experiment.presets[first])
    try:
        record = run(experiment, first, config, folder=tmp_path)
    except DataError as error:
        pytest.skip(str(error).splitlines()[0])
    tables, figures = report.of_records(experiment, {first: record.content})
    assert tables
    for table in tables:
        assert table.rows
        assert {len(line) for line in table.rows} == {len(table.columns)}
    for title, figure in figures.items():
        plots.save(figure, tmp_path / f"{title}.png", "digest")
    found = list(records.read_claims(tmp_path / "claims.json").values())
    assert {claim.record for claim in found} <= {f"{name}/{first}.json"}
    again = [c for c in found if c.artifact] or found
    for claim in again[:1]:
        value = claims.recomputed(
            experiment, record, claim.id, Data(tmp_path / "verify"), tmp_path / "artifacts"
        )
        assert value is not None, f"verify cannot recompute {claim.id}"
        assert value == pytest.approx(claim.value, abs=claim.tolerance or 0)


def untimed(value: Any) -> Any:
    """A record without what the clock says."""
    if isinstance(value, dict):
        clock = ("seconds", "environment", "speed", "times")
        return {k: untimed(v) for k, v in value.items() if not any(word in k for word in clock)}
    return [untimed(each) for each in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize("name", [p for p in each() if p.values[0] not in TIMED])
def test_a_killed_run_gives_the_record_of_a_whole_one(name, tmp_path):
    """SIGKILL at a random moment, then the same command again."""
    preset = "smoke" if "smoke" in experiment_of(name).presets else ""

    def start(folder: Path) -> subprocess.Popen:
        command = [sys.executable, "-m", "experiments", name, *filter(None, [preset])]
        return subprocess.Popen(
            [*command, "--out", str(folder)], cwd=records.REPOSITORY, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env=dict(os.environ),
        )  # fmt: skip

    began = time.perf_counter()
    whole = start(tmp_path / "whole")
    _, error = whole.communicate()
    if b"is not prepared" in error:
        pytest.skip(error.decode().splitlines()[0])
    assert whole.returncode == 0, error.decode()[-2000:]
    killed = start(tmp_path / "killed")
    try:
        killed.wait(random.Random(name).uniform(0.3, 0.95) * (time.perf_counter() - began))
    except subprocess.TimeoutExpired:
        killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = start(tmp_path / "killed")
    _, error = again.communicate()
    assert again.returncode == 0, error.decode()[-2000:]
    ways = [sorted((tmp_path / way / "records").glob("*.json")) for way in ("whole", "killed")]
    assert [path.name for path in ways[0]] == [path.name for path in ways[1]]
    for one, other in zip(*ways, strict=True):
        assert untimed(json.loads(one.read_text())) == untimed(json.loads(other.read_text()))
