"""The file of a pruned network: where its weights are, their signs, their k-bit magnitudes.

Every tensor goes onto the uniform grid that `fewbits.coding.weights.model_file` uses, and what is
coded, without loss, are the grid's symbols. Of a tensor of two axes or more, first the mask of the
symbols that are not zero, row by row with odds that adapt, then the signs in the same way
(`fewbits.coding.weights.sparse.masked_tensor`), then the magnitudes with a table that is sent.
Biases are few and rarely zero: their symbols go straight to a table. All of it shares one stream.

Rows and columns without any weight are not removed first. On LeNets pruned to 97, 98 and 99 % the
flags that name them would take 38, 60 and 101 bytes in the first layer and save 47, 68 and 71: the
adaptive odds see them coming.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import container, entropy_coder, shared_tables
from fewbits.coding.entropy_coder import SymbolReader, SymbolStream
from fewbits.coding.varint import ByteReader
from fewbits.coding.weights import fixed_step, uniform_grid
from fewbits.coding.weights.sparse import masked_tensor
from fewbits.coding.weights.sparse.masked_tensor import Coded
from fewbits.coding.weights.trees import parameter_tree
from fewbits.coding.weights.trees.parameter_tree import GRID, SHIFTED_GRID, BitsSpec, Leaf
from fewbits.coding.weights.uniform_grid import Grid
from fewbits.io.errors import FormatError

KIND = "sparse"
_SYMBOLS = "symbols"


class Part(NamedTuple):
    """What one part of the stream costs.

    Attributes:
      path: the tensor's.
      what: "mask", "signs", "magnitudes" or "values".
      bits: ideal length.
    """

    path: str
    what: str
    bits: float


class _Tensor(NamedTuple):
    path: str
    leaf: Leaf
    grid: Grid


def write_sparse(params: Any, bits: BitsSpec = 5, *, step: float | None = None) -> bytes:
    """The bytes of a sparse model file.

    Args:
      params: dicts with string keys, lists and tuples, with arrays of floats at the leaves; exact
        zeros are what is cheap.
      bits: per tensor 2 to 16: one for all, a mapping from path or pattern ("*/bias"; first match),
        or a function of path and tensor.
      step: one step for all tensors instead; then `bits` says nothing.

    Raises:
      ValueError: a tree or a tensor that cannot be stored, bits or a step that cannot be, so many
        zeros for so few weights that `entropy_coder.symbol_limit` forbids it.
    """
    tensors = _quantised(params, bits, step)
    coded, values, numbers, fitted = _coded(tensors)
    streams = []
    for zeros_and_signs, symbols, number in zip(coded, values, numbers, strict=True):
        if zeros_and_signs is not None:
            streams += [*zeros_and_signs.mask, *zeros_and_signs.signs]
        streams.append(SymbolStream(symbols, fitted[number].table))
    data = entropy_coder.encode(streams)
    size = sum(one.leaf.size for one in tensors)
    if size > entropy_coder.symbol_limit(len(data)):
        raise ValueError(f"{size} parameters are too many for a stream of {len(data)} bytes")
    leaves = iter([one.leaf._replace(table=n) for one, n in zip(tensors, numbers, strict=True)])
    described = parameter_tree.map_leaves(params, lambda *_: next(leaves).to_bytes())
    header = {
        "tree": parameter_tree.to_header(described),
        "masks": b"".join(one.plan.to_bytes() for one in coded if one is not None),
        "tables": b"".join(one.code for one in fitted),
    }
    return container.write_archive(KIND, header, {_SYMBOLS: data})


def read_sparse(data: bytes) -> Any:
    """The parameters of a sparse model file, float32: `quantise_sparse` of what was written.

    Raises:
      FormatError: not an undamaged sparse model file.
    """
    archive = container.read_archive(data, kind=KIND)
    return unpack(archive.header, archive.sections)


def unpack(header: Any, sections: Mapping[str, bytes]) -> Any:
    """`read_sparse` below the container's checksums.

    Raises:
      FormatError: not what `write_sparse` gives.
    """
    described, read = _read(header, sections)
    tensors = iter([_values(one) for one in read])
    return parameter_tree.map_leaves(described, lambda *_: next(tensors))


def quantise_sparse(params: Any, bits: BitsSpec = 5, *, step: float | None = None) -> Any:
    """Exactly the tree that `read_sparse` gives back for `write_sparse` with these arguments."""
    tensors = iter([_values(one) for one in _quantised(params, bits, step)])
    return parameter_tree.map_leaves(params, lambda *_: next(tensors))


def count_nonzeros(params: Any) -> int:
    """Nonzero numbers in tensors of two axes or more: what "bits per nonzero" divides by."""
    tensors = parameter_tree.tensors(params)
    return sum(int(np.count_nonzero(tensor)) for _, tensor in tensors if tensor.ndim > 1)


def parts(header: Any, sections: Mapping[str, bytes]) -> list[Part]:
    """What the stream of a sparse model is made of: ideal bits, which come close to its bytes.

    Raises:
      FormatError: as `read_sparse`.
    """
    _, tensors = _read(header, sections)
    coded, values, numbers, fitted = _coded(tensors)
    found = []
    for one, zeros_and_signs, symbols, number in zip(tensors, coded, values, numbers, strict=True):
        table = fitted[number].table
        value_bits = float(table.cost_bits[symbols.ravel() - table.minimum].sum())
        if zeros_and_signs is None:
            found.append(Part(one.path, "values", value_bits))
            continue
        found.append(Part(one.path, "mask", masked_tensor.ideal_bits(zeros_and_signs.mask)))
        found.append(Part(one.path, "signs", masked_tensor.ideal_bits(zeros_and_signs.signs)))
        found.append(Part(one.path, "magnitudes", value_bits))
    return found


def _quantised(params: Any, bits: BitsSpec, step: float | None) -> list[_Tensor]:
    named = parameter_tree.tensors(params)
    if step is not None:
        return [_Tensor(path, *fixed_step.quantise(path, tensor, step)) for path, tensor in named]
    found = []
    for (path, tensor), width in zip(named, parameter_tree.choose_bits(named, bits), strict=True):
        if not isinstance(width, int):
            raise ValueError(f"{path}: a sparse model needs 2 to 16 bits, not {width!r}")
        grid = uniform_grid.quantise(tensor, width)
        codec = SHIFTED_GRID if grid.zero != 0 else GRID
        leaf = Leaf(codec, tensor.shape, width, 0, float(grid.step), float(grid.zero))
        found.append(_Tensor(path, leaf, grid))
        if not uniform_grid.is_finite(grid):
            raise ValueError(f"{path}: values too close to float32's largest for a grid")
    return found


def _values(tensor: _Tensor) -> np.ndarray:
    return uniform_grid.values(tensor.grid).reshape(tensor.leaf.shape)


def _coded(
    tensors: list[_Tensor],
) -> tuple[list[Coded | None], list[np.ndarray], list[int], list[shared_tables.FittedTable]]:
    """Per tensor zeros and signs, values that need a table, the table's number; and the tables."""
    coded: list[Coded | None] = []
    values = []
    inputs = np.zeros(0, np.int64)
    for _, leaf, grid in tensors:
        symbols = grid.symbols.reshape(leaf.shape)
        if len(leaf.shape) < 2:
            coded.append(None)
            values.append(symbols)
            continue
        matrix = symbols.reshape(masked_tensor.matrix_shape(leaf.shape))
        coded.append(masked_tensor.code(matrix, leaf.shape, inputs))
        values.append(np.abs(matrix[matrix != 0]))
        inputs = masked_tensor.column_counts(matrix, leaf.shape)
    numbers, fitted = shared_tables.fit(values)
    return coded, values, numbers, fitted


