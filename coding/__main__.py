"""`python -m coding`: look into a fewbits file, and account for every byte of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from coding import container, model_file
from coding.account import account, as_table
from coding.container import Archive
from coding.errors import FormatError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the whole usage."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; the exit status is 2 for a user's or a file's mistake."""
    parser = _Parser(prog="python -m coding", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run, purpose in (
        ("inspect", _inspect, "check a file and say what it holds"),
        ("account", _account, "where every byte of a file went"),
    ):
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("file", type=Path, metavar="FILE")
        command.add_argument("--json", action="store_true", help="for programs")
        command.set_defaults(run=run)
    options = parser.parse_args(arguments)
    try:
        print(options.run(options.file, options.json))
    except FormatError as error:
        return _fail(f"{options.file}: {error}")
    except OSError as error:
        return _fail(f"{options.file}: {error.strerror or error}")
    return 0


def _inspect(path: Path, as_json: bool) -> str:
    archive = container.load(path)
    found = {
        "kind": archive.kind,
        "version": archive.version,
        "bytes": path.stat().st_size,
        "sections": {name: len(body) for name, body in archive.sections.items()},
    }
    if archive.kind == model_file.KIND:
        found["tensors"] = _tensors(archive)
    else:
        found["header"] = _readable(archive.header)
    if as_json:
        return json.dumps(found, indent=2)
    lines = [f"{path.name}: {found['kind']}, format {found['version']}, {found['bytes']:,} bytes"]
    lines += [f"  section {name}: {size:,} bytes" for name, size in found["sections"].items()]
    lines += [
        f"  {one['path']}: {tuple(one['shape'])} {one['coding']}"
        for one in found.get("tensors", [])
    ]
    if "header" in found:
        lines += [f"  {key}: {json.dumps(value)}" for key, value in found["header"].items()]
    return "\n".join(lines)


def _account(path: Path, as_json: bool) -> str:
    rows = account(path)
    return json.dumps([row._asdict() for row in rows], indent=2) if as_json else as_table(rows)


def _tensors(archive: Archive) -> list[dict[str, Any]]:
    model_file.unpack(archive.header, archive.sections)
    names = {0: "float32", 1: "float16"}
    return [
        {
            "path": path,
            "shape": list(leaf.shape),
            "coding": names.get(leaf.codec, f"{leaf.bits}-bit grid, step {leaf.step:.6g}"),
        }
        for path, leaf in model_file.describe(archive.header)
    ]


def _readable(value: Any) -> Any:
    """A header value as JSON: byte strings become their length."""
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else value


def _fail(message: str) -> int:
    print(f"python -m coding: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
