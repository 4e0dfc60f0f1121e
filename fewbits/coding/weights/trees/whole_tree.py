"""A user's whole tree beside the float tensors of a file: dtypes, exact tensors, structure.

The codes for weights store trees of float32 tensors. What else a tree holds travels in the same
archive, whatever the kind of the file:

- header entry `dtypes`: the dtype of every float tensor, where not all are float32;
- header entry `beside`: tensors that are stored exactly (whole numbers, booleans, complex numbers,
  random keys, floats that a grid cannot hold), None, and the lists, tuples and dicts with whole
  numbers as keys that the tree of floats alone cannot express;
- section `exact`: the values of those tensors.

A file of float32 tensors in dicts, lists and tuples has none of the three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding.container import Archive
from fewbits.coding.weights.trees import exact_tensors, parameter_tree
from fewbits.coding.weights.trees.exact_tensors import DTYPE_NAMES, dtype_of
from fewbits.coding.weights.trees.storable import ABSENT, is_coded, is_wider, why_not
from fewbits.io import trees
from fewbits.io.errors import FormatError

DTYPES, BESIDE, EXACT = "dtypes", "beside", exact_tensors.SECTION
_LIST, _TUPLE, _NUMBERED = range(3)


class Whole(NamedTuple):
    """A tree, taken apart.

    Attributes:
      floats: float tensors in the user's dtypes, in dicts with text keys, lists and tuples.
      header: entries that go beside the floats' own.
      sections: likewise.
    """

    floats: Any
    header: dict[str, Any]
    sections: dict[str, bytes]


def take_apart(tree: Any) -> Whole:
    """What the codes for weights store of a tree, and what goes beside it.

    Raises:
      ValueError: a leaf that no file can hold, named with the reason.
    """
    floats, beside = _split(trees.plain(tree), "")
    floats = {} if floats is ABSENT else floats
    header: dict[str, Any] = {}
    sections: dict[str, bytes] = {}
    names: list[str] = []
    parameter_tree.map_leaves(floats, lambda _, leaf: names.append(_float_dtype(leaf)))
    codes = bytes(DTYPE_NAMES.index(name) for name in names)
    if len(set(codes)) == 1:
        codes = codes[:1]
    if set(names) - {"float32"}:
        header[DTYPES] = codes
    if beside is not ABSENT:
        arrays: list[np.ndarray] = []
        header[BESIDE] = _described(beside, arrays)
        if arrays:
            sections[EXACT] = exact_tensors.pack(arrays)
    return Whole(floats, header, sections)


def floats_of(archive: Archive) -> Archive:
    """The archive of the float tensors alone, as if nothing went beside them."""
    return archive._replace(
        header={name: one for name, one in archive.header.items() if name not in (DTYPES, BESIDE)},
        sections={name: data for name, data in archive.sections.items() if name != EXACT},
    )


def is_whole(archive: Archive) -> bool:
    """Whether anything goes beside the float tensors."""
    return bool({DTYPES, BESIDE} & archive.header.keys()) or EXACT in archive.sections


def put_together(floats: Any, header: Mapping[str, Any], sections: Mapping[str, bytes]) -> Any:
    """The whole tree: the inverse of `take_apart`, given the decoded float32 tensors.

    Raises:
      FormatError: parts that do not belong together.
    """
    if DTYPES in header:
        floats = _with_dtypes(floats, header[DTYPES])
    if BESIDE not in header:
        if EXACT in sections:
            raise FormatError("values of no tensor", EXACT)
        return floats
    described: list[exact_tensors.Description] = []
    _visit(
        header[BESIDE],
        lambda _, code: described.append(exact_tensors.read_description(code)),
    )
    arrays = exact_tensors.unpack(sections.get(EXACT), described)
    if floats == {} and not _is_container(header[BESIDE]):
        floats = ABSENT
    rest = iter(arrays)
    return _merged(floats, header[BESIDE], lambda _: next(rest))


def held_exactly(archive: Archive) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, dtype and shape of the tensors that a file holds exactly.

    Raises:
      FormatError: not what `take_apart` gives.
    """
    found: list[tuple[str, str, tuple[int, ...]]] = []

    def add(name: str, code: bytes) -> None:
        dtype, shape = exact_tensors.read_description(code)
        found.append((name, dtype.name, shape))

    if BESIDE in archive.header:
        _visit(archive.header[BESIDE], add)
    return found


