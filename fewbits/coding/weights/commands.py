"""`fewbits weights`: files of parameters from checkpoints, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

from fewbits import cli
from fewbits.coding import container
from fewbits.coding.weights import parameter_files, parameter_tree
from fewbits.io import checkpoints
from fewbits.io.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("fewbits weights"), arguments)


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="VERB")
    purpose = "a checkpoint (.npz, .safetensors, orbax folder) as a small file"
    encode = commands.add_parser("encode", help=purpose, description=purpose)
    encode.add_argument("file", type=Path, metavar="CHECKPOINT")
    encode.add_argument("out", type=Path, metavar="OUT")
    encode.add_argument(
        "--bits", default="8", help="2 to 16 for a uniform grid, float16 or float32 (default: 8)"
    )
    encode.set_defaults(run=_encode)
    purpose = "a file of parameters as .npz or .safetensors"
    decode = commands.add_parser("decode", help=purpose, description=purpose)
    decode.add_argument("file", type=Path, metavar="FILE")
    decode.add_argument("out", type=Path, metavar="OUT")
    decode.set_defaults(run=_decode)
    return whole


def _encode(options: argparse.Namespace) -> str:
    bits = int(options.bits) if options.bits.isdecimal() else options.bits
    tree = checkpoints.read_checkpoint(options.file)
    try:
        data = parameter_files.encode(tree, bits)
    except ValueError as error:
        raise InputError(str(error)) from error
    container.save(options.out, data)
    count = sum(tensor.size for _, tensor in parameter_tree.tensors(tree))
    return f"{options.out}: {count:,} parameters in {len(data):,} bytes"


def _decode(options: argparse.Namespace) -> str:
    tree = parameter_files.decode(container.load_bytes(options.file))
    checkpoints.write_checkpoint(options.out, tree)
    count = sum(tensor.size for _, tensor in parameter_tree.tensors(tree))
    return f"{options.out}: {count:,} parameters"
