"""Pruning runs side by side against one after another, and what penalties add to a step.

`benchmarks/pruning_sweep.py` in a subprocess: 64 DRR runs of the teacher-student network and 16 of
LeNet-300-100 at batch 500, each against the same runs in sequence, and LeNet-300-100's step with
each penalty against the plain one.

Cost: paper: 2 min on 2 cores; smoke: 30 s.
Data: none.
"""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

from experiments.runner import experiment as ex
from experiments.runner import subprocesses

WANTED = {"teacher_student": 0.15, "lenet300": 1.15}
"""At most so much of the time in sequence, on two cores."""
WANTED_STEP = 1.25


@dataclass(frozen=True)
class Config:
    """Size of the benchmark."""

    runs: int = 64
    """Of the teacher-student network."""
    steps: int = 200
    lenet: bool = True


class Sweep(NamedTuple):
    """Pruning runs side by side.

    DRR, in one program, against the same runs one after another.
    """

    network: Annotated[str, ex.Key, ex.Column("runs of")]
    runs: Annotated[int, ex.Column()]
    steps: int
    time_over_sequential: Annotated[
        float, ex.Over(max, "of the time in sequence"), ex.Column("time over sequence", ".2f"),
        # verify measures again, perhaps while the machine is busy
        ex.Claim("pruning.sweep.{network}.time_over_sequential", tolerance=0.6),
    ]  # fmt: skip
    wanted: Annotated[float, ex.Column()]
    runs_times_steps_per_second: Annotated[
        float, ex.Over(max), ex.Column("runs x steps a second", ",.0f")
    ]


class Step(NamedTuple):
    """What a penalty adds to a step.

    LeNet-300-100, batch 500; median of interleaved repetitions.
    """

    penalty: Annotated[str, ex.Key]
    time_over_plain: Annotated[
        float, ex.Over(max), ex.Column("time over the plain step", ".2f")
    ]  # fmt: skip
    wanted: Annotated[float, ex.Column()] = WANTED_STEP


def measure(config: Config, trials: list, data: ex.Data) -> list[Any]:
    flags = [f"--runs={config.runs}", f"--steps={config.steps}"]
    flags += [] if config.lenet else ["--skip-lenet"]
    found = json.loads(subprocesses.python("benchmarks.pruning_sweep", flags))
    return [
        *(Sweep(name, wanted=WANTED[name], **found[name]) for name in WANTED if name in found),
        *(Step(*each) for each in found.get("step_over_plain", {}).items() if each[0] != "plain"),
    ]


def recompute(config: Config, row: Sweep, data: ex.Data) -> float:
    again = measure(replace(config, lenet=row.network == "lenet300"), [], data)
    return next(one.time_over_sequential for one in again if one.network == row.network)


EXPERIMENT = ex.of_module(
    __name__,
    (Sweep, Step),
    {"paper": Config(), "smoke": Config(8, 100, lenet=False)},
    data="synthetic",
    notes="ratios of median wall times, interleaved in one process, compiled before",
    headline="pruning.sweep.lenet300.time_over_sequential",
)
