"""Files to files: what `python -m textcodec` and `python -m coding compress-text` both do."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path

from coding import FormatError, command_line, container
from textcodec import archive, header, lanes, offline, online
from training.progress import Bar


def add_compress(parser: argparse.ArgumentParser) -> None:
    """The arguments of compressing."""
    parser.add_argument("input", type=Path, metavar="IN", help="any file of bytes")
    parser.add_argument("output", type=Path, metavar="OUT")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--online",
        action="store_true",
        help="learn while coding, no network in OUT (default)",
    )
    how.add_argument(
        "--model",
        type=Path,
        metavar="ARCHIVE",
        help="code under the network of this offline text file, which goes into OUT as well",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first weights (online)")
    parser.set_defaults(run=_compress)


def add_decompress(parser: argparse.ArgumentParser) -> None:
    """The arguments of decompressing."""
    parser.add_argument("input", type=Path, metavar="IN", help="a text file of ours")
    parser.add_argument("output", type=Path, metavar="OUT")
    parser.set_defaults(run=_decompress)


def fail_line(error: Exception, options: argparse.Namespace) -> str:
    """One line about a user's or a file's mistake."""
    if isinstance(error, OSError):
        return f"{error.filename or options.input}: {error.strerror or error}"
    if isinstance(error, FormatError):
        return f"{getattr(options, 'blamed', options.input)}: {error}"
    return str(error)


def _compress(options: argparse.Namespace) -> str:
    if options.seed < 0:
        raise ValueError(f"--seed must not be negative, got {options.seed}")
    command_line.check_writable(options.output)
    text = _read(options.input)
    if options.model is not None:
        options.blamed = options.model
        described, _, sections = header.read(container.load_bytes(options.model))
        if described.mode != offline.MODE:
            raise FormatError("an online text file holds no network")
        network = sections.sections.get(offline.NETWORK, b"")
        with Bar("compress") as bar:
            data = offline.compress(
                text, described.model, network, run=partial(lanes.run, progress=bar)
            )
    else:
        learning = dataclasses.replace(online.Learning(), seed=options.seed)
        with Bar("compress") as bar:
            config = online.OnlineConfig(learning=learning)
            data = online.compress(text, config, run=partial(lanes.run, progress=bar))
    container.save(options.output, data)
    share = f", {8 * len(data) / len(text):.3f} bits a byte" if text else ""
    return f"{options.output}: {len(text):,} bytes in {len(data):,}{share}"


def _decompress(options: argparse.Namespace) -> str:
    command_line.check_writable(options.output)
    data = container.load_bytes(options.input)
    with Bar("decompress") as bar:
        text = archive.decompress(data, run=partial(lanes.run, progress=bar))
    container.save(options.output, text)
    return f"{options.output}: {len(text):,} bytes"


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a regular file")
    size = path.stat().st_size
    if size > container.MAX_FILE_BYTES:
        raise ValueError(f"{path} has {size:,} bytes; at most {container.MAX_FILE_BYTES:,}")
    return path.read_bytes()
