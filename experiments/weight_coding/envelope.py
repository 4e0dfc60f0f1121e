"""Bytes that the container adds to a file.

A file of two sections, measured as `fewbits account` does; at most 64 bytes are allowed.

Cost: 1 s.
Data: none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from experiments.runner import experiment as ex
from fewbits import coding


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


class Row(NamedTuple):
    """The container's own bytes."""

    file_bytes: Annotated[int, ex.Column("file")]
    payload_bytes: Annotated[int, ex.Column("payload of two sections")]
    overhead_bytes: Annotated[int, ex.Over(max, "bytes"), ex.Column("overhead"),
                              ex.Claim("coding.container.overhead_bytes", 0.0)]  # fmt: skip
    file: Annotated[Path, ex.Artifact]


def measure(config: Config, trials: list, data: ex.Data) -> list[Row]:
    """Write such a file and count what is neither section nor header."""
    path, sections = data.path("two_sections.bin"), {"symbols": bytes(64), "tables": bytes(16)}
    coding.save(path, coding.write_archive("measurement", {}, sections))
    return [Row(path.stat().st_size, 64 + 16, overhead(path), path)]


def overhead(path: Path) -> int:
    parts = coding.account(path)
    return sum(row.size_bytes for row in parts if not row.part.startswith("section"))


EXPERIMENT = ex.of_module(
    __name__, Row, {"default": Config()}, data="two sections of 64 and 16 bytes, empty header",
    recompute=lambda config, row, data: overhead(row.file),
)  # fmt: skip
