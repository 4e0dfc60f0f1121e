"""How fast certified points are found: ratios to CVXPY with Clarabel and to dit, in one run.

Runs `benchmarks.ratedist_solvers` in a process of its own. dit is not a dependency; name an
interpreter that has it, and its row is measured too.

    python -m experiments rd_speed paper --dit-python PATH
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from experiments.runner import subprocesses
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    dit_python: str | None = None
    """Interpreter that can import dit; None leaves that comparison out."""


PRESETS = {"paper": ("all comparisons; dit where an interpreter is named", Config())}

_CLAIMS = (
    ("speedup_vs_clarabel.64", "clarabel_64", "speedup", "times"),
    ("speedup_vs_dit.64", "dit_64", "speedup", "times"),
    ("seconds.1000x1000", "1000x1000", "seconds", "s"),
    ("seconds.sweep32.256", "sweep32_256", "seconds", "s"),
)


def run(config: Config, run: Run) -> None:
    """Measure in a fresh process, record, claim."""
    began = time.perf_counter()
    arguments = [] if config.dit_python is None else ["--dit-python", config.dit_python]
    measured = json.loads(subprocesses.python("benchmarks.ratedist_solvers", arguments))
    record = write_record(
        run,
        run.preset,
        # Where an interpreter lies is the machine's business, not part of what ran.
        config=Config(),
        seeds=(),
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics=measured,
        data="synthetic sources",
        notes="medians of warm calls; only ratios can be compared between machines",
    )
    claims = [
        Claim(
            id=f"ratedist.{name}",
            value=measured[part][field],
            std=None,
            seeds=1,
            unit=unit,
            record=f"rd_speed/{record.name}",
            command="python -m experiments rd_speed paper",
        )
        for name, part, field, unit in _CLAIMS
        if measured[part] is not None
    ]
    write_claims(run, claims)
    print(json.dumps(measured, indent=1))


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Seconds, ratios and gaps."""
    if "paper" not in records:
        return []
    metrics = records["paper"]["metrics"]
    rows = []
    for part, title in (
        ("clarabel_64", "64 x 64, D = 0.5, against CVXPY + Clarabel"),
        ("dit_64", "64 x 64, one slope, against dit as it comes"),
        ("1000x1000", "1000 x 1000, D = 0.5"),
        ("sweep32_256", "256 x 256, 32 slopes at once"),
    ):
        found = metrics[part]
        if found is None:
            continue
        other = part.split("_")[0]
        theirs = found.get(f"{other}_seconds")
        if other == "dit":
            title += f", 100 starts (one start: {found['speedup_single_start']:.0f} times)"
        rows.append(
            (
                title,
                f"{found['seconds']:.4g}",
                f"{found['gap_bits']:.1e}",
                "" if theirs is None else f"{theirs:.3g}",
                "" if theirs is None else f"{found[f'{other}_gap_bits']:.1e}",
                "" if theirs is None else f"{found['speedup']:.0f}",
            )
        )
    return [
        Table(
            "Speed to a certified point",
            ("problem", "ours, s", "gap, bits", "theirs, s", "their gap, bits", "times faster"),
            rows,
            "Warm calls; the gap of the other is computed from its own solution by the same "
            "certificate.",
        )
    ]
