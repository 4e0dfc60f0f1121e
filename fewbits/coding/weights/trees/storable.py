"""Which leaves of a tree a file of parameters can hold, and which of them exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fewbits.coding.weights.trees import parameter_tree
from fewbits.coding.weights.trees.exact_tensors import DTYPE_NAMES
from fewbits.io import trees

_EXACT_FLOATS = ("float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn")


class _Absent:
    """Nothing stands at this place of a tree; None is a value."""


ABSENT = _Absent()


def leave_out(tree: Any) -> tuple[Any, dict[str, str]]:
    """A tree without the leaves that no file can hold, as dicts, lists and tuples.

    Returns:
      The tree, with None at their places in lists and tuples, and the reasons by name.
    """
    reasons: dict[str, str] = {}

    def rest(node: Any, name: str) -> Any:
        if node is None or trees.is_leaf(node):
            reason = None if node is None else _why_never(node)
            if reason is not None:
                reasons[name or trees.ROOT] = reason
            return node if reason is None else ABSENT
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        found = {key: rest(child, f"{name}/{key}" if name else str(key)) for key, child in pairs}
        if isinstance(node, dict):
            return {key: child for key, child in found.items() if child is not ABSENT}
        return type(node)(None if child is ABSENT else child for child in found.values())

    kept = rest(trees.plain(tree), "")
    return (None if kept is ABSENT else kept), reasons


def count_coded(tree: Any) -> int:
    """Numbers of a tree that the codes for weights take."""
    return sum(trees.as_array(leaf).size for _, leaf in trees.flatten(tree)[0] if is_coded(leaf))


def count_exact(tree: Any) -> int:
    """Tensors of a tree that are stored exactly."""
    return sum(not is_coded(leaf) for _, leaf in trees.flatten(tree)[0])


def wider(tree: Any) -> list[str]:
    """Names of the floats wider than float64, which come back as float64."""
    return [name for name, leaf in trees.flatten(tree)[0] if is_wider(trees.as_array(leaf))]


def is_wider(array: np.ndarray) -> bool:
    """Whether numbers are NumPy's longdouble, where that is wider than float64."""
    return array.dtype.kind == "f" and array.dtype.name not in DTYPE_NAMES


def why_not(leaf: Any) -> str | None:
    """Why a leaf cannot be stored; None where it can."""
    reason = _why_never(leaf)
    if reason is not None:
        return reason
    array = trees.as_array(leaf)
    if array.dtype.kind in "fc" or trees.is_float(array.dtype):
        # NaN is what does not equal itself, in extended dtypes too; no copy of large arrays.
        n_broken = int(np.count_nonzero(array != array))
        if n_broken:
            return f"{n_broken} of {array.size} values are NaN; mend or remove them"
    if is_wider(array) and not np.array_equal(np.isinf(array), np.isinf(_as_float64(array))):
        return f"{array.dtype} values beyond float64; scale them"
    return None


def _as_float64(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return array.astype(np.float64)


def _why_never(leaf: Any) -> str | None:
    """Why no file can hold leaves of a kind; None where one can."""
    try:
        array = trees.as_array(leaf)
    except (TypeError, ValueError) as error:
        return str(error).splitlines()[0]
    if array.dtype.kind in "USO":
        return "text or objects, not numbers"
    if array.dtype.name not in DTYPE_NAMES and not is_wider(array):
        return f"numbers of the dtype {array.dtype}"
    return None


def is_coded(leaf: Any) -> bool:
    """Whether a leaf is a tensor that the codes for weights take; others are stored exactly."""
    dtype = getattr(leaf, "dtype", None)
    if isinstance(leaf, float):
        return math.isfinite(leaf)
    if dtype is None or trees.is_key(leaf) or not trees.is_float(np.dtype(dtype)):
        return False
    array = np.asarray(leaf)
    if array.ndim > parameter_tree.MAX_RANK or array.dtype.name in _EXACT_FLOATS:
        return False
    with np.errstate(over="ignore", under="ignore"):
        single = array.astype(np.float32, copy=False)
    if array.dtype.itemsize > single.itemsize and array.any():
        largest = max(float(single.max()), -float(single.min()))
        if largest < np.finfo(np.float32).tiny:
            return False
    return bool(np.isfinite(single).all())
