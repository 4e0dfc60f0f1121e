"""Reading files of kind `adaptive`; see `adaptive_file` for what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import container
from fewbits.coding.adaptive import layout, trellis
from fewbits.coding.adaptive.tensor_coder import Decoder
from fewbits.coding.weights import model_file, uniform_grid
from fewbits.coding.weights.trees import packed_tree, parameter_tree
from fewbits.coding.weights.trees.parameter_tree import SHIFTED_GRID, Leaf
from fewbits.coding.weights.uniform_grid import Grid
from fewbits.io.errors import FormatError

KIND = "adaptive"
FLOATS, SYMBOLS = "floats", "symbols"
TREE, PRUNED = "tree", "pruned"
_FREE_ELEMENTS = 1 << 20
_ELEMENTS_PER_BYTE = 1 << 18


class Part(NamedTuple):
    """What a tensor takes of the stream.

    Attributes:
      path: the tensor's.
      size_bytes: bytes that its numbers settle.
    """

    path: str
    size_bytes: int


class _Described(NamedTuple):
    """A header, checked.

    Attributes:
      tree: with descriptions at its leaves.
      named: every path and description.
      pruned: whether the stream is of the form for mostly zeros.
      outputs_first: whether kernels are coded with their first axis last.
    """

    tree: Any
    named: list[tuple[str, Leaf]]
    pruned: bool
    outputs_first: bool

    def coded_shape(self, leaf: Leaf) -> tuple[int, ...]:
        """In the order of the stream."""
        return layout.coded_shape(leaf.shape) if self.outputs_first else leaf.shape


def element_limit(stream_bytes: int) -> int:
    """The most numbers that a stream of so many bytes may declare: 2^20 and 2^18 a byte.

    A number that is all but certain costs a 2^-15th of a bit.
    """
    return _FREE_ELEMENTS + _ELEMENTS_PER_BYTE * stream_bytes


def read_adaptive(data: bytes) -> Any:
    """The parameters of a file of this kind, float32.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    archive = container.read_archive(data, kind=KIND)
    return unpack(archive.header, archive.sections)


def unpack(header: Any, sections: Mapping[str, bytes]) -> Any:
    """`read_adaptive` below the container's checksums.

    Raises:
      FormatError: not what a writer gives.
    """
    described = _described(header, sections)
    named = described.named
    floats = model_file.read_floats(
        [leaf for _, leaf in named if not leaf.bits], sections.get(FLOATS, b""), FLOATS
    )
    whole, decoder, rest = [], _decoder(described, sections), iter(floats)
    for _, leaf in named:
        if not leaf.bits:
            whole.append(next(rest))
            continue
        shape = described.coded_shape(leaf)
        symbols = decoder.take(shape, leaf.table)
        reach = max(int(symbols.max(initial=0)), -int(symbols.min(initial=0)))
        if not leaf.table and reach > uniform_grid.largest_symbol(leaf.bits):
            raise FormatError(f"a symbol is too large for {leaf.bits} bits", SYMBOLS)
        grid = Grid(symbols, np.float32(leaf.step), np.float32(leaf.zero))
        tensor = uniform_grid.values(grid).reshape(shape)
        if not np.isfinite(tensor).all():
            raise FormatError("a parameter is not finite", SYMBOLS)
        whole.append(layout.outputs_back(tensor) if described.outputs_first else tensor)
    if any(leaf.bits for _, leaf in named):
        decoder.finish()
    tensors = iter(whole)
    return parameter_tree.map_leaves(described.tree, lambda *_: next(tensors))


def parts(header: Any, sections: Mapping[str, bytes]) -> list[Part]:
    """What each tensor takes of the stream; they add up to it.

    Raises:
      FormatError: as `unpack`.
    """
    described = _described(header, sections)
    decoder, found, before = _decoder(described, sections), [], 0
    for path, leaf in described.named:
        if leaf.bits:
            decoder.take(described.coded_shape(leaf), leaf.table)
            found.append(Part(path, decoder.used() - before))
            before = decoder.used()
    if found:
        rest = len(sections.get(SYMBOLS, b"")) - before
        found[-1] = found[-1]._replace(size_bytes=found[-1].size_bytes + rest)
    return found


def _described(header: Any, sections: Mapping[str, bytes]) -> _Described:
    """The header, checked."""
    if not isinstance(header, dict) or header.keys() not in ({TREE}, {TREE, PRUNED}):
        raise FormatError("a header with a tree is missing", "header")
    if sections.keys() - {FLOATS, SYMBOLS} or b"" in sections.values():
        raise FormatError("sections are floats and symbols, and not empty", "header")
    pruned = header.get(PRUNED)
    if PRUNED in header and (type(pruned) is not int or pruned not in (0, 1)):
        raise FormatError("the form for mostly zeros is 0 or 1", "header")
    tree = header[TREE] if pruned is None else packed_tree.unpack(header[TREE])
    described = parameter_tree.from_header(tree)
    named: list[tuple[str, Leaf]] = []
    parameter_tree.map_leaves(
        described, lambda path, code: named.append((path, parameter_tree.read_leaf(code)))
    )
    leaves = [leaf for _, leaf in named if leaf.bits]
    for leaf in leaves:
        if leaf.table not in (0, *range(2, trellis.MOST_STATES + 1)):
            raise FormatError(f"a trellis of 2^{leaf.table} states", "header")
        if leaf.table and leaf.codec == SHIFTED_GRID:
            raise FormatError("a trellis around another value than zero", "header")
    count = sum(leaf.size for leaf in leaves)
    if count > min(element_limit(len(sections.get(SYMBOLS, b""))), parameter_tree.MAX_ELEMENTS):
        raise FormatError(f"{count} parameters do not fit in the stream", SYMBOLS)
    if SYMBOLS in sections and not count:
        raise FormatError("symbols of no tensor", SYMBOLS)
    return _Described(described, named, pruned is not None, pruned == 1)


def _decoder(described: _Described, sections: Mapping[str, bytes]) -> Decoder:
    return Decoder(sections.get(SYMBOLS, b""), SYMBOLS, described.pruned)
