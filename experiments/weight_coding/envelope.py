"""Bytes that the container adds to a file.

A file of two sections, measured as `fewbits account` does; at most 64 bytes are allowed.

Cost: 1 s.
Data: none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from experiments.runner.experiment import Artifact, Claim, Column, Data, Over, of_module
from fewbits import coding

_SECTIONS = {"symbols": bytes(64), "tables": bytes(16)}


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


class Row(NamedTuple):
    """The container's own bytes."""

    file_bytes: Annotated[int, Column("file")]
    payload_bytes: Annotated[int, Column("payload of two sections")]
    overhead_bytes: Annotated[
        int, Over(max, "bytes"), Column("overhead"), Claim("coding.container.overhead_bytes", 0.0)
    ]
    file: Annotated[Path, Artifact]


def measure(config: Config, trials: list, data: Data) -> list[Row]:
    """Write such a file and count what is neither section nor header."""
    path = data.path("two_sections.bin")
    coding.save(path, coding.write_archive("measurement", {}, _SECTIONS))
    payload = sum(map(len, _SECTIONS.values()))
    return [Row(path.stat().st_size, payload, _overhead(path), path)]


def recompute(config: Config, row: Row, data: Data) -> float:
    return _overhead(row.file)


def _overhead(path: Path) -> int:
    parts = coding.account(path)
    return sum(row.size_bytes for row in parts if not row.part.startswith("section"))


EXPERIMENT = of_module(
    __name__,
    Row,
    {"default": Config()},
    data="two sections of 64 and 16 bytes, empty header",
)
