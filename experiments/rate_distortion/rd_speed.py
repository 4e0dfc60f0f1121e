"""Speed to a certified point, against CVXPY with Clarabel and against dit.

Runs the parts of `benchmarks.ratedist_solvers`, each in a subprocess. dit is not a dependency: name
an interpreter that has it (`--dit-python PATH`), and it is measured too.

Cost: paper: 2 min on 1 core; smoke: 30 s.
Data: none.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from experiments.runner import experiment as ex
from experiments.runner import subprocesses

TITLES = {
    "clarabel_64": "64 x 64, D = 0.5, against CVXPY + Clarabel",
    "dit_64": "64 x 64, one slope, against dit as it comes, 100 starts",
    "1000x1000": "1000 x 1000, D = 0.5",
    "sweep32_256": "256 x 256, 32 slopes at once",
}


@dataclass(frozen=True)
class Config:
    parts: tuple[str, ...] = tuple(TITLES)
    dit_python: str | None = None
    """Interpreter that can import dit; None leaves that comparison out."""


class Row(NamedTuple):
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
    other_seconds: Annotated[float | None, ex.Column("theirs, s", ".3g")] = None
    other_gap_bits: Annotated[float | None, ex.Column("their gap, bits", ".1e")] = None
    speedup: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("times faster", ".0f"),
        ex.Claim("ratedist.speedup_vs_{name}", tolerance=1200.0),
    ] = None  # fmt: skip
    speedup_single_start: Annotated[
        float | None, ex.Column("times faster than one start", ".0f")
    ] = None

    @property
    def name(self) -> str:
        """Of the claim."""
        return self.part.replace("_", ".")


def grid(config: Config) -> Iterator[tuple[str]]:
    """The parts that can be measured."""
    return ((part,) for part in config.parts if part != "dit_64" or config.dit_python)


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Row]:
    ((part,),) = trials
    return [row_of(part, benchmark(part, config.dit_python))]


def benchmark(part: str, dit_python: str | None) -> dict[str, float]:
    """One part of `benchmarks.ratedist_solvers`, measured in a subprocess."""
    dit = [] if dit_python is None else ["--dit-python", dit_python]
    printed = subprocesses.python("benchmarks.ratedist_solvers", ["--only", part, *dit])
    return json.loads(printed)[part]


def row_of(part: str, found: dict[str, float]) -> Row:
    """A part of the benchmark's result as a row."""
    other = part.split("_")[0]
    return Row(
        part,
        TITLES[part],
        found["seconds"],
        found["gap_bits"],
        found.get(f"{other}_seconds"),
        found.get(f"{other}_gap_bits"),
        found.get("speedup"),
        found.get("speedup_single_start"),
    )


def recompute(config: Config, row: Row, data: ex.Data) -> dict[str, float] | None:
    """Measure again; not against dit, whose interpreter the record does not know."""
    if row.part == "dit_64":
        return None
    again = measure(config, [(row.part,)], data)[0]
    if again.speedup is None:
        return {"seconds": again.seconds}
    # A busy machine slows the other down more: only a smaller ratio speaks against the claim.
    return {"speedup": min(again.speedup, row.speedup or 0.0)}


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {"paper": Config(), "smoke": Config(parts=("sweep32_256",))},
    data="synthetic sources",
    notes="medians of warm calls; only ratios can be compared between machines",
)
