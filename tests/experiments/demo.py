"""Table 1.

Longer words.

Cost: 1 s.
Data: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from matplotlib.figure import Figure

from experiments.runner import experiment as ex
from experiments.runner import records, registry
from experiments.runner.run import run

ENTRY = registry.Entry("tests.experiments.demo", "table 1", "1 s", "none")


class Row(NamedTuple):
    """T."""

    a: Annotated[int, ex.Key]
    b: Annotated[float, ex.Over(max, "%"), ex.Claim("a", tolerance=0.5)]
    file: Annotated[Path | None, ex.Artifact()] = None


@dataclass(frozen=True)
class Config:
    """What the file holds."""

    b: float = 95.5


def measure(config: Config, trials, data: ex.Data) -> list[Row]:
    path = data.path("f.txt")
    path.write_text(str(config.b))
    return [Row(1, config.b, path)]


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    assert row.file is not None
    return float(row.file.read_text())


EXPERIMENT = ex.Experiment(
    Row, {"paper": Config()}, measure, recompute=recompute,
    figures=lambda records: {"fig": Figure()},
    name="demo",
)  # fmt: skip


def publish(folder: Path, results: Path, b: float = 95.5) -> None:
    """A run of the demo with this number, in `results`."""
    run(EXPERIMENT, "paper", Config(b), folder=folder, command="python -m experiments demo")
    records.publish(folder, results)
