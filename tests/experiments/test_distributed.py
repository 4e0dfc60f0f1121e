"""Several local processes share one run: the same record as one process, and a lost one is said."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.runner.run import run
from fewbits.io.errors import InputError
from fewbits.training.parallel import processes
from fewbits.training.parallel.processes import joined
from tests.experiments import distributed_job
from tests.training.parallel import virtual_devices
from tests.training.parallel.test_sweep import ROOT, free_port


def start(folder: Path, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.experiments.distributed_job", folder, *arguments]
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, env=virtual_devices.environment(1), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(jobs: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Status of each and what it said on stderr."""
    try:
        said = [job.communicate(timeout=1_200)[1] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    return [(job.returncode, text) for job, text in zip(jobs, said, strict=True)]


def together(folder: Path, count: int, *last: object) -> list[subprocess.Popen]:
    """`count` processes; `last` goes to the last one alone."""
    port = free_port()
    places = [f"127.0.0.1:{port},{count},{index}" for index in range(count)]
    others = [start(folder, place) for place in places[:-1]]
    return [*others, start(folder, places[-1], *last)]


def rows(folder: Path) -> list[dict]:
    return json.loads((folder / "records/paper.json").read_text())["rows"]


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(4, marks=[pytest.mark.slow, pytest.mark.nightly]),
    ],
)
@pytest.mark.usefixtures("quick_compilation")
def test_a_killed_process_is_named_and_the_same_command_ends_with_the_same_bits(count, tmp_path):
    folder, alone = tmp_path / "several", tmp_path / "alone"
    hangs_in = 2 * count - 1  # the second trial of the last process
    jobs = together(folder, count, hangs_in)
    deadline = time.monotonic() + 1_200
    while not (folder / "files/hanging").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    jobs[-1].kill()
    *others, _ = ended(jobs)
    for status, said in others:
        assert status == 2
        assert said == (
            f"error: process {count - 1} of {count} has stopped; what was finished is stored, and "
            "the same command goes on\n"
        )
    stored = {path.name for path in (folder / "trials").iterdir()}
    assert len(stored) == 8 - 8 // count + 1
    assert not (folder / "records").exists()

    before = {path: path.stat().st_mtime_ns for path in (folder / "trials").iterdir()}
    assert [status for status, _ in ended(together(folder, count))] == [0] * count
    assert {path: path.stat().st_mtime_ns for path in before} == before
    run(distributed_job.EXPERIMENT, "paper", folder=alone)
    assert rows(folder) == rows(alone)


def test_refuses_a_place_that_is_none_and_a_run_without_a_folder(tmp_path, capsys):
    for place in ("localhost", "localhost:1234,2", "localhost:1234,2,2", "a:1,x,0"):
        with pytest.raises(InputError, match="ADDRESS:PORT,COUNT,INDEX"), joined(tmp_path, place):
            pass
    assert main(["envelope", "--distributed", "localhost:1234,2,0"]) == 2
    assert "give --out" in capsys.readouterr().err


def test_waits_for_all_and_names_the_one_that_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LOST_AFTER_SECONDS", 0.3)
    first, second, third = (processes.Job(number, 3, tmp_path) for number in range(3))
    assert [job.share(range(7)) for job in (first, second, third)] == [[0, 3, 6], [1, 4], [2, 5]]
    (tmp_path / processes.FOLDER).mkdir()
    first.begin()
    second.begin()
    second._say("done")
    with pytest.raises(processes.LostProcessError, match="process 2 of 3 has stopped"):
        first.wait_for_others()
    third.begin()
    third._say("failed")
    with pytest.raises(processes.LostProcessError, match="process 2 of 3 has stopped"):
        first.wait_for_others()
    third._say("done")
    first.wait_for_others()


def test_alone_shares_nothing_and_waits_for_nobody():
    processes.ALONE.begin()
    processes.ALONE.wait_for_others()
    assert processes.ALONE.share([1, 2]) == [1, 2]
