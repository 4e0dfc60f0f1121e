"""Every program for an accelerator, compiled for TPUs that are not here and lowered for CUDA.

Each program of `experiments.devices.programs` is compiled by libtpu for a topology (extra
`tpu-compile`), in a process of its own, and what the compiler knows becomes a plan for a sweep.

Cost: paper: 25 min on 1 core; smoke: 30 s.
Data: none.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from matplotlib.figure import Figure

from experiments.runner import experiment as ex
from experiments.runner import plots, subprocesses
from experiments.runner.folder import RunError
from fewbits.training.parallel import estimates

VERBS = {"gpu-day": "benchmarks.gpu_day"}
"""What `python -m experiments devices` does besides running a preset."""
SMALL, POD, NEWER, CUDA = "v5e:2x2", "v5e:16x16", "v6e:2x2", "cuda"
_ORDER = {CUDA: 0, SMALL: 1, POD: 1, NEWER: 2}
_ONE = ("drr_teacher_student",)
CHIP_COUNTS = (1, 4, 256)
SWEEP_RUNS = 4_096


@dataclass(frozen=True)
class Config:
    """Names of the programs for each target; none given stands for all."""

    small: tuple[str, ...] | None = None
    """For four chips of v5e."""
    pod: tuple[str, ...] | None = None
    """For 256 chips of v5e."""
    newer: tuple[str, ...] | None = ("drr_lenet300",)
    """For four chips of v6e."""
    cuda: tuple[str, ...] | None = None
    """Lowered for CUDA, not compiled."""


class Compiled(NamedTuple):
    """Programs compiled for a TPU.

    Bytes are of one chip. An iteration is of all runs that the program has on a chip; its time is
    an estimate, by the compiler or, where it gives none, from operations and bytes (roofline).
    Effort is what XLA spends on the speed of the program (`jax_exec_time_optimization_effort`), -1
    to 1.
    """

    target: Annotated[str, ex.Key]
    program: Annotated[str, ex.Key]
    title: str
    runs: Annotated[int, ex.Column("runs per chip")]
    split: str
    iterations: int
    """Of a whole run."""
    compiled: Annotated[
        int, ex.Over(sum, "programs"), ex.Column(shown=False),
        ex.Claim("devices.tpu.compiled", 0, when=lambda row: row.target == SMALL),
        ex.Claim("devices.tpu.pod_compiled", 0, when=lambda row: row.target == POD),
    ]  # fmt: skip
    compile_cpu_seconds: Annotated[
        float | None, ex.Over(max, "CPU seconds"), ex.Column("compile, CPU s", ".0f"),
        ex.Claim("devices.tpu.slowest_compile_seconds", tolerance=60),
    ]  # fmt: skip
    collectives: Annotated[
        int | None, ex.Over(sum, "collectives"), ex.Column("collectives"),
        ex.Claim("devices.sweep.collectives", 0, when=lambda row: row.split == "runs"),
    ]  # fmt: skip
    megabytes: Annotated[float | None, ex.Over(max), ex.Column("MB per chip", ",.0f")] = None
    gigaflops: Annotated[float | None, ex.Over(max), ex.Column("Gflop", ",.2f")] = None
    microseconds: Annotated[
        float | None, ex.Over(max), ex.Column("estimate, us an iteration", ",.0f")
    ] = None
    estimated_by: Annotated[str, ex.Column("by")] = ""
    fitting: Annotated[int | None, ex.Over(max), ex.Column("runs that fit", ",.0f")] = None
    effort: Annotated[float, ex.Over(max), ex.Column("effort", ".0f")] = 0.0
    error: str = ""


class Lowered(NamedTuple):
    """Programs lowered for CUDA.

    Lowering only: no CUDA compiler was at hand.
    """

    program: Annotated[str, ex.Key]
    lowered: Annotated[
        int, ex.Over(sum, "programs"), ex.Column(shown=False), ex.Claim("devices.cuda.lowered", 0)
    ]
    lower_cpu_seconds: Annotated[
        float | None, ex.Over(max), ex.Column("trace and lower, CPU s", ".1f")
    ]
    kilobytes: Annotated[float | None, ex.Over(max), ex.Column("program, kB", ",.0f")]
    error: str = ""


class Cost(NamedTuple):
    """What a sweep of 4,096 runs costs, estimated.

    Hours of v5e at best: the time of an iteration (previous table) times the iterations of a run,
    the runs in groups of the previous table's size on every chip. No transfer, no host.
    """

    program: Annotated[str, ex.Key, ex.Column(shown=False)]
    title: Annotated[str, ex.Column("4,096 runs of")]
    iterations: Annotated[int, ex.Column("iterations a run", ",.0f")]
    hours_1: Annotated[float, ex.Over(max), ex.Column("hours on 1 chip", ",.2f")]
    hours_4: Annotated[float, ex.Over(max), ex.Column("on 4", ",.2f")]
    hours_256: Annotated[float, ex.Over(max), ex.Column("on 256", ",.3f")]
    by: Annotated[str, ex.Column("estimate by")]


def grid(config: Config) -> Iterator[tuple[str, str]]:
    """(program, target)."""
    from experiments.devices.programs import PROGRAMS

    chosen = {SMALL: config.small, POD: config.pod, NEWER: config.newer, CUDA: config.cuda}
    for name in PROGRAMS:
        yield from ((name, t) for t, names in chosen.items() if names is None or name in names)


def measure(config: Config, trials: list[tuple[str, str]], data: ex.Data) -> list[Any]:
    """What a subprocess has found; it compiles all that the run's folder lacks, in one go."""
    ordered = sorted(grid(config), key=lambda trial: _ORDER[trial[1]])
    return _rows(data.folder / "compiled", trials, ordered)


