"""Parameters of a network as a file, each tensor coded under a prior with parameters of its own.

Families as in `fewbits.coding.weights.gaussian_code`, and "empirical": whatever table
`fewbits.coding.table_code` finds, the shape of the histogram included. Steps are given, one for all
tensors or one for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fewbits.coding import container, entropy_coder, shared_tables, table_code, tables
from fewbits.coding.entropy_coder import StreamPlan, SymbolStream
from fewbits.coding.tables import FrequencyTable
from fewbits.coding.varint import ByteReader
from fewbits.coding.weights import fixed_step, gaussian_code, uniform_grid
from fewbits.coding.weights.trees import parameter_tree
from fewbits.coding.weights.trees.parameter_tree import GRID, Leaf
from fewbits.coding.weights.uniform_grid import Grid
from fewbits.io.errors import FormatError

KIND = "prior_code"
EMPIRICAL = "empirical"
FAMILIES = (*gaussian_code.FAMILIES, EMPIRICAL)
_SYMBOLS = "symbols"
_HEADS, _EMPIRICAL, _PARAMETRIC = "priors", 0, 1

Steps = float | Mapping[str, float] | Callable[[str, np.ndarray], float]
"""Delta of all tensors; by path; or a function of path and tensor."""


def write_coded(params: Any, steps: Steps, family: str = gaussian_code.GAUSSIAN) -> bytes:
    """The bytes of a file of parameters under a prior.

    Args:
      params: dicts with string keys, lists and tuples, with arrays of floats at the leaves.
      steps: see `Steps`.
      family: one of `FAMILIES`.

    Raises:
      ValueError: a tree, a step or a family that cannot be.
    """
    coded = quantised(params, steps)
    leaves = iter([leaf for leaf, _ in coded])
    described = parameter_tree.map_leaves(params, lambda *_: next(leaves).to_bytes())
    priors, streams, reach = [], [], 0
    for _, grid in coded:
        code, table = _prior(grid.symbols, family)
        reach += _reach(table)
        if reach > shared_tables.MAX_ENTRIES:
            raise ValueError(
                f"priors that reach over more than {shared_tables.MAX_ENTRIES} symbols: take "
                "coarser steps"
            )
        priors.append(code)
        streams.append(SymbolStream(grid.symbols, table))
    header = {"tree": parameter_tree.to_header(described), _HEADS: b"".join(priors)}
    return container.write_archive(KIND, header, {_SYMBOLS: entropy_coder.encode(streams)})


def read_coded(data: bytes) -> Any:
    """The parameters of a file that `write_coded` made, float32: `quantise_coded` of the original.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    archive = container.read_archive(data, kind=KIND)
    return unpack(archive.header, archive.sections)


def unpack(header: Any, sections: Mapping[str, bytes]) -> Any:
    """`read_coded` below the container's checksums.

    Raises:
      FormatError: not what `write_coded` gives.
    """
    if not isinstance(header, dict) or header.keys() != {"tree", _HEADS}:
        raise FormatError("a header of tree and priors is missing", "header")
    if not isinstance(header[_HEADS], bytes):
        raise FormatError("priors are a byte string", "header")
    if sections.keys() != {_SYMBOLS}:
        raise FormatError("there is one section", min(sections, default=_SYMBOLS))
    described = parameter_tree.from_header(header["tree"])
    leaves: list[Leaf] = []
    parameter_tree.map_leaves(
        described, lambda _, description: leaves.append(parameter_tree.read_leaf(description))
    )
    if not all(leaf.codec == GRID for leaf in leaves):
        raise FormatError("a tensor that is not on a grid", "header")
    reader = ByteReader(header[_HEADS], "header")
    known = _read_priors(reader, len(leaves))
    plan = [StreamPlan(leaf.size, table) for leaf, table in zip(leaves, known, strict=True)]
    arrays = entropy_coder.decode(sections[_SYMBOLS], plan, _SYMBOLS)
    tensors = []
    for leaf, symbols in zip(leaves, arrays, strict=True):
        if np.abs(symbols).max(initial=0) > uniform_grid.largest_symbol(leaf.bits):
            raise FormatError(f"a symbol is too large for {leaf.bits} bits", _SYMBOLS)
        tensors.append(_values(leaf, Grid(symbols, np.float32(leaf.step), np.float32(0))))
    if not all(np.isfinite(tensor).all() for tensor in tensors):
        raise FormatError("a parameter is not finite", _SYMBOLS)
    rest = iter(tensors)
    return parameter_tree.map_leaves(described, lambda *_: next(rest))


def quantise_coded(params: Any, steps: Steps) -> Any:
    """Exactly the tree that `read_coded` gives back."""
    tensors = iter([_values(leaf, grid) for leaf, grid in quantised(params, steps)])
    return parameter_tree.map_leaves(params, lambda *_: next(tensors))


def quantised(params: Any, steps: Steps) -> list[tuple[Leaf, Grid]]:
    """Description and symbols of every tensor.

    Raises:
      ValueError: a tensor without a step, or one that does not fit its grid.
    """
    found = []
    for path, tensor in parameter_tree.tensors(params):
        if callable(steps):
            step = steps(path, tensor)
        elif isinstance(steps, Mapping):
            if path not in steps:
                raise ValueError(f"no step for {path}; there are steps for {', '.join(steps)}")
            step = steps[path]
        else:
            step = steps
        found.append(fixed_step.quantise(path, tensor, step))
    return found


def _prior(symbols: np.ndarray, family: str) -> tuple[bytes, FrequencyTable]:
    minimum, occurrences = tables.histogram(symbols)
    if family == EMPIRICAL:
        fitted = table_code.fit_histogram(minimum, occurrences)
        return bytes([_EMPIRICAL]) + fitted.code, fitted.table
    if family not in FAMILIES:
        raise ValueError(f"a prior is one of {', '.join(FAMILIES)}, not {family!r}")
    maximum = minimum + occurrences.size - 1
    prior = gaussian_code.fit(family, minimum, occurrences)
    code = bytes([_PARAMETRIC]) + gaussian_code.to_bytes(prior, minimum, maximum)
    return code, gaussian_code.table(prior, minimum, maximum)


def _read_priors(reader: ByteReader, count: int) -> list[FrequencyTable]:
    known: list[FrequencyTable] = []
    reach = 0
    for _ in range(count):
        known.append(_read_prior(reader))
        reach += _reach(known[-1])
        if reach > shared_tables.MAX_ENTRIES:
            raise reader.error(f"priors that reach over more than {shared_tables.MAX_ENTRIES}")
    reader.finish()
    return known


def _reach(table: FrequencyTable) -> int:
    """What a prior costs to expand: symbols from the table's to zero are computed as well."""
    return max(table.size, -table.minimum, table.maximum)


def _read_prior(reader: ByteReader) -> FrequencyTable:
    kind = reader.byte()
    if kind == _EMPIRICAL:
        return table_code.read(reader)
    if kind == _PARAMETRIC:
        return gaussian_code.read(reader)
    raise reader.error(f"unknown kind of prior {kind}")


def _values(leaf: Leaf, grid: Grid) -> np.ndarray:
    return uniform_grid.values(grid).reshape(leaf.shape)
