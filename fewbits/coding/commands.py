"""`fewbits inspect` and `fewbits account`: what a file holds, and where its bytes went."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fewbits import cli
from fewbits.coding import container
from fewbits.coding._account import account, as_table
from fewbits.coding.container import Archive
from fewbits.coding.weights import model_file


def inspect_parser(prog: str) -> argparse.ArgumentParser:
    """Check a file and say what it holds."""
    return _of_one_file(prog, "Check a file and say what it holds.", _inspect)


def account_parser(prog: str) -> argparse.ArgumentParser:
    """Where every byte of a file went."""
    return _of_one_file(prog, "Say where every byte of a file went.", _account)


def _of_one_file(prog: str, purpose: str, run: Any) -> argparse.ArgumentParser:
    parser = cli.Parser(prog=prog, description=purpose)
    parser.add_argument("file", type=Path, metavar="FILE", help="any file that fewbits wrote")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=lambda options: run(options.file, options.json))
    return parser


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