def _rows(folder: Path, trials: list[tuple[str, str]], wanted: list[tuple[str, str]]) -> list[Any]:
    folder.mkdir(exist_ok=True)
    paths = {trial: folder / f"{'@'.join(trial)}.json" for trial in trials}
    while not all(path.exists() for path in paths.values()):
        if importlib.util.find_spec("libtpu") is None:
            raise RunError("libtpu is missing: pip install 'fewbits[tpu-compile]'")
        before = set(folder.iterdir())
        try:
            subprocesses.python("experiments.devices.compiling", [folder, *map("@".join, wanted)])
        except subprocesses.SubprocessFailedError:  # perhaps a compiler ended it: go on
            if set(folder.iterdir()) == before:
                raise
    return [_row(*trial, json.loads(path.read_bytes())) for trial, path in paths.items()]


def _row(name: str, target: str, found: dict[str, Any]) -> Any:
    from experiments.devices.programs import PROGRAMS

    error = found.get("error", "")
    if target == CUDA:
        size = None if error else found["program_bytes"] / 1e3
        return Lowered(name, int(not error), found.get("lower_cpu_seconds"), size, error)
    program = PROGRAMS[name]
    about = (target, name, program.title, program.runs, program.split, program.iterations)
    if error:
        return Compiled(*about, 0, None, None, error=error)
    chip = estimates.CHIPS[target.partition(":")[0]]
    time = estimates.iteration(found, chip)
    return Compiled(
        *about,
        compiled=1,
        compile_cpu_seconds=found["compile_cpu_seconds"],
        collectives=found["collectives"],
        megabytes=estimates.bytes_per_chip(found) / 1e6,
        gigaflops=found["flops"] / 1e9,
        microseconds=1e6 * time.seconds,
        estimated_by=time.source,
        fitting=(
            estimates.runs_that_fit(found, program.runs, chip) if program.split == "runs" else None
        ),
        effort=program.effort,
    )


def derive(record: ex.Record) -> list[Cost]:
    """The plan of every program that compiles for four chips."""
    costs = []
    for row in record.of(Compiled):
        if row.target != SMALL or row.microseconds is None:
            continue
        seconds = row.microseconds / 1e6
        hours = [
            estimates.sweep_hours(seconds, row.runs, row.iterations, SWEEP_RUNS, chips)
            for chips in CHIP_COUNTS
        ]
        costs.append(Cost(row.program, row.title, row.iterations, *hours, by=row.estimated_by))
    return costs


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Hours of a sweep on 1, 4 and 256 chips, one line for each program."""
    costs = sorted(records["paper"].of(Cost), key=lambda cost: cost.hours_1)
    figure, (axis,) = plots.subplots(width=7, height=0.19 * len(costs) + 1)
    for marker, chips in zip(plots.MARKERS, CHIP_COUNTS, strict=False):
        hours = [getattr(cost, f"hours_{chips}") for cost in costs]
        axis.plot(hours, range(len(costs)), marker, label=f"{chips} chip" + "s" * (chips > 1))
    axis.set_yticks(range(len(costs)), [cost.title for cost in costs], fontsize=7)
    axis.set(xscale="log", xlabel="estimated hours of 4,096 runs, v5e")
    axis.legend(fontsize=7)
    return {"sweep_of_4096_runs": figure}


def recompute(config: Config, row: Any, data: ex.Data) -> dict[str, float] | None:
    """Compile or lower again; None where libtpu is missing."""
    is_tpu = isinstance(row, Compiled)
    if importlib.util.find_spec("libtpu") is None:
        return None
    trial = (row.program, row.target if is_tpu else CUDA)
    with tempfile.TemporaryDirectory() as folder:
        (again,) = _rows(Path(folder), [trial], [trial])
    fields = ("compiled", "compile_cpu_seconds", "collectives") if is_tpu else ("lowered",)
    return {name: getattr(again, name) for name in fields}


EXPERIMENT = ex.of_module(
    __name__,
    (Cost, Compiled, Lowered),
    {
        "paper": Config(),
        "smoke": Config(_ONE, _ONE, (), _ONE),
    },
    batch=lambda trial: trial[0],
    data="none",
    free=("small", "pod", "newer", "cuda"),
    headline="devices.tpu.compiled",
    notes="estimates come from a compiler and published peaks; nothing ran on a TPU or GPU",
)
