"""`fewbits TOOL VERB`: one command line; `python -m lgc` and its siblings are the same parsers.

A tool is an entry point `name = module:parser` of the group `fewbits.commands`; `parser(prog)`
returns an `ArgumentParser` whose verbs set `run`, a function of the options that may return a
`Result` to print. A tool is imported only when it is asked for.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from fewbits._streams import discard_output, interruptible, results_only, whole_output
from fewbits.flags import MOST_SEED
from fewbits.io import json_files
from fewbits.io.errors import FormatError, InputError, names

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


class Result(NamedTuple):
    """What a command found.

    Attributes:
      values: what `--json` prints: a dict or a list of dicts; their keys stay as they are.
      text: what people read.
    """

    values: Any
    text: str


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
        if isinstance(action.default, list | tuple):
            return f"{text} (default: {' '.join(map(str, action.default))})"
        return f"{text} (default: %(default)s)".strip()


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose help is of one style.

    A tool that says nothing of itself is described by `TOOLS`.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **{"formatter_class": _Formatter, **options})
        said = self.description or TOOLS.get(self.prog.split()[-1], "")
        if said:
            self.description = said[0].upper() + said[1:] + ("" if said.endswith(".") else ".")
        self._positionals.title = "arguments"

    def add_subparsers(self, **options: Any) -> Any:
        """The verbs of a tool; one is required, and help lists them first."""
        added = super().add_subparsers(
            **{"required": True, "title": "verbs", "metavar": "VERB", **options}
        )
        self._action_groups.insert(0, self._action_groups.pop())
        return added

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Of a verb, an unknown flag is an error here, so that the message names the verb."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the whole usage."""
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def parser() -> argparse.ArgumentParser:
    """The tools, without their verbs."""
    whole = Parser(
        prog="fewbits",
        usage="fewbits TOOL [VERB] ...",
        description="Compress data sets, networks, sources, features and texts into small files.",
        epilog="`fewbits TOOL --help` lists a tool's verbs, `fewbits TOOL VERB --help` a verb's "
        "options.",
    )
    whole.add_argument(
        "--version", action="version", version=f"fewbits {_version()}", help="print the version"
    )
    tools = whole.add_subparsers(
        title="tools", metavar="TOOL", dest="tool", parser_class=argparse.ArgumentParser
    )
    for name, purpose in TOOLS.items():
        tools.add_parser(name, help=purpose, add_help=False)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `fewbits TOOL ...`; returns the exit status.

    Args:
      arguments: None for the process's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with whole_output():
        try:
            tool = parser().parse_args(words[:1]).tool
            found = metadata.entry_points(group=COMMAND_GROUP, name=tool)
            if not found:
                return fail(
                    f"{tool} is not registered by the installed metadata; install fewbits again"
                )
            return run(next(iter(found)).load()(f"fewbits {tool}"), words[1:])
        except KeyboardInterrupt:  # while a tool was imported
            return fail("interrupted", status=130)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Parses and runs the command line of one tool.

    Args:
      parser: whose verbs set `run`, a function of the options that returns None, a text or a
        `Result`; it may set `blamed` to the file that is being read, to be named if it is damaged.
      arguments: None for the process's own.

    Returns:
      The exit status: 2 for a user's or a file's mistake, 130 when interrupted, each after one
      line that says what it was; 141 where nobody reads the output any more.
    """
    with whole_output():
        options = parser.parse_args(arguments)
        try:
            with interruptible(), results_only():
                _check_seed(options)
                _print(options, options.run(options))
        except BrokenPipeError:
            discard_output()
            return 141
        except FormatError as error:
            return fail(f"{_prefix(options, str(error))}{error}")
        except InputError as error:
            return fail(_about(options, error))
        except OSError as error:
            path = error.filename or _on_disk(options, error) or "output"
            return fail(f"{os.fsdecode(path)}: {error.strerror or error}")
        except MemoryError:
            return fail("not enough memory; give fewer or smaller arrays")
        except KeyboardInterrupt as stopped:
            return fail("; ".join(["interrupted", *map(str, stopped.args)]), status=130)
    return 0


def _on_disk(options: argparse.Namespace, error: OSError) -> str:
    """The file that an error without a name is about: the output where a disk or quota is full."""
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        written = [str(getattr(options, name)) for name in getattr(options, "outputs", ())]
        return "standard output" if written[:1] == ["-"] else "".join(written[:1])
    return _prefix(options, "").removesuffix(": ")


def fail(line: str, *, status: int = 2) -> int:
    """Prints one line to stderr; returns the status."""
    # Names of files and what libraries say may hold line ends and codes of terminals.
    shown = "".join(c if c.isprintable() else " " for c in line.strip())
    _tell(f"error: {shown}")
    return status


def warn(line: str) -> None:
    """Prints one line to stderr, and the command goes on."""
    _tell(f"warning: {' '.join(line.split())}")


def note(line: str) -> None:
    """Prints one line about the progress of a long command to stderr."""
    _tell(" ".join(line.split()))


def as_json(values: Any) -> str:
    """Valid JSON of a result: arrays become lists, numbers that are not finite null."""
    return json.dumps(json_files.plain(values), indent=2)


def _print(options: argparse.Namespace, result: Result | str | None) -> None:
    """To stdout, or to stderr where stdout gets the command's file."""
    if not result:
        return
    if isinstance(result, str):
        text = result
    else:
        text = as_json(result.values) if getattr(options, "json", False) else result.text
    taken = any(str(getattr(options, name)) == "-" for name in getattr(options, "outputs", ()))
    if taken:
        _tell(text)
    else:
        print(text, flush=True)


def _tell(line: str) -> None:
    """To standard error, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _check_seed(options: argparse.Namespace) -> None:
    seed = getattr(options, "seed", None)
    if seed is not None and not 0 <= seed <= MOST_SEED:
        raise InputError(f"--seed {seed}; use 0 to 2^32 - 1")


def _prefix(options: argparse.Namespace, message: str) -> str:
    """The file that a FormatError is about, unless the message says so itself."""
    for name in ("blamed", "file", "input", "source", "checkpoint"):
        path = getattr(options, name, None)
        if isinstance(path, Path):
            shown = "standard input" if str(path) == "-" else str(path)
            return "" if names(message, shown) else f"{shown}: "
    return ""


def _about(options: argparse.Namespace, error: InputError) -> str:
    """What is wrong, with the file that is read unless it is about another, or a flag."""
    message = str(error)
    for name in vars(options):
        if "_" in name:  # as a user types it
            message = re.sub(rf"(?<![\w-]){name}\b", "--" + name.replace("_", "-"), message)
    given = [each for each in vars(options).values() if each and isinstance(each, Path | str)]
    if isinstance(error, OSError) or "--" in message or any(names(message, p) for p in given):
        return message
    return f"{_prefix(options, message)}{message}"


def _version() -> str:
    try:
        return metadata.version("fewbits")
    except metadata.PackageNotFoundError:
        return "(not installed)"
