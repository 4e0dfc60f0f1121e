"""Plain calls of the solver against one start of dit, in one run: nothing is compiled.

Runs parts of `benchmarks.ratedist_solvers`, in a subprocess. dit is not a dependency: name an
interpreter that has it (`--dit-python PATH`).

Cost: paper: 20 s on 1 core; smoke: 10 s.
Data: none.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from experiments.rate_distortion import rd_speed
from experiments.runner import experiment as ex


@dataclass(frozen=True)
class Config:
    dit_python: str | None = None
    """Interpreter that can import dit; None leaves that comparison out."""


class Row(NamedTuple):
    """Seconds on 64 x 64: of the first call of a process, and of the fastest of 30 later ones."""

    problem: Annotated[str, ex.Key]
    seconds: Annotated[float, ex.Column("a later call, s", ".5f")]
    gap_bits: Annotated[float, ex.Column("gap, bits", ".1e")]
    first_seconds: Annotated[
        float | None, ex.Over(max, "s"), ex.Column("first call, s", ".3f"),
        ex.Claim("ratedist.eager.first_call_seconds", tolerance=1.5),
    ] = None  # fmt: skip
    dit_seconds: Annotated[float | None, ex.Column("dit, one start, s", ".5f")] = None
    dit_gap_bits: Annotated[float | None, ex.Column("gap of dit, bits", ".1e")] = None
    times_faster: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("times faster", ".1f"),
        ex.Claim("ratedist.eager.second_call_vs_dit", tolerance=3.0),
    ] = None  # fmt: skip


def grid(config: Config) -> list[tuple[str]]:
    """The parts that can be measured."""
    return [("first_64",)] + ([("eager_64",)] if config.dit_python else [])


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Row]:
    ((part,),) = trials
    found = rd_speed.benchmark(part, config.dit_python)
    return [
        Row(
            "D = 0.5" if part == "first_64" else "one slope, to the gap of dit",
            found["seconds"],
            found["gap_bits"],
            found.get("first_call_seconds"),
            found.get("dit_seconds"),
            found.get("dit_gap_bits"),
            found.get("speedup"),
        )
    ]


def recompute(config: Config, row: Row, data: ex.Data) -> dict[str, float] | None:
    """Measure again; not against dit, whose interpreter the record does not know."""
    if row.first_seconds is None:
        return None
    again = measure(config, [("first_64",)], data)[0].first_seconds
    return {"first_seconds": again or 0.0}


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {"paper": Config(), "smoke": Config()},
    data="a synthetic source",
    notes="the fastest of 30 calls; only ratios can be compared between machines",
)