def _split(tree: Any, name: str) -> tuple[Any, Any]:
    """The floats of a plain tree and what goes beside them, either perhaps absent."""
    if tree is None:
        return ABSENT, None
    if not isinstance(tree, dict | list | tuple):
        reason = why_not(tree)
        if reason is not None:
            raise ValueError(f"{name or trees.ROOT}: {reason}")
        return (tree, ABSENT) if is_coded(tree) else (ABSENT, _exact(tree))
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    floats: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    for key, child in pairs:
        if str(key) in floats.keys() | beside.keys():
            raise ValueError(f"{name}/{key}: two leaves have this path")
        found = _split(child, f"{name}/{key}" if name else str(key))
        for parts, part in zip((floats, beside), found, strict=True):
            if part is not ABSENT:
                parts[str(key)] = part
    if isinstance(tree, dict):
        if tree and all(type(key) is int for key in tree):
            return floats or ABSENT, [_NUMBERED, beside]
        if any(type(key) is int for key in tree):
            raise ValueError(f"{name or trees.ROOT}: keys are partly text and partly numbers")
        return (floats if floats or not beside else ABSENT), beside or ABSENT
    if beside:
        return floats or ABSENT, [_LIST if isinstance(tree, list) else _TUPLE, beside]
    return type(tree)(floats.values()), ABSENT


def _exact(leaf: Any) -> np.ndarray:
    array = trees.as_array(leaf)
    return array.astype(np.float64) if is_wider(array) else array


def _float_dtype(leaf: Any) -> str:
    array = np.asarray(leaf)
    return "float64" if is_wider(array) else array.dtype.name


def _described(beside: Any, arrays: list[np.ndarray]) -> Any:
    """The header entry, its arrays replaced by their descriptions in the order of the file."""
    if isinstance(beside, list):
        return [beside[0], _described(beside[1], arrays)]
    if isinstance(beside, dict):
        ordered = parameter_tree.key_order(beside)
        return {key: _described(beside[key], arrays) for key in ordered}
    if beside is None:
        return None
    arrays.append(beside)
    return exact_tensors.describe(beside)


def _visit(value: Any, leaf: Callable[[str, bytes], None], name: str = "") -> None:
    """Calls a function for every tensor of a header entry, in the order of the file.

    Raises:
      FormatError: not what `_described` gives.
    """
    if isinstance(value, bytes):
        leaf(name or trees.ROOT, value)
    elif isinstance(value, dict):
        for key in parameter_tree.key_order(value):
            _visit(value[key], leaf, f"{name}/{key}" if name else key)
    elif _is_container(value):
        _visit(value[1], leaf, name)
    elif value is not None:
        raise FormatError(f"'{BESIDE}' holds {value!r}"[:80], "header")


def _is_container(value: Any) -> bool:
    if isinstance(value, dict):
        return True
    return (
        isinstance(value, list)
        and len(value) == 2
        and type(value[0]) is int
        and value[0] in (_LIST, _TUPLE, _NUMBERED)
        and isinstance(value[1], dict)
    )


def _with_dtypes(floats: Any, codes: Any) -> Any:
    n_leaves = len(parameter_tree.leaf_names(floats))
    if not isinstance(codes, bytes) or len(codes) not in (1, n_leaves):
        raise FormatError("dtypes and tensors do not go together", "header")
    if any(code >= len(DTYPE_NAMES) for code in codes):
        raise FormatError(f"a dtype of number {max(codes)}", "header")
    dtypes = [dtype_of(DTYPE_NAMES[code]) for code in codes]
    if not all(map(trees.is_float, dtypes)):
        raise FormatError("a float tensor of whole numbers", "header")
    rest = iter(dtypes * (n_leaves if len(dtypes) == 1 else 1))
    return parameter_tree.map_leaves(floats, lambda _, leaf: trees.to_dtype(leaf, next(rest)))


def _merged(floats: Any, beside: Any, tensor: Callable[[bytes], np.ndarray]) -> Any:
    """The tree of floats with what goes beside it; tensors are asked for in the file's order."""
    if not _is_container(beside):
        if floats is not ABSENT:
            raise FormatError("two leaves have one place", "header")
        return None if beside is None else tensor(beside)
    kind, parts = (None, beside) if isinstance(beside, dict) else beside
    if floats is ABSENT:
        floats = {}
    if not isinstance(floats, dict):
        raise FormatError("a dict is missing in the tree of floats", "header")
    merged = {
        key: _merged(floats.get(key, ABSENT), parts[key], tensor)
        if key in parts
        else floats[key]
        for key in parameter_tree.key_order({**floats, **parts})
    }  # fmt: skip
    if kind is None:
        return merged
    try:
        numbered = {int(key): value for key, value in merged.items()}
    except ValueError as error:
        raise FormatError(f"a key is no whole number: {error}", "header") from error
    if [str(key) for key in numbered] != list(merged):
        raise FormatError("a key is no whole number in its shortest form", "header")
    if kind == _NUMBERED:
        return dict(sorted(numbered.items()))
    if sorted(numbered) != list(range(len(numbered))):
        raise FormatError("items of a list are missing", "header")
    items = [numbered[place] for place in range(len(numbered))]
    return items if kind == _LIST else tuple(items)
