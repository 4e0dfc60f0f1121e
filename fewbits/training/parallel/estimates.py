"""From what a compiler says about an iteration to the time of a sweep: estimates.

Where the compiler's `optimal_seconds` is positive it is the time of an iteration. It is negative
where a program has a loop whose length is not known; then the time is the larger of operations and
bytes over the chip's published peaks (a roofline), each loop's body counted once.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Chip(NamedTuple):
    """Published peaks of a chip.

    Attributes:
      flops: a second, of products of bfloat16 summed in float32, as float32 ones run by default.
      bytes_per_second: of its memory.
      memory_bytes: of its memory.
    """

    flops: float
    bytes_per_second: float
    memory_bytes: float


CHIPS = {"v5e": Chip(197e12, 819e9, 16e9), "v6e": Chip(918e12, 1640e9, 32e9)}
MEMORY_SHARE = 0.9
"""Of a chip's memory that runs may fill."""
BY_COMPILER, BY_ROOFLINE = "compiler", "roofline"


class Iteration(NamedTuple):
    """An iteration on one chip.

    Attributes:
      seconds: of all runs that the chip has side by side.
      source: `BY_COMPILER` or `BY_ROOFLINE`.
    """

    seconds: float
    source: str


def iteration(found: dict[str, Any], chip: Chip) -> Iteration:
    """The time of an iteration."""
    if found["optimal_seconds"] > 0:
        return Iteration(found["optimal_seconds"], BY_COMPILER)
    arithmetic = found["flops"] / chip.flops
    return Iteration(max(arithmetic, found["bytes_accessed"] / chip.bytes_per_second), BY_ROOFLINE)


def bytes_per_chip(found: dict[str, Any]) -> int:
    """Arguments, results and temporaries; what a result takes over from an argument counts once."""
    parts = ("argument_bytes", "output_bytes", "temporary_bytes")
    return sum(found[part] for part in parts) - found["aliased_bytes"]


def runs_that_fit(found: dict[str, Any], runs: int, chip: Chip) -> int:
    """Runs side by side on one chip, if their memory grows in proportion to their number."""
    each = (bytes_per_chip(found) - found["shared_bytes"]) / runs
    return int((MEMORY_SHARE * chip.memory_bytes - found["shared_bytes"]) // each)


def sweep_hours(per_iteration: float, runs: int, iterations: int, of: int, chips: int) -> float:
    """Hours of `of` runs on so many chips, each of which has `runs` of them at a time."""
    batches = -(-of // (runs * chips))
    return batches * iterations * per_iteration / 3600
