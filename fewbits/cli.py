"""`fewbits TOOL VERB`: one command line; `python -m lgc` and its siblings are the same parsers.

A tool is an entry point `name = module:parser` of the group `fewbits.commands`; `parser(prog)`
returns an `ArgumentParser` whose verbs set `run`, a function of the options that may return a text
to print. A tool is imported only when it is asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from fewbits.io.errors import FormatError, InputError

COMMAND_GROUP = "fewbits.commands"

TOOLS = {
    "lgc": "compress a labelled image set so that classifiers still learn from it",
    "pruning": "prune a trained network and write it as a small file",
    "weights": "encode a checkpoint as a small file, and decode it",
    "ratedist": "certified rate-distortion bounds, and codes that come close to them",
    "bitalloc": "classify from a handful of bits: fit, encode, decode",
    "text": "compress and decompress texts",
    "inspect": "check a file and say what it holds",
    "account": "say where every byte of a file went",
}
"""What `fewbits --help` lists; static, so that help imports no tool."""


class _Formatter(argparse.HelpFormatter):
    """Verbs in a plain list, and the default of every option that has one."""

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):
            return "".join(map(super()._format_action, action._get_subactions()))
        return super()._format_action(action)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        # By identity: 0 is a default worth showing, and equal to False.
        hidden = any(action.default is one for one in (None, False, argparse.SUPPRESS))
        if hidden or not action.option_strings or "default" in text:
            return text
        return f"{text} (default: %(default)s)".strip()


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose help is of one style."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **{"formatter_class": _Formatter, **options})
        self._positionals.title = "arguments"

    def add_subparsers(self, **options: Any) -> Any:
        """The verbs of a tool; one is required."""
        return super().add_subparsers(
            **{"required": True, "title": "verbs", "metavar": "VERB", **options}
        )

    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the whole usage."""
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `fewbits TOOL ...`; returns the exit status.

    Args:
      arguments: None for the process's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = Parser(
        prog="fewbits",
        usage="fewbits TOOL [VERB] ...",
        description="Compress data sets, networks, sources, features and texts into small files.",
        epilog="`fewbits TOOL --help` lists a tool's verbs, `fewbits TOOL VERB --help` a verb's "
        "options.",
    )
    parser.add_argument(
        "--version", action="version", version=f"fewbits {_version()}", help="print the version"
    )
    tools = parser.add_subparsers(
        title="tools", metavar="TOOL", dest="tool", parser_class=argparse.ArgumentParser
    )
    for name, purpose in TOOLS.items():
        tools.add_parser(name, help=purpose, add_help=False)
    tool = parser.parse_args(words[:1]).tool
    found = metadata.entry_points(group=COMMAND_GROUP, name=tool)
    if not found:
        return fail(f"{tool} is not registered by the installed metadata; install fewbits again")
    return run(next(iter(found)).load()(f"fewbits {tool}"), words[1:])


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Parses and runs the command line of one tool.

    Args:
      parser: whose verbs set `run`, a function of the options, and may set `file`, the name of the
        option that holds the file that a FormatError is about.
      arguments: None for the process's own.

    Returns:
      The exit status: 2 for a user's or a file's mistake, 130 when interrupted, each after one
      line that says what it was.
    """
    options = parser.parse_args(arguments)
    try:
        printed = options.run(options)
    except FormatError as error:
        return fail(f"{_prefix(options, str(error))}{error}")
    except OSError as error:
        path = error.filename or _prefix(options, "").removesuffix(": ")
        return fail(f"{path}: {error.strerror or error}")
    except InputError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return fail("interrupted", status=130)
    if printed:
        print(printed)
    return 0


def fail(line: str, *, status: int = 2) -> int:
    """Prints one line to stderr; returns the status."""
    sys.stderr.write(f"error: {line}\n")
    return status


def _prefix(options: argparse.Namespace, message: str) -> str:
    """The file that a FormatError is about, unless the message says so itself."""
    for name in ("blamed", "file", "input"):
        path = getattr(options, name, None)
        if isinstance(path, Path):
            return "" if str(path) in message else f"{path}: "
    return ""


def _version() -> str:
    try:
        return metadata.version("fewbits")
    except metadata.PackageNotFoundError:
        return "(not installed)"
