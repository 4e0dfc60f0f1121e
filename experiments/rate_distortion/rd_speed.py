"""Speed to a certified point, against CVXPY with Clarabel and against dit.

Runs the parts of `benchmarks.ratedist_solvers`, each in a subprocess. dit is not a dependency: name
an interpreter that has it (`--dit-python PATH`), and it is measured too. Preset `eager`: plain
calls, nothing is compiled, against one start of dit in the same run.

Cost: paper: 2 min, eager: 20 s on 1 core; smoke: 30 s.
Data: none.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from experiments.runner import experiment as ex
from experiments.runner import subprocesses

COMPILED = {
    "clarabel_64": "64 x 64, D = 0.5, against CVXPY + Clarabel",
    "dit_64": "64 x 64, one slope, against dit as it comes, 100 starts",
    "1000x1000": "1000 x 1000, D = 0.5",
    "sweep32_256": "256 x 256, 32 slopes at once",
}
PLAIN = {"first_64": "D = 0.5", "eager_64": "one slope, to the gap of dit"}


@dataclass(frozen=True)
class Config:
    parts: tuple[str, ...] = tuple(COMPILED)
    dit_python: str | None = None
    """Interpreter that can import dit; None leaves that comparison out."""


class Compiled(NamedTuple):
    """Speed to a certified point.

    Medians of warm calls; the gap of the other is computed from its own solution by the same
    certificate. Only ratios can be compared between machines, and `verify` allows for a busy one.
    """

    part: str
    problem: Annotated[str, ex.Key]
    seconds: Annotated[
        float, ex.Over(max, "s"), ex.Column("ours, s", ".4g"),
        ex.Claim("ratedist.seconds.{name}", tolerance=20.0, when=lambda row: row.speedup is None),
    ]  # fmt: skip
    gap_bits: Annotated[float, ex.Column("gap, bits", ".1e")]
    other_seconds: Annotated[float | None, ex.Column("theirs, s", ".3g")]
    other_gap_bits: Annotated[float | None, ex.Column("their gap, bits", ".1e")]
    speedup: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("times faster", ".0f"),
        ex.Claim("ratedist.speedup_vs_{name}", tolerance=1200.0),
    ]  # fmt: skip
    speedup_single_start: Annotated[float | None, ex.Column("times faster than one start", ".0f")]

    @property
    def name(self) -> str:
        """Of the claim."""
        return self.part.replace("_", ".")


class Plain(NamedTuple):
    """Seconds on 64 x 64: of the first call of a process, and of the fastest of 30 later ones."""

    problem: Annotated[str, ex.Key]
    seconds: Annotated[float, ex.Column("a later call, s", ".5f")]
    gap_bits: Annotated[float, ex.Column("gap, bits", ".1e")]
    first_seconds: Annotated[
        float | None, ex.Over(max, "s"), ex.Column("first call, s", ".3f"),
        ex.Claim("ratedist.eager.first_call_seconds", tolerance=1.5),
    ]  # fmt: skip
    dit_seconds: Annotated[float | None, ex.Column("dit, one start, s", ".5f")]
    dit_gap_bits: Annotated[float | None, ex.Column("gap of dit, bits", ".1e")]
    times_faster: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("times faster", ".1f"),
        ex.Claim("ratedist.eager.second_call_vs_dit", tolerance=3.0),
    ]  # fmt: skip


def grid(config: Config) -> Iterator[tuple[str]]:
    """The parts that can be measured."""
    needs_dit = ("dit_64", "eager_64")
    return ((part,) for part in config.parts if part not in needs_dit or config.dit_python)


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Compiled | Plain]:
    ((part,),) = trials
    return [_row(part, config.dit_python)]


def _row(part: str, dit_python: str | None) -> Compiled | Plain:
    """One part of `benchmarks.ratedist_solvers`, measured in a subprocess."""
    dit = [] if dit_python is None else ["--dit-python", dit_python]
    printed = subprocesses.python("benchmarks.ratedist_solvers", ["--only", part, *dit])
    found = json.loads(printed)[part]
    ours = (found["seconds"], found["gap_bits"])
    if part in PLAIN:
        others = ("first_call_seconds", "dit_seconds", "dit_gap_bits", "speedup")
        return Plain(PLAIN[part], *ours, *map(found.get, others))
    other = part.split("_")[0]
    others = (f"{other}_seconds", f"{other}_gap_bits", "speedup", "speedup_single_start")
    return Compiled(part, COMPILED[part], *ours, *map(found.get, others))


def recompute(
    config: Config, row: Compiled | Plain, data: ex.Data
) -> dict[str, float | None] | None:
    """Measure again; not against dit, whose interpreter the record does not know."""
    part = row.part if isinstance(row, Compiled) else "first_64"
    if part == "dit_64" or (isinstance(row, Plain) and row.first_seconds is None):
        return None
    again = _row(part, None)._asdict()
    # A busy machine slows the other down more: only a smaller ratio speaks against the claim.
    if isinstance(row, Compiled) and row.speedup is not None:
        again["speedup"] = min(again["speedup"], row.speedup)
    return again


EXPERIMENT = ex.of_module(
    __name__,
    (Compiled, Plain),
    {
        "paper": Config(),
        "eager": Config(parts=tuple(PLAIN)),
        "smoke": Config(parts=("sweep32_256", "first_64")),
    },
    data="synthetic sources",
    headline="ratedist.seconds.1000x1000",
    notes="medians of warm calls, or the fastest of 30 plain ones; only ratios can be compared "
    "between machines",
)
