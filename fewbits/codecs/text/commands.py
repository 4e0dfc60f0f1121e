"""`fewbits text`: texts, or any bytes, into small files and back."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path

from fewbits import cli
from fewbits.codecs.text import archive, header, offline, online, streams
from fewbits.coding import FormatError, InputError, container
from fewbits.io import outputs
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
    parser.add_argument("input", type=Path, metavar="IN", help="any file of bytes")
    parser.add_argument("output", type=Path, metavar="OUT", help="the file to write")
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
        help="code with the network of this offline text file, which goes into OUT as well",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights (online)")
    parser.set_defaults(run=_compress)


def _add_decompress(parser: argparse.ArgumentParser) -> None:
    """The arguments of decompressing."""
    parser.add_argument("input", type=Path, metavar="IN", help="a file that compress wrote")
    parser.add_argument("output", type=Path, metavar="OUT", help="the text to write")
    parser.set_defaults(run=_decompress)


def _compress(options: argparse.Namespace) -> str:
    if options.seed < 0:
        raise InputError(f"--seed must not be negative, got {options.seed}")
    outputs.check_writable(options.output)
    text = _read(options.input)
    if options.model is not None:
        options.blamed = options.model
        described, _, sections = header.read(container.load_bytes(options.model))
        if described.mode != offline.MODE:
            raise FormatError("an online text file holds no network")
        network = sections.sections.get(offline.NETWORK, b"")
        with Bar("compress") as bar:
            data = offline.compress(
                text, described.model, network, run=partial(streams.run, progress=bar)
            )
    else:
        learning = dataclasses.replace(online.Learning(), seed=options.seed)
        with Bar("compress") as bar:
            config = online.OnlineConfig(learning=learning)
            data = online.compress(text, config, run=partial(streams.run, progress=bar))
    container.save(options.output, data)
    share = f", {8 * len(data) / len(text):.3f} bits a byte" if text else ""
    return f"{options.output}: {len(text):,} bytes in {len(data):,}{share}"


def _decompress(options: argparse.Namespace) -> str:
    outputs.check_writable(options.output)
    data = container.load_bytes(options.input)
    with Bar("decompress") as bar:
        text = archive.decompress(data, run=partial(streams.run, progress=bar))
    container.save(options.output, text)
    return f"{options.output}: {len(text):,} bytes"


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file")
    size = path.stat().st_size
    if size > container.MAX_FILE_BYTES:
        raise InputError(f"{path} has {size:,} bytes; at most {container.MAX_FILE_BYTES:,}")
    return path.read_bytes()
