"""Parameter trees and their description: structure, names, shapes and how each tensor is coded."""

from __future__ import annotations

import fnmatch
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding.varint import ByteReader, varint
from fewbits.coding.weights import uniform_grid
from fewbits.io import trees
from fewbits.io.errors import FormatError

Bits = int | str | None
"""2 to 16 for a uniform grid, "float16", or "float32" (None and 32 say the same)."""
BitsSpec = Bits | Mapping[str, Bits] | Callable[[str, np.ndarray], Bits]
"""Bits for all tensors; by path or pattern such as "*/bias", first match, unmatched float32; or a
function of path and tensor."""

MAX_ELEMENTS = 1 << 28
MAX_RANK = 7
_MAX_DIMENSION = 1 << 31
_LIST, _TUPLE = 0, 1
FLOAT32, FLOAT16, GRID, SHIFTED_GRID = range(4)
# One byte holds the rank in its three high bits and below: 0 float32, 1 float16, 2 to 16 a grid of
# so many bits, 17 to 31 a shifted grid of 2 to 16 bits.
_SHIFT = uniform_grid.MAX_BITS - uniform_grid.MIN_BITS + 1
_LARGEST_FLOAT16 = 65504


class Leaf(NamedTuple):
    """How one tensor is stored.

    Attributes:
      codec: FLOAT32, FLOAT16, GRID (zero = 0) or SHIFTED_GRID.
      shape: dimensions.
      bits: width of the grid's symbols; 0 for floats.
      table: number of the frequency table; 0 for floats.
      step: see `uniform_grid`.
      zero: see `uniform_grid`.
    """

    codec: int
    shape: tuple[int, ...]
    bits: int = 0
    table: int = 0
    step: float = 0.0
    zero: float = 0.0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def to_bytes(self) -> bytes:
        """The description of the tensor in a header."""
        code = {FLOAT32: 0, FLOAT16: 1, GRID: self.bits, SHIFTED_GRID: self.bits + _SHIFT}
        head = bytes([len(self.shape) << 5 | code[self.codec]])
        head += b"".join(map(varint, self.shape))
        if self.codec in (FLOAT32, FLOAT16):
            return head
        grid = varint(self.table) + struct.pack("<f", self.step)
        return head + grid + (struct.pack("<f", self.zero) if self.codec == SHIFTED_GRID else b"")


def read_leaf(description: bytes) -> Leaf:
    """The inverse of `Leaf.to_bytes`.

    Raises:
      FormatError: not the description of a tensor of sane size.
    """
    reader = ByteReader(description, "header")
    rank, code = divmod(reader.byte(), 32)
    shape = tuple(reader.varint(_MAX_DIMENSION, "dimension") for _ in range(rank))
    if math.prod(max(dimension, 1) for dimension in shape) > MAX_ELEMENTS:
        raise reader.error(f"a tensor of shape {shape}; at most {MAX_ELEMENTS} elements")
    if code < uniform_grid.MIN_BITS:
        leaf = Leaf(FLOAT16 if code else FLOAT32, shape)
    else:
        shifted = code > uniform_grid.MAX_BITS
        table = reader.varint(MAX_ELEMENTS, "number of a table")
        (step,) = struct.unpack("<f", reader.take(4))
        (zero,) = struct.unpack("<f", reader.take(4)) if shifted else (0.0,)
        if not (math.isfinite(step) and math.isfinite(zero)) or math.copysign(1, step) < 0:
            raise reader.error(f"a grid with step {step} and zero {zero}")
        bits = code - _SHIFT if shifted else code
        leaf = Leaf(SHIFTED_GRID if shifted else GRID, shape, bits, table, step, zero)
    reader.finish()
    return leaf


def map_leaves(tree: Any, function: Callable[[str, Any], Any], path: str = "") -> Any:
    """The tree with `function(path, leaf)` at its leaves, visited in the order of the file.

    Raises:
      ValueError: a key that is not a string.
    """
    prefix = path + "/" if path else ""
    if isinstance(tree, Mapping):
        wrong = [key for key in tree if not isinstance(key, str)]
        if wrong:
            raise ValueError(f"keys of a parameter tree are strings, not {wrong[0]!r}")
        return {key: map_leaves(tree[key], function, prefix + key) for key in key_order(tree)}
    if isinstance(tree, list | tuple):
        items = [map_leaves(item, function, f"{prefix}{i}") for i, item in enumerate(tree)]
        return items if isinstance(tree, list) else tuple(items)
    return function(path or "the tensor", tree)


