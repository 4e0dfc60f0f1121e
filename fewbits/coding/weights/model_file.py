"""Parameters of a network as a file: float32, float16, or a uniform grid with coded symbols.

A tree is made of dicts with string keys, lists and tuples, with arrays of floats at the leaves.
What comes back has float32 NumPy arrays of the same shapes at the leaves, in dicts (keys in
the order of the file), lists and tuples (a NamedTuple becomes a plain tuple).

All tensors on a grid share one entropy-coded stream. Tensors share a frequency table wherever that
is shorter than a table each, its description counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fewbits.coding import container, entropy_coder, shared_tables
from fewbits.coding.entropy_coder import SymbolStream
from fewbits.coding.tables import FrequencyTable
from fewbits.coding.varint import ByteReader
from fewbits.coding.weights import uniform_grid
from fewbits.coding.weights.trees import parameter_tree
from fewbits.coding.weights.trees.parameter_tree import (
    FLOAT16,
    FLOAT32,
    GRID,
    SHIFTED_GRID,
    BitsSpec,
    Leaf,
)
from fewbits.coding.weights.uniform_grid import Grid
from fewbits.io.errors import FormatError

KIND = "model"
_FLOATS, _SYMBOLS = "floats", "symbols"
_FLOAT_DTYPE = {FLOAT32: "<f4", FLOAT16: "<f2"}


def write_model(tree: Any, *, bits: BitsSpec = None) -> bytes:
    """The bytes of a model file; see `pack`."""
    return container.write_archive(KIND, *pack(tree, bits))


def read_model(data: bytes) -> Any:
    """The parameter tree of a model file, float32.

    Raises:
      FormatError: not an undamaged model file.
    """
    archive = container.read_archive(data, kind=KIND)
    extra = archive.sections.keys() - {_FLOATS, _SYMBOLS}
    if extra:
        raise FormatError("a model has no such section", min(extra))
    return unpack(archive.header, archive.sections)


def pack(tree: Any, bits: BitsSpec = None, *, prefix: str = "") -> tuple[dict, dict[str, bytes]]:
    """Header and sections of a parameter tree, for an archive of any kind.

    Args:
      tree: see the module's docstring.
      bits: per tensor 2 to 16 (uniform grid), "float16" or None (float32): one for all, a mapping
        from path or pattern ("decoder/0/w", "*/bias"; first match, unmatched float32), or a
        function of path and tensor.
      prefix: goes before the sections' names, where an archive holds several trees.

    Returns:
      A header to store under a key of one's own, and the sections (at most two: floats, symbols).

    Raises:
      ValueError: a tree or a tensor that cannot be stored, or bits that there are not.
    """
    named = parameter_tree.tensors(tree)
    precisions = parameter_tree.choose_bits(named, bits)
    coded = [code(path, tensor, p) for (path, tensor), p in zip(named, precisions, strict=True)]
    grids = [(leaf, data) for leaf, data in coded if isinstance(data, Grid)]
    numbers, fitted = shared_tables.fit([grid.symbols for _, grid in grids])
    number = iter(numbers)
    leaves = [leaf._replace(table=next(number)) if leaf.bits else leaf for leaf, _ in coded]
    description = iter(leaves)
    described = parameter_tree.map_leaves(tree, lambda *_: next(description).to_bytes())
    header: dict[str, Any] = {"tree": parameter_tree.to_header(described)}
    sections = {}
    floats = b"".join(data for _, data in coded if isinstance(data, bytes))
    if floats:
        sections[prefix + _FLOATS] = floats
    if grids:
        header["tables"] = b"".join(one.code for one in fitted)
        sections[prefix + _SYMBOLS] = entropy_coder.encode(
            [
                SymbolStream(grid.symbols, fitted[choice].table)
                for (_, grid), choice in zip(grids, numbers, strict=True)
            ]
        )
    return header, sections


def unpack(header: Any, sections: Mapping[str, bytes], *, prefix: str = "") -> Any:
    """The parameter tree of `pack`, float32; other sections are left alone.

    Raises:
      FormatError: not what `pack` gives.
    """
    described, named = _read_header(header)
    leaves = [leaf for _, leaf in named]
    in_floats = [leaf for leaf in leaves if not leaf.bits]
    on_grids = [leaf for leaf in leaves if leaf.bits]
    for name in (prefix + _FLOATS, prefix + _SYMBOLS):
        if sections.get(name) == b"":
            raise FormatError("an empty section is left out", name)
    name = prefix + _FLOATS
    floats = iter(read_floats(in_floats, sections.get(name, b""), name))
    name = prefix + _SYMBOLS
    grids = iter(_read_grids(on_grids, header.get("tables", b""), sections.get(name, b""), name))
    tensors = iter([next(grids) if leaf.bits else next(floats) for leaf in leaves])
    return parameter_tree.map_leaves(described, lambda *_: next(tensors))


def describe(header: Any) -> list[tuple[str, Leaf]]:
    """Path and description of every tensor of a packed tree, from its header alone.

    Raises:
      FormatError: not a header that `pack` gives.
    """
    return _read_header(header)[1]


def tensor_bits(
    header: Any, sections: Mapping[str, bytes], *, prefix: str = ""
) -> list[tuple[str, Leaf, float]]:
    """What each tensor costs: 8 bits a byte of floats, or the ideal length of its symbols.

    Raises:
      FormatError: as `unpack`.
    """
    named = describe(header)
    on_grids = [leaf for _, leaf in named if leaf.bits]
    codes, data = header.get("tables", b""), sections.get(prefix + _SYMBOLS, b"")
    symbols = iter(_read_symbols(on_grids, codes, data, prefix + _SYMBOLS))
    costs = []
    for path, leaf in named:
        if leaf.bits:
            values, table = next(symbols)
            bits = float(table.cost_bits[values - table.minimum].sum())
        else:
            bits = 8.0 * leaf.size * np.dtype(_FLOAT_DTYPE[leaf.codec]).itemsize
        costs.append((path, leaf, bits))
    return costs


def quantise(tree: Any, bits: BitsSpec = None) -> Any:
    """Exactly the tree that `unpack` gives back for `pack(tree, bits)`, without coding it."""
    named = parameter_tree.tensors(tree)
    precisions = parameter_tree.choose_bits(named, bits)
    tensors = iter(
        [
            _decoded(*code(path, tensor, p))
            for (path, tensor), p in zip(named, precisions, strict=True)
        ]
    )
    return parameter_tree.map_leaves(tree, lambda *_: next(tensors))


def code(path: str, tensor: np.ndarray, bits: parameter_tree.Bits) -> tuple[Leaf, bytes | Grid]:
    """A tensor's description, and its bytes or its symbols."""
    if bits == "float32":
        return Leaf(FLOAT32, tensor.shape), tensor.astype("<f4").tobytes()
    if bits == "float16":
        parameter_tree.check_float16(path, tensor)
        return Leaf(FLOAT16, tensor.shape), tensor.astype("<f2").tobytes()
    assert isinstance(bits, int)
    grid = uniform_grid.quantise(tensor, bits)
    if not uniform_grid.is_finite(grid):
        raise ValueError(f"{path}: values too close to float32's largest for a grid")
    codec = SHIFTED_GRID if grid.zero != 0 else GRID
    return Leaf(codec, tensor.shape, bits, 0, float(grid.step), float(grid.zero)), grid


