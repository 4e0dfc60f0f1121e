"""`fewbits ratedist`: bounds, curves and codes for a source or an array of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from fewbits import cli, flags
from fewbits.coding import InputError
from fewbits.io import outputs
from fewbits.io.progress import Bar
from ratedist.channels import commands as channel_commands
from ratedist.codes import commands as coding_commands
from ratedist.datafiles import UserSource, read_source, table

_LARGEST_SOURCE = 2048


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("python -m ratedist"), arguments)


def _bound(options: argparse.Namespace) -> cli.Result:
    import ratedist

    _check_tolerance(options.tolerance)
    user = _small(read_source(options.source), options.source)
    p, d = user.source.p, _distances(user)
    names, rules = _rules(options, user, p, d)
    point = ratedist.solve_fixed(p, d, tuple(rules), tol_bits=options.tolerance)
    _check_reached(point, [flag for flag, _ in names], rules)
    _check_certified(point.gap_bits, options.tolerance)
    lines = [
        f"rate: {float(point.rate_lb):.9f} to {float(point.rate_ub):.9f} bits per letter, "
        f"certified; gap {float(point.gap_bits):.2g} bits"
    ]
    found: dict[str, Any] = {
        "rate_lower_bits": point.rate_lb,
        "rate_upper_bits": point.rate_ub,
        "gap_bits": point.gap_bits,
        "constraints": [],
        "any_codebook_lower_bits": None,
    }
    for (_, name), reached, price, slack in zip(
        names, point.distortion, point.nu, point.vacuous, strict=True
    ):
        said = f"price {float(price):.6g} bits per unit"
        if np.isnan(price):
            said = "price not determined: R(D) has no single slope here"
        elif slack:
            said += "; the constraint is slack: the rate is the same without it"
        lines.append(f"{name}: {float(reached):.9g}, {said}")
        found["constraints"].append(
            {
                "name": name,
                "distortion": reached,
                "price_bits_per_unit": price,
                "slack": bool(slack),
            }
        )
    dimension = user.source.points.shape[1]
    known = np.isfinite(point.dual).all() and not options.constraint
    if user.codebook is None and dimension <= 3 and known:
        everywhere = ratedist.certificate_for_all_codebooks(
            p, user.source.points, user.source.points, rules, point.dual, point.q, slack_bits=1e-6
        )
        found["any_codebook_lower_bits"] = max(everywhere, 0.0)
        lines.append(f"over all reconstruction points: at least {max(everywhere, 0.0):.9f} bits")
    return cli.Result(found, "\n".join(lines))


def _rules(
    options: argparse.Namespace, user: UserSource, p: np.ndarray, d: np.ndarray
) -> tuple[list[tuple[str, str]], list[Any]]:
    """The flag and the name of each constraint, and the constraints."""
    import ratedist

    names, rules = [], []
    if options.distortion is not None:
        _check_level(options.distortion, "--distortion")
        names.append(("--distortion", "mean distortion"))
        rules.append(ratedist.mean_distortion(p, options.distortion))
    if options.subset is not None:
        if user.subset is None:
            raise InputError(f"{options.source} has no array 'subset' for --subset to apply to")
        _check_level(options.subset, "--subset")
        names.append(("--subset", "distortion within the subset"))
        rules.append(ratedist.subset_mean(p, user.subset, options.subset))
    for name, level in options.constraint:
        names.append((f"--constraint {name}", f"mean {name}"))
        own = table(user.arrays, name, d.shape, options.source)
        rules.append(ratedist.mean_distortion(p, level, d=own))
    if not rules:
        raise InputError("nothing is bounded: give --distortion, --subset or --constraint")
    return names, rules


def _check_reached(point: Any, flags: list[str], rules: list[Any]) -> None:
    bad = [flag for flag, no in zip(flags, point.infeasible, strict=True) if no]
    if len(bad) > 1 and any(rule.d is not None for rule in rules):
        raise InputError(f"{', '.join(bad)}: no encoder reaches these levels together; raise one")
    if bad:
        least = point.distortion[flags.index(bad[0])]
        raise InputError(f"{bad[0]}: no encoder reaches it; this codebook reaches {least:.6g}")


def _constraint(text: str) -> tuple[str, float]:
    name, _, level = text.partition("=")
    if not name or not level:
        raise argparse.ArgumentTypeError(f"{text!r}: give NAME=LEVEL, an array and a number")
    try:
        value = float(level)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: {level!r} is not a number") from None
    if not np.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: a level is finite")
    return name, value


def _curve(options: argparse.Namespace) -> cli.Result | None:
    import ratedist

    _check_tolerance(options.tolerance)
    save = None
    if options.output is not None:
        save = outputs.saver(
            options.output, inputs=[options.source], force=options.force, show=True
        )
    user = _small(read_source(options.source), options.source)
    d, p = _distances(user), user.source.p
    low, high = float(p @ d.min(axis=1)), float((p @ d).min())
    if options.distortions is None:
        levels = low + (high - low) * (np.arange(options.points) + 0.5) / options.points
    else:
        levels = np.array(options.distortions)
        for level in levels:
            _check_level(level, "--distortions")
            if level < low:
                raise InputError(f"--distortions {level:g}: this codebook reaches {low:.6g}")
    with Bar("curve", quiet=options.quiet):
        points = ratedist.curve(p, d, levels, tol_bits=options.tolerance)
    for level, gap in zip(levels, points.gap_bits, strict=True):
        _check_certified(gap, options.tolerance, f" at distortion {level:g}")
    rows = ["distortion,rate_lower_bits,rate_upper_bits,gap_bits,price_bits_per_unit"]
    for i in range(levels.size):
        rows.append(
            f"{points.distortion[i, 0]:.9g},{points.rate_lb[i]:.9f},{points.rate_ub[i]:.9f},"
            f"{points.gap_bits[i]:.2g},{points.nu[i, 0]:.6g}"
        )
    if save is not None:
        save(("\n".join(rows) + "\n").encode())
        if outputs.is_stream(options.output):
            return None
    values = [
        {
            "distortion": points.distortion[i, 0],
            "rate_lower_bits": points.rate_lb[i],
            "rate_upper_bits": points.rate_ub[i],
            "gap_bits": points.gap_bits[i],
            "price_bits_per_unit": points.nu[i, 0],
        }
        for i in range(levels.size)
    ]
    return cli.Result(values, "\n".join(rows))


def _small(user: UserSource, path: Path) -> UserSource:
    size = len(user.source.p)
    if size > _LARGEST_SOURCE:
        raise InputError(
            f"{path}: {size:,} distinct letters, at most {_LARGEST_SOURCE:,}; round them to a grid "
            "or give points and p (`encode` prints a bound for any number of samples)"
        )
    return user


def _distances(user: UserSource) -> np.ndarray:
    from ratedist.sources import squared_error

    codebook = user.source.points if user.codebook is None else user.codebook
    with np.errstate(over="ignore"):
        d = squared_error(user.source.points, codebook)
    if not np.isfinite(d).all():
        raise InputError("squared distances between the letters overflow; rescale the letters")
    return d


def _check_certified(gap: Any, tolerance: float, where: str = "") -> None:
    """Nothing is printed that is not certified: bounds that do not meet, or are not numbers."""
    if not gap <= tolerance:
        raise InputError(
            f"not certified{where}: the bounds are {float(gap):.2g} bits apart, more than "
            f"{tolerance:g}; ask for a larger --tolerance, or rescale the letters"
        )


def _check_tolerance(tolerance: float) -> None:
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise InputError(f"--tolerance {tolerance}: a positive number of bits")


def _check_level(level: float, name: str) -> None:
    if not (np.isfinite(level) and level >= 0):
        raise InputError(f"{name} {level}: a distortion is finite and not negative")


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog)
    commands = whole.add_subparsers()

    def verb(name: str, purpose: str, run: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=purpose, description=purpose)
        sub.set_defaults(run=run)
        return sub

    def source_of(sub: argparse.ArgumentParser) -> None:
        held = "arrays `samples`, or `points` and `p`; optionally `subset` and `codebook`"
        sub.add_argument("source", type=Path, metavar="SOURCE.npz", help=held)
        sub.add_argument(
            "--tolerance", type=float, default=1e-6, metavar="BITS", help="gap to certify"
        )

    bound = verb("bound", "print the certified rate at a distortion (squared error)", _bound)
    source_of(bound)
    bound.add_argument(
        "--distortion", type=float, metavar="D", help="mean squared error allowed (default: any)"
    )
    bound.add_argument(
        "--subset", type=float, metavar="D",
        help="mean squared error allowed within `subset` (default: not restricted)",
    )  # fmt: skip
    bound.add_argument(
        "--constraint", type=_constraint, action="append", default=[], metavar="NAME=LEVEL",
        help="largest mean of another distortion, whose table (letters x codewords) is the array "
        "NAME; may be repeated (default: none)",
    )  # fmt: skip
    flags.add_common(bound)

    curve = verb("curve", "print certified rates at many distortions, as CSV", _curve)
    source_of(curve)
    curve.add_argument(
        "--points", type=int, default=16, choices=range(1, 257), metavar="N",
        help="how many, 1 to 256, evenly spaced",
    )  # fmt: skip
    curve.add_argument(
        "--distortions", type=flags.numbers, metavar="D,D,...",
        help="these instead (default: --points)",
    )  # fmt: skip
    flags.add_output(
        curve, "--output", metavar="OUT.csv", help="file to write as well (default: none)"
    )
    flags.add_common(curve, quiet=True)

    channel_commands.add(verb)
    coding_commands.add(verb)
    return whole