def tensors(tree: Any) -> list[tuple[str, np.ndarray]]:
    """Path and float32 tensor of every leaf.

    Raises:
      ValueError: a leaf that is not an array of real floats, or not finite as float32; names it.
    """
    found: list[tuple[str, np.ndarray]] = []
    map_leaves(tree, lambda path, leaf: found.append((path, _as_float32(path, leaf))))
    if sum(tensor.size for _, tensor in found) > MAX_ELEMENTS:
        raise ValueError(f"a model file holds at most {MAX_ELEMENTS} parameters")
    return found


def leaf_names(tree: Any) -> list[str]:
    """Path of every leaf, in the order of the file."""
    names: list[str] = []
    map_leaves(tree, lambda path, _: names.append(path))
    return names


def to_header(tree: Any) -> Any:
    """A tree with byte strings at its leaves as a header value: lists and tuples get a mark."""
    if isinstance(tree, dict):
        return {key: to_header(item) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return [_LIST if isinstance(tree, list) else _TUPLE, *map(to_header, tree)]
    return tree


def from_header(value: Any) -> Any:
    """The inverse of `to_header`.

    Raises:
      FormatError: a value that `to_header` does not give.
    """
    if isinstance(value, dict):
        return {key: from_header(item) for key, item in value.items()}
    if isinstance(value, list) and value and type(value[0]) is int and value[0] in (_LIST, _TUPLE):
        items = [from_header(item) for item in value[1:]]
        return items if value[0] == _LIST else tuple(items)
    if isinstance(value, bytes):
        return value
    raise FormatError(f"a parameter tree holds {type(value).__name__}", "header")


def choose_bits(tensors: list[tuple[str, np.ndarray]], spec: BitsSpec) -> list[Bits]:
    """The bits of every tensor: 2 to 16, "float16" or "float32".

    Raises:
      ValueError: bits that there are not, or a pattern that matches no tensor.
    """
    if isinstance(spec, Mapping):
        paths = [path for path, _ in tensors]
        for pattern in spec:
            if not any(_matches(path, pattern) for path in paths):
                raise ValueError(f"bits for {pattern!r}, but the tensors are {', '.join(paths)}")
        chosen = [
            next((bits for pattern, bits in spec.items() if _matches(path, pattern)), None)
            for path in paths
        ]
    elif callable(spec):
        chosen = [spec(path, tensor) for path, tensor in tensors]
    else:
        chosen = [spec] * len(tensors)
    return [_normal_bits(bits) for bits in chosen]


def check_float16(path: str, tensor: np.ndarray) -> None:
    """Asserts that a tensor does not overflow as float16."""
    largest = float(np.abs(tensor).max(initial=0.0))
    if largest > _LARGEST_FLOAT16:
        raise ValueError(f"{path}: {largest} does not fit float16; use float32 for it")


def _normal_bits(bits: Bits) -> Bits:
    if bits is None or (bits == 32 and not isinstance(bits, bool)):
        return "float32"
    if bits in ("float32", "float16"):
        return bits
    if isinstance(bits, int | np.integer) and not isinstance(bits, bool):
        if uniform_grid.MIN_BITS <= bits <= uniform_grid.MAX_BITS:
            return int(bits)
    raise ValueError(f"bits are 2 to 16, 'float16' or 'float32', not {bits!r}")


def _matches(path: str, pattern: str) -> bool:
    return path == pattern or fnmatch.fnmatchcase(path, pattern)


def key_order(tree: Mapping[str, Any]) -> list[str]:
    """Keys in the order of a file, which is how deterministic CBOR sorts them."""
    return sorted(tree, key=lambda key: (len(key.encode()), key.encode()))


def _as_float32(path: str, leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    if not trees.is_float(array.dtype):
        raise ValueError(f"{path}: parameters are arrays of floats, not {array.dtype}")
    if array.ndim > MAX_RANK:
        raise ValueError(f"{path}: {array.ndim} dimensions; at most {MAX_RANK}")
    with np.errstate(over="ignore"):
        tensor = np.asarray(array, np.float32, order="C")
    if not np.all(np.isfinite(tensor)):
        raise ValueError(f"{path}: parameters are not finite in float32")
    return tensor