def _decoded(leaf: Leaf, data: bytes | Grid) -> np.ndarray:
    if isinstance(data, Grid):
        return uniform_grid.values(data).reshape(leaf.shape)
    with np.errstate(invalid="ignore"):  # a NaN in a hostile file; refused by the caller
        tensor = np.frombuffer(data, _FLOAT_DTYPE[leaf.codec]).astype(np.float32)
    return tensor.reshape(leaf.shape)


def _read_header(header: Any) -> tuple[Any, list[tuple[str, Leaf]]]:
    """The tree with descriptions at its leaves, and the descriptions by path."""
    if not isinstance(header, dict) or not {"tree"} <= header.keys() <= {"tree", "tables"}:
        raise FormatError("a packed tree's header holds 'tree' and perhaps 'tables'", "header")
    if header.get("tables") == b"":
        raise FormatError("an empty list of tables is left out", "header")
    described = parameter_tree.from_header(header["tree"])
    named: list[tuple[str, Leaf]] = []
    parameter_tree.map_leaves(
        described,
        lambda path, description: named.append((path, parameter_tree.read_leaf(description))),
    )
    if sum(leaf.size for _, leaf in named) > parameter_tree.MAX_ELEMENTS:
        raise FormatError(f"more than {parameter_tree.MAX_ELEMENTS} parameters", "header")
    return described, named


def read_floats(leaves: list[Leaf], data: bytes, section: str) -> list[np.ndarray]:
    """The tensors of a section of floats, float32.

    Raises:
      FormatError: more or fewer bytes than they take, or a value that is not finite.
    """
    widths = [leaf.size * np.dtype(_FLOAT_DTYPE[leaf.codec]).itemsize for leaf in leaves]
    if sum(widths) != len(data):
        raise FormatError(f"{len(data)} bytes for tensors of {sum(widths)}", section)
    reader = ByteReader(data, section)
    decoded = [_decoded(leaf, reader.take(n)) for leaf, n in zip(leaves, widths, strict=True)]
    if not all(np.isfinite(tensor).all() for tensor in decoded):
        raise reader.error("a parameter is not finite")
    return decoded


def _read_grids(leaves: list[Leaf], codes: bytes, data: bytes, section: str) -> list[np.ndarray]:
    coded = zip(leaves, _read_symbols(leaves, codes, data, section), strict=True)
    decoded = [
        _decoded(leaf, Grid(symbols, np.float32(leaf.step), np.float32(leaf.zero)))
        for leaf, (symbols, _) in coded
    ]
    if not all(np.isfinite(tensor).all() for tensor in decoded):
        raise FormatError("a parameter is not finite", section)
    return decoded


def _read_symbols(
    leaves: list[Leaf], codes: bytes, data: bytes, section: str
) -> list[tuple[np.ndarray, FrequencyTable]]:
    known = _read_tables(codes, leaves)
    if not leaves:
        if data:
            raise FormatError("symbols of no tensor", section)
        return []
    reader = entropy_coder.SymbolReader(data, section)
    coded = []
    for leaf in leaves:
        symbols = reader.take(leaf.size, known[leaf.table])
        if np.abs(symbols).max(initial=0) > uniform_grid.largest_symbol(leaf.bits):
            raise FormatError(f"a symbol is too large for {leaf.bits} bits", section)
        coded.append((symbols, known[leaf.table]))
    reader.finish()
    return coded


def _read_tables(codes: bytes, leaves: list[Leaf]) -> list[FrequencyTable]:
    if not isinstance(codes, bytes):
        raise FormatError("tables are a byte string", "header")
    reader = ByteReader(codes, "header")
    known = shared_tables.read(reader)
    if {leaf.table for leaf in leaves} != set(range(len(known))):
        raise reader.error("tables and tensors do not go together")
    return known