def _read(header: Any, sections: Mapping[str, bytes]) -> tuple[Any, list[_Tensor]]:
    """The tree of descriptions, and every tensor with its symbols."""
    if not isinstance(header, dict) or header.keys() != {"tree", "masks", "tables"}:
        raise FormatError("a sparse model's header has tree, masks and tables", "header")
    if not isinstance(header["masks"], bytes) or not isinstance(header["tables"], bytes):
        raise FormatError("masks and tables are byte strings", "header")
    if sections.keys() != {_SYMBOLS}:
        raise FormatError("a sparse model has one section", min(sections, default=_SYMBOLS))
    described = parameter_tree.from_header(header["tree"])
    found: list[tuple[str, Leaf]] = []
    parameter_tree.map_leaves(
        described, lambda path, code: found.append((path, parameter_tree.read_leaf(code)))
    )
    size = sum(leaf.size for _, leaf in found)
    if size > entropy_coder.symbol_limit(len(sections[_SYMBOLS])):
        raise FormatError(f"{size} parameters do not fit in the stream", _SYMBOLS)
    if not all(leaf.bits for _, leaf in found):
        raise FormatError("a sparse model has no floats", "header")
    tables = shared_tables.read(ByteReader(header["tables"], "header"))
    if {leaf.table for _, leaf in found} != set(range(len(tables))):
        raise FormatError("tables and tensors do not go together", "header")
    plans = ByteReader(header["masks"], "header")
    reader = SymbolReader(sections[_SYMBOLS], _SYMBOLS)
    inputs = np.zeros(0, np.int64)
    tensors = []
    for path, leaf in found:
        table = tables[leaf.table]
        if len(leaf.shape) < 2:
            symbols = reader.take(leaf.size, table)
        else:
            plan = masked_tensor.read_plan(plans, leaf.shape)
            symbols = masked_tensor.read_signs(reader, plan, leaf.shape, inputs, _SYMBOLS)
            magnitudes = reader.take(plan.ones, table)
            if magnitudes.size and magnitudes.min() < 1:
                raise FormatError("a magnitude is below 1", _SYMBOLS)
            symbols[symbols != 0] *= magnitudes
            inputs = masked_tensor.column_counts(symbols, leaf.shape)
        if np.abs(symbols).max(initial=0) > uniform_grid.largest_symbol(leaf.bits):
            raise FormatError(f"a symbol is too large for {leaf.bits} bits", _SYMBOLS)
        grid = Grid(symbols.ravel(), np.float32(leaf.step), np.float32(leaf.zero))
        tensors.append(_Tensor(path, leaf, grid))
        if not uniform_grid.is_finite(grid):
            raise FormatError("a parameter is not finite", _SYMBOLS)
    plans.finish()
    reader.finish()
    return described, tensors
