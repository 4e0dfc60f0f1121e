"""`fewbits inspect` and `fewbits account`: what a file holds, and where its bytes went."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from fewbits import cli, flags
from fewbits.coding import container
from fewbits.coding.inspection import _summary
from fewbits.coding.inspection._account import account, as_table
from fewbits.io import inputs, outputs


def inspect_parser(prog: str) -> argparse.ArgumentParser:
    """Check a file and say what it holds."""
    return _of_one_file(prog, _inspect)


def account_parser(prog: str) -> argparse.ArgumentParser:
    """Where every byte of a file went."""
    return _of_one_file(prog, _account)


def _of_one_file(
    prog: str, run: Callable[[argparse.Namespace], cli.Result]
) -> argparse.ArgumentParser:
    parser = cli.Parser(prog=prog)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="any file that fewbits wrote; - for stdin"
    )
    flags.add_common(parser)
    parser.set_defaults(run=run)
    return parser


def _inspect(options: argparse.Namespace) -> cli.Result:
    data = inputs.read_file(options.file)
    found = _summary.summary(container.read_archive(data), len(data))
    name = "standard input" if outputs.is_stream(options.file) else options.file.name
    return cli.Result(found, _summary.as_text(name, found))


def _account(options: argparse.Namespace) -> cli.Result:
    rows = account(inputs.read_file(options.file))
    return cli.Result([row._asdict() for row in rows], as_table(rows))
