"""Pruning runs side by side against one after another, and what penalties add to a step.

Runs `benchmarks/pruning_sweep.py` in a process of its own and keeps its record: 64 DRR lanes of the
teacher-student network and 16 of LeNet-300-100 at batch 500, each against the same lanes in
sequence, and LeNet-300-100's step with each penalty against the plain one. Wanted on two cores: at
most 0.15, 1.15 and 1.25.

    python -m experiments prune_speed paper
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from experiments.runner import subprocesses
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table
from pruning.methods import METHODS

WANTED = {"teacher_student": 0.15, "lenet300": 1.15}
WANTED_STEP = 1.25


@dataclass(frozen=True)
class Config:
    """Size of the benchmark."""

    lanes: int = 64
    """Of the teacher-student network."""
    steps: int = 200
    lenet: bool = True


PRESETS = {
    "paper": ("64 students, 16 LeNets", Config()),
    "smoke": ("4 students", Config(4, 20, lenet=False)),
}


def run(config: Config, run: Run) -> None:
    """Run the benchmark and claim its ratios."""
    began = time.perf_counter()
    flags = [f"--runs={config.lanes}", f"--steps={config.steps}"]
    printed = subprocesses.python(
        "benchmarks.pruning_sweep", flags + ([] if config.lenet else ["--skip-lenet"])
    )
    measured = json.loads(printed)
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=[0],
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics=measured,
        data="synthetic",
        notes="ratios of median wall times, interleaved in one process, compiled before",
    )
    claims = [
        Claim(
            f"pruning.sweep.{name}.time_over_sequential",
            measured[name]["time_over_sequential"],
            None,
            1,
            "of the time in sequence",
            f"prune_speed/{record.name}",
            run.command,
        )
        for name in WANTED
        if name in measured
    ]
    if run.preset != "smoke":
        write_claims(run, claims)
    print(printed)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Lanes against sequence; steps against the plain one."""
    if "paper" not in records:
        return []
    measured = records["paper"]["metrics"]
    titles = {"teacher_student": "teacher-student network", "lenet300": "LeNet-300-100"}
    lanes = [
        (
            titles[name],
            measured[name]["lanes"],
            f"{measured[name]['time_over_sequential']:.2f}",
            f"{wanted:g}",
            f"{measured[name]['lanes_times_steps_per_second']:,.0f}",
        )
        for name, wanted in WANTED.items()
    ]
    steps = [
        (METHODS[name].title if name in METHODS else name, f"{ratio:.2f}", f"{WANTED_STEP:g}")
        for name, ratio in measured["step_over_plain"].items()
        if name != "plain"
    ]
    columns = ("lanes of", "lanes", "time over sequence", "wanted", "lanes x steps a second")
    return [
        Table(
            "Pruning runs side by side",
            columns,
            lanes,
            f"DRR, in one program, against the same runs one after another; {measured['device']}.",
        ),
        Table(
            "What a penalty adds to a step",
            ("penalty", "time over the plain step", "wanted"),
            steps,
            "LeNet-300-100, batch 500; median of interleaved repetitions.",
        ),
    ]
