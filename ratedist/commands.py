"""`fewbits ratedist`: bounds, curves and codes for a source or an array of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fewbits import cli
from fewbits.coding import InputError, container
from fewbits.io import outputs
from ratedist.datafiles import UserSource, read_numbers, read_source

_LARGEST_SOURCE = 2048
_GROUPS = 512


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("python -m ratedist"), arguments)


def _bound(options: argparse.Namespace) -> None:
    import ratedist

    if not (np.isfinite(options.tolerance) and options.tolerance > 0):
        raise InputError(f"--tolerance {options.tolerance}: a positive number of bits")
    user = _small(read_source(options.source), options.source)
    p, rules = user.source.p, [_rule(user, options.distortion)]
    if options.subset is not None:
        if user.subset is None:
            raise InputError(f"{options.source} has no array 'subset' for --subset to apply to")
        _check_level(options.subset, "--subset")
        rules.append(ratedist.subset_mean(p, user.subset, options.subset))
    d = _distances(user)
    point = ratedist.compiled(ratedist.solve_fixed)(p, d, tuple(rules), tol_bits=options.tolerance)
    for name, impossible in zip(("--distortion", "--subset"), point.infeasible, strict=False):
        if impossible:
            least = _smallest(rules[0 if name == "--distortion" else 1], d)
            raise InputError(f"{name}: no encoder reaches it; this codebook reaches {least:.6g}")
    print(f"rate: {float(point.rate_lb):.9f} to {float(point.rate_ub):.9f} bits per letter, "
          f"certified; gap {float(point.gap_bits):.2g} bits")  # fmt: skip
    for name, reached, price, slack in zip(
        ("mean distortion", "distortion within the subset"),
        point.distortion, point.nu, point.vacuous, strict=False,
    ):  # fmt: skip
        free = "; the constraint is slack: the rate is the same without it" if slack else ""
        print(f"{name}: {float(reached):.9g}, price {float(price):.6g} bits per unit{free}")
    if not point.converged:
        print(f"the bounds are valid, but {options.tolerance:g} bits were not reached")
    dimension = user.source.points.shape[1]
    if user.codebook is None and dimension <= 3 and np.isfinite(point.nu).all():
        everywhere = ratedist.certificate_for_all_codebooks(
            user.source.points, user.source.points, p, rules, point.nu, point.q, slack_bits=1e-6
        )
        print(f"over all reconstruction points: at least {max(everywhere, 0.0):.9f} bits")


def _curve(options: argparse.Namespace) -> None:
    import ratedist

    if options.output is not None:
        outputs.check_writable(options.output)
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
    points = ratedist.compiled(ratedist.curve)(p, d, levels)
    rows = ["distortion,rate_lower_bits,rate_upper_bits,gap_bits,price_bits_per_unit"]
    for i in range(levels.size):
        rows.append(
            f"{points.distortion[i, 0]:.9g},{points.rate_lb[i]:.9f},{points.rate_ub[i]:.9f},"
            f"{points.gap_bits[i]:.2g},{points.nu[i, 0]:.6g}"
        )
    print("\n".join(rows))
    if options.output is not None:
        container.save(options.output, ("\n".join(rows) + "\n").encode())


def _encode(options: argparse.Namespace) -> None:
    from fewbits.coding.units import empirical_entropy_bits
    from ratedist.codes import code_file, design
    from ratedist.solvers.rounded_source import bound, round_samples

    _check_level(options.distortion, "--distortion")
    if options.distortion == 0:
        raise InputError("--distortion 0: only a positive distortion can be aimed at")
    if not 1 <= options.dimension <= code_file.MAX_DIMENSION:
        raise InputError(f"--dimension {options.dimension}: 1 to {code_file.MAX_DIMENSION}")
    if options.code == "trellis" and options.dimension > 1:
        raise InputError("--code trellis codes single numbers: leave --dimension out")
    outputs.check_writable(options.output)
    values = read_numbers(options.input, options.array)
    level, flat = options.distortion, values.reshape(-1)
    if options.code == "trellis":
        code = design.with_trellis(flat, level)
    elif options.dimension > 1:
        code = design.vector(flat, level, options.dimension)
    else:
        code = design.scalar(flat, level)
    data = code_file.write(code._replace(shape=values.shape))
    # Measured on what the file decodes to, before there is a file.
    distortion = float(((code_file.read(data) - values) ** 2).mean())
    if distortion > level:
        raise InputError(
            f"distortion {level:g} is finer than single precision reaches here: {distortion:.3g}"
        )
    k = options.dimension
    certified = bound(round_samples(flat.reshape(-1, k), _GROUPS), k * distortion)
    container.save(options.output, data)
    bits, rate = 8 * len(data) / values.size, certified.rate_bits / k
    entropy = sum(empirical_entropy_bits(np.bincount(i)) * i.size for i in code.indices)
    scope = "all codebooks" if certified.any_codebook else "codebooks of its own centroids"
    print(f"{options.output}: {len(data):,} bytes for {values.size:,} numbers")
    print(f"distortion: {distortion:.6g} a number, measured on the decoded file; asked: {level:g}")
    print(f"rate: {bits:.4f} bits a number in the file, {entropy / values.size:.4f} in its indices")
    print(f"bound: {rate:.4f} bits for memoryless coding of {k} at a time, over {scope}")
    print(f"gap: {bits - rate:.4f} bits a number")


def _decode(options: argparse.Namespace) -> None:
    from ratedist.codes import code_file

    outputs.check_writable(options.output)
    values = code_file.read(container.load_bytes(options.input))
    temporary = options.output.with_name(f".{options.output.name}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, values=values)
        temporary.replace(options.output)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{options.output}: array 'values' of shape {values.shape}, float32")


def _small(user: UserSource, path: Path) -> UserSource:
    size = len(user.source.p)
    if size > _LARGEST_SOURCE:
        raise InputError(
            f"{path}: {size:,} distinct letters, at most {_LARGEST_SOURCE:,}; round them to a grid "
            "or give points and p (`encode` prints a bound for any number of samples)"
        )
    return user


def _rule(user: UserSource, level: float):
    from ratedist import mean_distortion

    _check_level(level, "--distortion")
    return mean_distortion(user.source.p, level)


def _distances(user: UserSource) -> np.ndarray:
    from ratedist.sources import squared_error

    codebook = user.source.points if user.codebook is None else user.codebook
    return squared_error(user.source.points, codebook)


def _smallest(rule, d: np.ndarray) -> float:
    return float(np.asarray(rule.weights) @ d.min(axis=1))


def _check_level(level: float, name: str) -> None:
    if not (np.isfinite(level) and level >= 0):
        raise InputError(f"{name} {level}: a distortion is finite and not negative")


def _levels(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="command")
    source_help = ".npz with samples, or points and p; optionally subset and codebook"

    bound = commands.add_parser("bound", help="certified rate at a distortion (squared error)")
    bound.add_argument("source", type=Path, metavar="SOURCE.npz", help=source_help)
    bound.add_argument("--distortion", type=float, required=True, help="mean squared error, D")
    bound.add_argument(
        "--subset", type=float, metavar="D", help="mean squared error within the file's `subset`"
    )
    bound.add_argument("--tolerance", type=float, default=1e-6, help="gap to certify, bits")
    bound.set_defaults(run=_bound)

    curve = commands.add_parser("curve", help="many certified points, as CSV")
    curve.add_argument("source", type=Path, metavar="SOURCE.npz", help=source_help)
    curve.add_argument("--points", type=int, default=16, choices=range(1, 257), metavar="1..256")
    curve.add_argument("--distortions", type=_levels, help="D1,D2,...; evenly spaced by default")
    curve.add_argument("--output", type=Path, help=".csv to write as well")
    curve.set_defaults(run=_curve)

    encode = commands.add_parser("encode", help="quantise an array to a distortion, as a file")
    encode.add_argument("input", type=Path, metavar="IN.npz")
    encode.add_argument("output", type=Path, metavar="FILE")
    encode.add_argument("--distortion", type=float, required=True, help="mean squared error")
    encode.add_argument("--array", default="samples", help="name in the .npz (default: samples)")
    encode.add_argument("--code", choices=("scalar", "trellis"), default="scalar")
    encode.add_argument("--dimension", type=int, default=1, help="numbers coded together, 1 to 4")
    encode.set_defaults(run=_encode)

    decode = commands.add_parser("decode", help="write the array a file stands for")
    decode.add_argument("input", type=Path, metavar="FILE")
    decode.add_argument("output", type=Path, metavar="OUT.npz")
    decode.set_defaults(run=_decode)
    return whole
