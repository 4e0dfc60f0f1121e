"""`fewbits weights`: files of parameters from checkpoints, and back."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fewbits import cli, flags
from fewbits.coding.weights.parameter_files import params_from_bytes, params_to_bytes
from fewbits.coding.weights.trees import storable
from fewbits.io import checkpoints, inputs, outputs
from fewbits.io.errors import InputError

_MOST_WARNINGS = 10


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("fewbits weights"), arguments)


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog)
    verbs = whole.add_subparsers()
    purpose = "write a checkpoint (.npz, .safetensors, orbax folder) as a small file"
    encode = verbs.add_parser("encode", help=purpose, description=purpose)
    encode.add_argument("file", type=Path, metavar="CHECKPOINT", help="what to encode")
    flags.add_output(encode, "out", metavar="OUT", help="the file to write; - for stdout")
    precision = encode.add_mutually_exclusive_group()
    precision.add_argument(
        "--bits",
        metavar="B",
        help="round to a uniform grid of 2 to 16 bits over each tensor's range, or keep float16 or "
        "float32 (default: none of the three; quantise by rate and distortion with a mean squared "
        "error of 1/256 of the weights' mean square)",
    )
    precision.add_argument(
        "--step",
        type=float,
        metavar="S",
        help="instead, round to multiples of this step in every tensor (default: see --bits)",
    )
    precision.add_argument(
        "--max-mse",
        type=float,
        metavar="E",
        help="instead, quantise by rate and distortion with a mean squared error over all "
        "parameters of at most this (default: see --bits)",
    )
    encode.add_argument(
        "--strict", action="store_true", help="fail where something of the input is left out"
    )
    flags.add_common(encode)
    encode.set_defaults(run=_encode)
    purpose = "write the parameters of a file as a checkpoint"
    decode = verbs.add_parser("decode", help=purpose, description=purpose)
    decode.add_argument(
        "file", type=Path, metavar="FILE", help="of encode, or of pruning; - for stdin"
    )
    flags.add_output(
        decode, "out", metavar="OUT",
        help="the checkpoint to write, .npz, .safetensors or .orbax (a new folder); - for an .npz "
        "to stdout",
    )  # fmt: skip
    decode.add_argument(
        "--strict", action="store_true", help="fail where something of the input is left out"
    )
    flags.add_common(decode)
    decode.set_defaults(run=_decode)
    return whole


def _encode(options: argparse.Namespace) -> cli.Result:
    save = outputs.saver(options.out, inputs=[options.file], force=options.force)
    bits = options.bits
    if bits is not None and bits.isdecimal():
        bits = int(bits)
    tree, left_out = storable.leave_out(checkpoints.read_checkpoint(options.file))
    lost = [f"{name} is left out: {why}" for name, why in left_out.items()]
    lost += [f"{name} becomes float64, the widest that files hold" for name in storable.wider(tree)]
    _report(options, lost)
    try:
        data = params_to_bytes(tree, bits=bits, step=options.step, max_mse=options.max_mse)
    except ValueError as error:
        raise InputError(f"{options.file}: {error}") from error
    save(data)
    count, exact = storable.count_coded(tree), storable.count_exact(tree)
    beside = f" and {exact} tensor{'s' * (exact > 1)} stored exactly" if exact else ""
    return cli.Result(
        {
            "output": str(options.out),
            "bytes": len(data),
            "parameters": count,
            "exact_tensors": exact,
        },
        f"{options.out}: {count:,} parameters{beside} in {len(data):,} bytes",
    )


def _decode(options: argparse.Namespace) -> cli.Result:
    with _checkpoint_writer(options) as write:
        tree = params_from_bytes(inputs.read_file(options.file))
        wider = checkpoints.widened(tree, options.out)
        _report(
            options, [f"{name} becomes float32; .safetensors keeps its dtype" for name in wider]
        )
        write(tree)
    count = storable.count_coded(tree)
    return cli.Result(
        {"output": str(options.out), "parameters": count},
        f"{options.out}: {count:,} parameters",
    )


@contextlib.contextmanager
def _checkpoint_writer(options: argparse.Namespace) -> Iterator[Callable[[Any], None]]:
    """What writes the tree: a folder for orbax, a file for all else, an .npz to stdout."""
    if options.out.suffix == ".orbax":
        with outputs.open_output_folder(options.out, inputs=[options.file]) as folder:
            yield lambda tree: checkpoints.write_checkpoint(folder, tree)
        return
    path = Path("output.npz") if outputs.is_stream(options.out) else options.out
    if path.suffix not in (*checkpoints.SUFFIXES, ".npy"):
        raise InputError(f"{path}: name an .npz or .safetensors file, or a new .orbax folder")
    save = outputs.saver(options.out, inputs=[options.file], force=options.force)
    yield lambda tree: save(checkpoints.to_bytes(tree, path))


def _report(options: argparse.Namespace, losses: list[str]) -> None:
    """What does not come through is said; with `--strict` it is an error.

    Raises:
      InputError: with `--strict`, the first of the losses.
    """
    if losses and options.strict:
        more = f" (and {len(losses) - 1} more)" if len(losses) > 1 else ""
        raise InputError(f"{options.file}: {losses[0]}{more}; leave out --strict to go on")
    shown = losses if len(losses) <= _MOST_WARNINGS else losses[: _MOST_WARNINGS - 1]
    for line in shown:
        cli.warn(line)
    if len(shown) < len(losses):
        cli.warn(f"{len(losses) - len(shown)} more tensors likewise")
