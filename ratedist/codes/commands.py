"""`fewbits ratedist encode` and `decode`: arrays as small files, and back."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from fewbits import cli, flags
from fewbits.coding import InputError
from fewbits.io import inputs, outputs
from fewbits.io.progress import Bar
from ratedist.datafiles import read_numbers

_GROUPS = 512


def add(verb: Callable[[str, str, Any], argparse.ArgumentParser]) -> None:
    """Declares the commands."""
    encode = verb("encode", "write an array, quantised to a distortion, as a small file", _encode)
    held = "holds the array: .npz, .npy or a picture"
    encode.add_argument("input", type=Path, metavar="IN", help=held)
    flags.add_output(encode, "output", metavar="OUT", help="the file to write; - for stdout")
    encode.add_argument(
        "--distortion", type=float, required=True, metavar="D", help="mean squared error allowed"
    )
    encode.add_argument(
        "--array", metavar="NAME", help="its name in IN.npz (default: samples, or the only one)"
    )
    encode.add_argument(
        "--code", choices=("scalar", "trellis"), default="scalar", help="kind of quantiser"
    )
    encode.add_argument(
        "--dimension", type=int, default=1, metavar="K", help="numbers coded together, 1 to 4"
    )
    encode.add_argument(
        "--block", metavar="B",
        help="for signals with memory: 8x8 (pictures), 64 (series), 1 (no transform) or auto "
        "(default: a memoryless code)",
    )  # fmt: skip
    encode.add_argument(
        "--transform", choices=("auto", "dct", "lapped", "klt", "none"), default="auto",
        help="of --block: cosines, lapped cosines, a learned basis, none",
    )  # fmt: skip
    encode.add_argument(
        "--compare", action="store_true",
        help="say what others take at this error: JPEG and WebP for pictures in uint8, else xz of "
        "uniform quantisation",
    )  # fmt: skip
    flags.add_common(encode, quiet=True)

    written = "the file to write: .npz with array `values`, .npy, or .png for a picture in uint8"
    decode = verb("decode", "write the array that a file stands for", _decode)
    decode.add_argument("input", type=Path, metavar="IN", help="file of `encode`; - for stdin")
    flags.add_output(decode, "output", metavar="OUT", help=written)
    flags.add_common(decode)


def _encode(options: argparse.Namespace) -> cli.Result:
    from ratedist.codes.arrays import encode_array

    save = outputs.saver(options.output, inputs=[options.input], force=options.force)
    values = read_numbers(options.input, options.array)
    k = options.dimension
    bound = None
    with Bar(str(options.input), quiet=options.quiet):
        made = encode_array(
            values, options.distortion, code=options.code, dimension=k, block=options.block,
            transform=options.transform,
        )  # fmt: skip
        if made.transform is None:
            bound = _memoryless_bound(
                values.astype(np.float64), k, made.distortion, options.distortion
            )
    save(made.data)
    bits = 8 * len(made.data) / values.size
    found: dict[str, Any] = {
        "output": str(options.output),
        "bytes": len(made.data),
        "numbers": values.size,
        "distortion": made.distortion,
        "asked_distortion": options.distortion,
        "bits_per_number": bits,
        "index_bits_per_number": made.index_bits,
    }
    lines = [
        f"{options.output}: {len(made.data):,} bytes for {values.size:,} numbers",
        f"distortion: {made.distortion:.6g} a number, measured on the decoded file; "
        f"asked: {options.distortion:g}",
        f"rate: {bits:.4f} bits a number in the file, {made.index_bits:.4f} in its indices",
    ]
    if options.compare:
        from ratedist.codes import rivals

        found["others_bytes"] = {
            name: round(size) for name, size in rivals.sizes(values, made.distortion).items()
        }
        others = (f"{name} {size:,}" for name, size in found["others_bytes"].items())
        said = ", ".join(others) or "neither JPEG nor WebP comes so close"
        lines.append(f"bytes of others at this error: {said}")
    if bound is None:
        found |= {"transform": made.transform, "gaussian_bits_per_number": made.gaussian_bits}
        lines += [
            f"code: {made.transform}",
            f"Gaussian bound: {made.gaussian_bits:.4f} bits a number, if blocks were independent "
            "Gaussian vectors with these variances",
        ]
        return cli.Result(found, "\n".join(lines))
    scope = "all codebooks" if bound.any_codebook else "codebooks of its own centroids"
    rate = bound.rate_bits / k
    above = bound.upper_bits / k if np.isfinite(bound.upper_bits) else None
    found |= {
        "bound_bits_per_number": rate,
        "bound_over": scope,
        "memoryless_upper_bits_per_number": above,
        "gap_bits_per_number": bits - rate,
    }
    lines += [
        f"bound: {rate:.4f} bits for memoryless coding of {k} at a time, over {scope}",
        f"its rate: {rate:.4f} to {above:.4f} bits a number, as exactly as "
        f"{_GROUPS} groups of samples tell"
        if above is not None
        else f"its rate: at least {rate:.4f} bits a number; {_GROUPS} groups of samples are too "
        "coarse to tell more",
        f"gap: {bits - rate:.4f} bits a number",
    ]
    return cli.Result(found, "\n".join(lines))


def _memoryless_bound(values: np.ndarray, k: int, distortion: float, asked: float) -> Any:
    from ratedist.solvers.rounded_source import bound, round_samples

    certified = bound(round_samples(values.reshape(-1, k), _GROUPS), k * distortion)
    if not np.isfinite(certified.rate_bits):
        raise InputError(f"--distortion {asked:g}: no bound could be certified")
    return certified


def _decode(options: argparse.Namespace) -> cli.Result:
    import ratedist

    suffix = options.output.suffix.lower()
    with outputs.open_output(options.output, inputs=[options.input], force=options.force) as file:
        values = ratedist.decode(inputs.read_file(options.input))
        if suffix == ".png":
            _write_picture(options.output, file, values)
        elif suffix == ".npy":
            np.save(file, values)
        else:
            np.savez(file, values=values)
    what = {".png": "picture", ".npy": "array"}.get(suffix, "array 'values'")
    return cli.Result(
        {"output": str(options.output), "shape": list(values.shape), "dtype": str(values.dtype)},
        f"{options.output}: {what} of shape {values.shape}, {values.dtype}",
    )


def _write_picture(path: Path, file: IO[bytes], values: np.ndarray) -> None:
    from PIL import Image

    grey = values.ndim == 2
    if values.dtype != np.uint8 or not (grey or (values.ndim == 3 and values.shape[2] == 3)):
        raise InputError(
            f"{path}: a PNG holds uint8 of (rows, columns) or (rows, columns, 3), not "
            f"{values.dtype} of {values.shape}; decode to a .npz file, or encode with --block auto"
        )
    Image.fromarray(values).save(file, "PNG")
