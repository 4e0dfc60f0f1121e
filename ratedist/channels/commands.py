"""`fewbits ratedist capacity`: the capacity of a channel in a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fewbits import cli, flags
from fewbits.coding import InputError
from fewbits.io.arrays import read_arrays


def add(verb: Callable[[str, str, Any], argparse.ArgumentParser]) -> None:
    """Declares the command."""
    sub = verb(
        "capacity", "print the certified capacity of a channel, with or without a cost", _run
    )
    held = "array `channel` (inputs x outputs, rows sum to 1); optionally `cost`, one per input"
    sub.add_argument("source", type=Path, metavar="CHANNEL.npz", help=held)
    sub.add_argument(
        "--budget", type=float, metavar="B", help="largest expected cost (default: any)"
    )
    flags.add_common(sub)


def _run(options: argparse.Namespace) -> cli.Result:
    import ratedist

    arrays = read_arrays(options.source)
    if "channel" not in arrays:
        held = ", ".join(arrays) or "nothing"
        raise InputError(f"{options.source} holds {held}; save channel=... (inputs x outputs)")
    cost = None
    if options.budget is not None:
        if "cost" not in arrays:
            raise InputError(f"{options.source} has no array 'cost' for --budget to apply to")
        cost = arrays["cost"]
    try:
        point = ratedist.capacity_point(arrays["channel"], cost, options.budget)
    except (ValueError, TypeError) as error:
        raise InputError(f"{options.source}: {error}") from error
    if not point.gap_bits <= 1e-6:
        raise InputError(
            f"{options.source}: not certified, the bounds are {point.gap_bits:.2g} bits apart"
        )
    lines = [
        f"capacity: {point.capacity_lb:.9f} to {point.capacity_ub:.9f} bits per use, certified; "
        f"gap {point.gap_bits:.2g} bits",
        "input distribution: " + " ".join(f"{x:.6g}" for x in point.p),
    ]
    if options.budget is not None:
        lines.append(f"cost: {point.cost:.9g}, price {point.price:.6g} bits per unit of budget")
    return cli.Result(
        {
            "capacity_lower_bits": point.capacity_lb,
            "capacity_upper_bits": point.capacity_ub,
            "gap_bits": point.gap_bits,
            "input_distribution": point.p,
            "cost": point.cost,
            "price_bits_per_unit": point.price,
        },
        "\n".join(lines),
    )
