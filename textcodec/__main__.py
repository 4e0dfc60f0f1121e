"""`python -m textcodec`: texts, or any bytes, into small files and back."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from textcodec import commands


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the whole usage."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; the exit status is 2 for a user's or a file's mistake."""
    parser = _Parser(prog="python -m textcodec", description=__doc__)
    known = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add, purpose in (
        ("compress", commands.add_compress, "a file of bytes as a text file of ours"),
        ("decompress", commands.add_decompress, "the bytes of such a file"),
    ):
        add(known.add_parser(name, help=purpose, description=purpose))
    options = parser.parse_args(arguments)
    try:
        print(options.run(options))
    except (OSError, ValueError) as error:
        print(f"python -m textcodec: {commands.fail_line(error, options)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
