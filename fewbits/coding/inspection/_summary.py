"""What a file holds, for people and for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from fewbits.coding.container import Archive
from fewbits.coding.inspection.kinds import KINDS
from fewbits.coding.weights import model_file
from fewbits.coding.weights.parameter_files import ADAPTIVE
from fewbits.coding.weights.trees import packed_tree, parameter_tree, whole_tree

_NAMES = {parameter_tree.FLOAT32: "float32", parameter_tree.FLOAT16: "float16"}
_SHOWN = 12
"""Entries of a list that are shown."""


def summary(archive: Archive, size_bytes: int) -> dict[str, Any]:
    """Kind, sizes, tensors and header of a file, as JSON takes them.

    Raises:
      FormatError: tensors that cannot be.
    """
    what, command = KINDS.get(archive.kind, (f"a file of kind {archive.kind!r}", None))
    found: dict[str, Any] = {
        "kind": archive.kind,
        "what": what,
        "read_with": None if command is None else f"fewbits {command}",
        "version": archive.version,
        "bytes": size_bytes,
        "sections": {name: len(body) for name, body in archive.sections.items()},
    }
    if archive.kind == model_file.KIND:  # checks it to the last symbol
        floats = whole_tree.floats_of(archive)
        model_file.unpack(floats.header, floats.sections)
    if tensors := list(_tensors(archive)):
        found["tensors"] = tensors
    if "tree" not in archive.header:
        found["header"] = readable(archive.header)
    return found


def as_text(name: str, found: Mapping[str, Any]) -> str:
    """A summary for people.

    Args:
      name: of the file.
      found: of `summary`.
    """
    lines = [
        f"{name}: {found['what']}, {found['bytes']:,} bytes",
        f"kind {found['kind']}, format {found['version']}"
        + (f"; read it with `{found['read_with']}`" if found["read_with"] else ""),
    ]
    if found["sections"]:
        rows = [(section, f"{size:,} bytes") for section, size in found["sections"].items()]
        lines += ["sections:", *_table(rows)]
    if "tensors" in found:
        count = sum(math.prod(one["shape"]) for one in found["tensors"])
        tensors = len(found["tensors"])
        lines.append(
            f"{count:,} parameter{'s' * (count != 1)} in {tensors:,} tensor{'s' * (tensors != 1)}:"
        )
        lines += _table(
            [
                (one["path"] or "(the whole)", " x ".join(map(str, one["shape"])) or "scalar",
                 one["coding"])
                for one in found["tensors"]
            ]
        )  # fmt: skip
    if found.get("header"):
        lines += ["header:", *_entries(found["header"], 1)]
    return "\n".join(lines)


def readable(value: Any) -> Any:
    """A header value as JSON: byte strings become their length."""
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else value


def _tensors(archive: Archive) -> Iterator[dict[str, Any]]:
    """Of the file's own tree, or of the trees that are packed under entries of its header."""
    whole = "tree" in archive.header
    packed = {"": archive.header} if whole else archive.header
    for entry, header in packed.items():
        if not isinstance(header, dict) or "tree" not in header:
            continue
        described: list[tuple[str, parameter_tree.Leaf]] = []
        tree = header["tree"]
        if archive.kind == ADAPTIVE and "pruned" in header:
            tree = packed_tree.unpack(tree)
        parameter_tree.map_leaves(
            parameter_tree.from_header(tree),
            lambda path, code, rows=described: rows.append((path, parameter_tree.read_leaf(code))),
        )
        for path, leaf in described:
            grid = f"{leaf.bits}-bit grid, step {leaf.step:.6g}"
            if archive.kind == ADAPTIVE and leaf.bits and leaf.table:
                grid = f"trellis of {1 << leaf.table} states, step {leaf.step:.6g}"
            yield {
                "path": "/".join(part for part in (entry, path) if part),
                "shape": list(leaf.shape),
                "coding": _NAMES.get(leaf.codec, grid),
            }
    if whole:
        for path, dtype, shape in whole_tree.held_exactly(archive):
            yield {"path": path, "shape": list(shape), "coding": f"exact, {dtype}"}


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  " + "  ".join(f"{text:<{n}}" for text, n in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _entries(header: Mapping[str, Any], depth: int) -> list[str]:
    lines = []
    for key, value in header.items():
        start = f"{'  ' * depth}{key}:"
        if isinstance(value, dict) and "tree" in value:
            lines.append(f"{start} tensors, see above")
        elif isinstance(value, dict) and value:
            lines += [start, *_entries(value, depth + 1)]
        else:
            lines.append(f"{start} {_value(value)}")
    return lines


def _value(value: Any) -> str:
    if value is None or value is True or value is False:  # not by equality: 1 equals True
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        shown = json.dumps(value)
        return shown if len(shown) < 80 else f"{len(value):,} entries"
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:_SHOWN]))
        more = f", ... ({len(value):,} in all)" if len(value) > _SHOWN else ""
        return f"{shown}{more}" or "none"
    return "none" if value == {} else str(value)
