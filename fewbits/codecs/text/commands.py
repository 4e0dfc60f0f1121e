"""`fewbits text`: texts, or any bytes, into small files and back."""

from __future__ import annotations

import argparse
from pathlib import Path

from fewbits import cli, flags
from fewbits.codecs.text import archive, mixed
from fewbits.coding import container
from fewbits.io import inputs, outputs
from fewbits.io.progress import Bar


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("fewbits text"), arguments)


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog)
    verbs = whole.add_subparsers()
    for name, add, purpose in (
        ("compress", _add_compress, "write a text as a small file"),
        ("decompress", _add_decompress, "write the text of such a file"),
    ):
        add(verbs.add_parser(name, help=purpose, description=purpose))
    return whole


def _add_compress(parser: argparse.ArgumentParser) -> None:
    """The arguments of compressing."""
    parser.add_argument("input", type=Path, metavar="IN", help="any file of bytes; - for stdin")
    flags.add_output(parser, "output", metavar="OUT", help="the file to write; - for stdout")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--fast",
        action="store_true",
        help="fewer contexts: about three times as fast, a few percent larger (default: above "
        f"{mixed.FAST_FROM_BYTES // 1_000_000} MB)",
    )
    how.add_argument("--full", action="store_true", help="all contexts, whatever the size")
    how.add_argument(
        "--online",
        action="store_true",
        help="instead, a transformer that trains while coding; decodes only on the kind of machine "
        "and the version of JAX that made the file",
    )
    how.add_argument(
        "--model",
        type=Path,
        metavar="ARCHIVE",
        help="instead, the network of this offline text file, which goes into OUT as well; decodes "
        "where --online does",
    )
    flags.add_common(parser, seed="of the initial weights (--online)", quiet=True)
    parser.set_defaults(run=_compress)


def _add_decompress(parser: argparse.ArgumentParser) -> None:
    """The arguments of decompressing."""
    parser.add_argument(
        "input", type=Path, metavar="IN", help="a file that compress wrote; - for stdin"
    )
    flags.add_output(parser, "output", metavar="OUT", help="the text to write; - for stdout")
    parser.add_argument(
        "--salvage",
        action="store_true",
        help="of a damaged file, write all text before the damage, and say where it is; for files "
        "made without --online and --model",
    )
    flags.add_common(parser, quiet=True)
    parser.set_defaults(run=_decompress)


def _compress(options: argparse.Namespace) -> cli.Result:
    save = outputs.saver(options.output, inputs=[options.input, options.model], force=options.force)
    text = inputs.read_bytes(options.input, container.MAX_FILE_BYTES - mixed.OVERHEAD_BYTES)
    with Bar("compress", quiet=options.quiet) as bar:
        if options.online or options.model is not None:
            # Imported here, since it takes JAX.
            from fewbits.codecs.text import networks

            data = networks.compress(options, text, bar)
        else:
            fast = options.fast or (False if options.full else None)
            data = mixed.compress(text, fast=fast, progress=bar)
    save(data)
    rate = 8 * len(data) / len(text) if text else None
    share = "" if rate is None else f", {rate:.3f} bits a byte"
    if len(data) > len(text) > 0:
        share = ", no smaller: too short, or compressed already"
    return cli.Result(
        {
            "output": str(options.output),
            "bytes": len(data),
            "text_bytes": len(text),
            "bits_per_byte": rate,
        },
        f"{options.output}: {len(text):,} bytes in {len(data):,}{share}",
    )


def _decompress(options: argparse.Namespace) -> cli.Result:
    save = outputs.saver(options.output, inputs=[options.input], force=options.force, show=True)
    damage = None
    with Bar("decompress", quiet=options.quiet) as bar:
        if options.salvage:
            text, damage = mixed.salvage(inputs.read_bytes(options.input), bar)
        else:
            text = archive.decompress(inputs.read_file(options.input), progress=bar)
    save(text)
    if damage is not None:
        cli.warn(f"{options.input}: {damage}")
    return cli.Result(
        {"output": str(options.output), "bytes": len(text), "damage": damage},
        f"{options.output}: {len(text):,} bytes",
    )
