"""`fewbits text`: texts, or any bytes, into small files and back."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path

from fewbits import cli, flags
from fewbits.codecs.text import archive, header, offline, online, streams
from fewbits.coding import FormatError, container
from fewbits.io import inputs, outputs
from fewbits.io.progress import Bar


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's or a file's mistake."""
    return cli.run(parser("fewbits text"), arguments)


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description="Compress and decompress texts, or any bytes.")
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
        "--online",
        action="store_true",
        help="train the network while coding, so that OUT holds none (default)",
    )
    how.add_argument(
        "--model",
        type=Path,
        metavar="ARCHIVE",
        help="code with the network of this offline text file, which goes into OUT as well "
        "(default: --online)",
    )
    flags.add_common(parser, seed="of the initial weights (online)", quiet=True)
    parser.set_defaults(run=_compress)


def _add_decompress(parser: argparse.ArgumentParser) -> None:
    """The arguments of decompressing."""
    parser.add_argument(
        "input", type=Path, metavar="IN", help="a file that compress wrote; - for stdin"
    )
    flags.add_output(parser, "output", metavar="OUT", help="the text to write; - for stdout")
    flags.add_common(parser, quiet=True)
    parser.set_defaults(run=_decompress)


def _compress(options: argparse.Namespace) -> cli.Result:
    save = outputs.saver(options.output, inputs=[options.input, options.model], force=options.force)
    text = inputs.read_bytes(options.input, container.MAX_FILE_BYTES)
    with Bar("compress", quiet=options.quiet) as bar:
        run = partial(streams.run, progress=bar)
        if options.model is not None:
            options.blamed = options.model
            described, _, sections = header.read(inputs.read_file(options.model))
            if described.mode != offline.MODE:
                raise FormatError("an online text file holds no network")
            network = sections.sections.get(offline.NETWORK, b"")
            data = offline.compress(text, described.model, network, run=run)
        else:
            learning = dataclasses.replace(online.Learning(), seed=options.seed)
            data = online.compress(text, online.OnlineConfig(learning=learning), run=run)
    save(data)
    rate = 8 * len(data) / len(text) if text else None
    share = "" if rate is None else f", {rate:.3f} bits a byte"
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
    data = inputs.read_file(options.input)
    with Bar("decompress", quiet=options.quiet) as bar:
        text = archive.decompress(data, run=partial(streams.run, progress=bar))
    save(text)
    return cli.Result(
        {"output": str(options.output), "bytes": len(text)},
        f"{options.output}: {len(text):,} bytes",
    )
