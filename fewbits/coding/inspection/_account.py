"""Where every byte of a file went: rows that add up to the file's size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import cbor, container
from fewbits.coding.container import Archive
from fewbits.coding.weights import model_file
from fewbits.coding.weights.parameter_files import ADAPTIVE
from fewbits.coding.weights.sparse import sparse_code
from fewbits.coding.weights.trees import whole_tree


class Row(NamedTuple):
    """One part of a file.

    Attributes:
      part: what it is, for people.
      size_bytes: its bytes.
    """

    part: str
    size_bytes: int


def account(source: str | os.PathLike[str] | bytes) -> list[Row]:
    """Every byte of an archive.

    The envelope (magic, names, lengths, checksums), each entry of the header, and each section; the
    sections of a packed parameter tree are divided among its tensors. In a shared entropy-coded
    stream a tensor's share is the ideal length of its symbols, scaled so that the shares add up to
    the stream; a sparse file's stream is divided into masks, signs, magnitudes and values of each
    tensor. Packed trees are found in a file of kind "model", and under any header entry NAME
    whose sections begin with "NAME_".

    Args:
      source: a path, or the bytes of a file.

    Returns:
      A row `(part, size_bytes)` for each part; the sizes add up to the file's.

    Raises:
      FormatError: not an undamaged archive.
      OSError: the file cannot be read.

    Example:
      >>> from fewbits.coding import account, write_archive
      >>> for row in account(write_archive("notes", {"author": "me"}, {"text": b"few bits"})):
      ...     print(row.part, row.size_bytes)
      envelope 34
      header author 10
      section text 8
    """
    data = source if isinstance(source, bytes) else container.load_bytes(source)
    archive = container.read_archive(data)
    header, sections = archive.header, archive.sections
    entries = [
        Row(f"header {key}", len(cbor.dumps(key)) + len(cbor.dumps(value)))
        for key, value in header.items()
    ]
    shares: list[Row] = []
    divided: set[str] = set()
    floats = whole_tree.floats_of(archive)
    if archive.kind == sparse_code.KIND:
        parts = [
            (f"{p.path} {p.what}", p.bits)
            for p in sparse_code.parts(floats.header, floats.sections)
        ]
        shares += _divided("symbols", parts, len(sections["symbols"]))
        divided.add("symbols")
    if archive.kind == ADAPTIVE:
        # Here, because it takes half a second to import.
        from fewbits.coding.adaptive import reading

        taken = reading.parts(floats.header, floats.sections)
        shares += [Row(f"section symbols: {p.path}", p.size_bytes) for p in taken]
        divided.add("symbols")
    for prefix, packed in _packed_trees(floats):
        for name in (prefix + "floats", prefix + "symbols"):
            if name in sections:
                shares += _shares(name, packed, sections, prefix)
                divided.add(name)
    whole = [Row(f"section {n}", len(body)) for n, body in sections.items() if n not in divided]
    rest = len(data) - sum(row.size_bytes for row in entries + shares + whole)
    return [Row("envelope", rest), *entries, *whole, *shares]


def as_table(rows: Sequence[Row]) -> str:
    """The rows as lines of text, with a total."""
    lines = [*rows, Row("total", sum(row.size_bytes for row in rows))]
    width = max(len(row.part) for row in lines)
    digits = max(len(f"{row.size_bytes:,}") for row in lines)
    return "\n".join(f"{row.part:<{width}}  {row.size_bytes:>{digits},} bytes" for row in lines)


def _packed_trees(archive: Archive) -> list[tuple[str, Any]]:
    if archive.kind == model_file.KIND:
        model_file.describe(archive.header)
        return [("", archive.header)]
    return [
        (f"{key}_", value)
        for key, value in archive.header.items()
        if isinstance(value, dict) and {"tree"} <= value.keys() <= {"tree", "tables"}
    ]


def _shares(name: str, packed: Any, sections: dict[str, bytes], prefix: str) -> list[Row]:
    """A packed tree's section, divided among its tensors."""
    costs = [
        ("/".join(part for part in (prefix.removesuffix("_"), path) if part), bits)
        for path, leaf, bits in model_file.tensor_bits(packed, sections, prefix=prefix)
        if bool(leaf.bits) == name.endswith("symbols")
    ]
    return _divided(name, costs, len(sections[name]))


def _divided(name: str, costs: list[tuple[str, float]], size_bytes: int) -> list[Row]:
    """Whole bytes in proportion to ideal bits; they add up to the section."""
    total = sum(bits for _, bits in costs) or 1.0
    ends = np.rint(np.cumsum([bits for _, bits in costs]) / total * size_bytes)
    ends[-1] = size_bytes
    sizes = np.diff(ends, prepend=0).astype(int).tolist()
    return [
        Row(f"section {name}: {path}", size) for (path, _), size in zip(costs, sizes, strict=True)
    ]
