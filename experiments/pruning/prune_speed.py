"""Pruning runs side by side against one after another, and what penalties add to a step.

`benchmarks/pruning_sweep.py` in a subprocess: 64 DRR runs of the teacher-student network and 16 of
LeNet-300-100 at batch 500, each against the same runs in sequence, and LeNet-300-100's step with
each penalty against the plain one. The preset `bound` times the parts of a step of the
teacher-student network alone (`benchmarks/teacher_student_bound.py`).

Cost: paper: 2 min on 2 cores; bound: 1 min; smoke: 30 s.
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
_SEQUENCE, _BOTH = "step, one run after another", "products and tangents alone"
_ARITHMETIC = ("products alone, one run", "hyperbolic tangents alone, 8 runs")


@dataclass(frozen=True)
class Config:
    """Size of the benchmark."""

    runs: int = 64
    """Of the teacher-student network."""
    steps: int = 200
    lenet: bool = True
    bound: bool = False
    """Nothing but the parts of a step."""


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
    time_over_plain: Annotated[float, ex.Over(max), ex.Column("time over the plain step", ".2f")]
    wanted: Annotated[float, ex.Column()] = WANTED_STEP


class Part(NamedTuple):
    """What bounds a step of the teacher-student network on a CPU.

    Least process time of a run's step on one core, and of its parts alone. Two cores halve it at
    best. Products: 1.26 million floating-point operations in seven matrix products.
    """

    part: Annotated[str, ex.Key]
    microseconds: Annotated[float, ex.Over(min), ex.Column("us a run and step", ".0f")]
    over_sequential: Annotated[
        float, ex.Over(min, "of the time in sequence"), ex.Column("of the time in sequence", ".2f"),
        ex.Claim("pruning.sweep.teacher_student.bound_one_core", 0.2,
                 when=lambda row: row.part == _BOTH),
    ]  # fmt: skip


def measure(config: Config, trials: list, data: ex.Data) -> list[Any]:
    if config.bound:
        printed = subprocesses.python("benchmarks.teacher_student_bound", [])
        times = json.loads(printed)["microseconds"]
        times[_BOTH] = sum(times[name] for name in _ARITHMETIC)
        return [Part(name, each, each / times[_SEQUENCE]) for name, each in times.items()]
    flags = [f"--runs={config.runs}", f"--steps={config.steps}"]
    flags += [] if config.lenet else ["--skip-lenet"]
    found = json.loads(subprocesses.python("benchmarks.pruning_sweep", flags))
    return [
        *(Sweep(name, wanted=WANTED[name], **found[name]) for name in WANTED if name in found),
        *(Step(*each) for each in found.get("step_over_plain", {}).items() if each[0] != "plain"),
    ]


EXPERIMENT = ex.of_module(
    __name__,
    (Sweep, Step, Part),
    {"paper": Config(), "bound": Config(bound=True), "smoke": Config(8, 100, lenet=False)},
    recompute=lambda config, row, data: measure(
        replace(config, lenet=row[0] == "lenet300"), [], data
    ),
    data="synthetic",
    notes="ratios of median wall times, interleaved in one process, compiled before",
    headline="pruning.sweep.lenet300.time_over_sequential",
)
