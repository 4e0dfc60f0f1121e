"""What the container adds to a file of two sections: at most 64 bytes are allowed.

python -m experiments envelope
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table
from fewbits.coding import account, container, write_archive

_SECTIONS = {"symbols": bytes(64), "tables": bytes(16)}


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


PRESETS = {"default": ("a file of two sections", Config())}


def run(config: Config, run: Run) -> None:
    """Write such a file and count what is neither section nor header."""
    path = run.artifacts / "two_sections.bin"
    container.save(path, write_archive("measurement", {}, _SECTIONS))
    overhead = _overhead(path)
    record = write_record(
        run,
        "default",
        config=config,
        seeds=[],
        seconds=Seconds(0.0, 0.0),
        metrics={"overhead_bytes": overhead, "file_bytes": path.stat().st_size},
        data="two sections of 64 and 16 bytes, empty header",
    )
    write_claims(
        run,
        [
            Claim(
                id="coding.container.overhead_bytes",
                value=overhead,
                std=None,
                seeds=1,
                unit="bytes",
                tolerance=0.0,
                bytes=path.stat().st_size,
                artifact=path.name,
                record=f"envelope/{record.name}",
                command=run.command,
            )
        ],
    )
    print(f"{overhead} bytes")


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """One row."""
    metrics = records["default"]["metrics"]
    row = (metrics["file_bytes"], sum(map(len, _SECTIONS.values())), metrics["overhead_bytes"])
    return [
        Table("The container's own bytes", ("file", "payload of two sections", "overhead"), [row])
    ]


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Count again."""
    return _overhead(artifact)


def _overhead(path: Path) -> int:
    parts = account(path)
    return sum(row.size_bytes for row in parts if not row.part.startswith("section"))
