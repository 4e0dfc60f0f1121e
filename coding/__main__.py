"""`python -m coding`: files of parameters from checkpoints and back; look into any file of ours."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn

from coding import checkpoint_files, container, model_file, parameter_tree
from coding.account import account, as_table
from coding.container import Archive
from coding.errors import FormatError

COMMAND_GROUP = "fewbits.coding_commands"
"""Entry points `name = function`, by which rooms above add commands: the function is given the
command's parser, adds its arguments and sets `run`. It is loaded only when its command is asked
for."""
_FROM_ABOVE = {"compress-text": "textcodec compress", "decompress-text": "textcodec decompress"}


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
        command.set_defaults(run=lambda options, run=run: run(options.file, options.json))
    purpose = "a checkpoint (.npz, .safetensors, orbax folder) as a small file"
    command = commands.add_parser("encode", help=purpose, description=purpose)
    command.add_argument("file", type=Path, metavar="CHECKPOINT")
    command.add_argument("out", type=Path, metavar="OUT")
    command.add_argument(
        "--bits", default="8", help="2 to 16 for a uniform grid, float16 or float32 (default: 8)"
    )
    command.set_defaults(run=_encode)
    purpose = "a file of parameters as .npz or .safetensors"
    command = commands.add_parser("decode", help=purpose, description=purpose)
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("out", type=Path, metavar="OUT")
    command.set_defaults(run=_decode)
    asked = (sys.argv[1:] if arguments is None else arguments)[:1]
    registered = {entry.name: entry for entry in entry_points(group=COMMAND_GROUP)}
    for name, entry in registered.items():
        purpose = f"{entry.module.partition('.')[0]}: see `{name} --help`"
        command = commands.add_parser(name, help=purpose)
        if asked == [name]:
            entry.load()(command)
    if asked and asked[0] in _FROM_ABOVE.keys() - registered.keys():
        return _fail(
            f"{asked[0]} is not registered by the installed metadata; install the repository "
            f"again, or use `python -m {_FROM_ABOVE[asked[0]]}`"
        )
    options = parser.parse_args(arguments)
    try:
        print(options.run(options))
    except FormatError as error:
        return _fail(f"{_blamed(options)}: {error}")
    except OSError as error:
        return _fail(f"{error.filename or _blamed(options)}: {error.strerror or error}")
    except ValueError as error:
        return _fail(str(error))
    return 0


def _encode(options: argparse.Namespace) -> str:
    bits = int(options.bits) if options.bits.isdecimal() else options.bits
    tree = checkpoint_files.read_checkpoint(options.file)
    data = checkpoint_files.encode(tree, bits)
    container.save(options.out, data)
    count = sum(tensor.size for _, tensor in parameter_tree.tensors(tree))
    return f"{options.out}: {count:,} parameters in {len(data):,} bytes"


def _decode(options: argparse.Namespace) -> str:
    tree = checkpoint_files.decode(container.load_bytes(options.file))
    checkpoint_files.write_checkpoint(options.out, tree)
    count = sum(tensor.size for _, tensor in parameter_tree.tensors(tree))
    return f"{options.out}: {count:,} parameters"


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


def _blamed(options: argparse.Namespace) -> Path:
    """The file that a FormatError is about."""
    return next(getattr(options, name) for name in ("blamed", "file", "input") if name in options)


def _fail(message: str) -> int:
    print(f"python -m coding: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
