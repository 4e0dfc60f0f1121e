"""Names for the leaves of any tree, and a user's own tree around other leaves.

A tree is made of dicts, lists, tuples and None, or of any other node that JAX knows: named tuples,
flax's FrozenDict and nnx states, dataclasses. A leaf's name is its path with slashes:
"params/Dense_0/kernel". Keys that hold dots or slashes stay as they are, so that the flat names of
other frameworks, such as "layer.0.weight", are names here as well.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

ROOT = "the tensor"
"""Name of a leaf that is the whole tree."""


class Node(NamedTuple):
    """One node of a tree, opened.

    Attributes:
      keys: of its children: text, or whole numbers; None for the one child of a wrapper, such as
        the value of an nnx variable, which adds nothing to a name.
      children: in the order of `keys`.
      build: the same node around other children.
    """

    keys: list[str | int | None]
    children: list[Any]
    build: Callable[[Sequence[Any]], Any]


def open_node(tree: Any) -> Node | None:
    """The children of a node; None for a leaf.

    Raises:
      ValueError: a dict with a key that is neither text nor a whole number.
    """
    if type(tree) is dict:
        wrong = [key for key in tree if not isinstance(key, str) and type(key) is not int]
        if wrong:
            raise ValueError(f"keys of a tree are text or whole numbers, not {wrong[0]!r}")
        keys = list(tree)
        return Node(keys, list(tree.values()), lambda new: dict(zip(keys, new, strict=True)))
    if type(tree) in (list, tuple):
        return Node(list(range(len(tree))), list(tree), type(tree))
    if tree is None:
        return Node([], [], lambda _: None)
    if is_leaf(tree):
        return None
    return _open_with_jax(tree)


def is_leaf(tree: Any) -> bool:
    """Whether something is an array or a scalar."""
    if isinstance(tree, bool | int | float | complex | str | bytes | np.ndarray | np.generic):
        return True
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(tree, jax.Array | jax.ShapeDtypeStruct)


def flatten(tree: Any) -> tuple[list[tuple[str, Any]], Callable[[Sequence[Any]], Any]]:
    """Name and leaf of every leaf, and a function from new leaves to the tree around them.

    Raises:
      ValueError: two leaves of one name; names it.
    """
    found: list[tuple[str, Any]] = []
    rebuild = _flatten(tree, None, found)
    twice = [name for name, count in Counter(name for name, _ in found).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]}: two leaves have this path")

    def around(leaves: Sequence[Any]) -> Any:
        rest = iter(leaves)
        return rebuild(lambda: next(rest))

    return found, around


def plain(tree: Any) -> Any:
    """The tree as dicts, lists, tuples and None: named tuples and other nodes become dicts."""
    node = open_node(tree)
    if node is None or tree is None:
        return tree
    children = [plain(child) for child in node.children]
    if node.keys == [None]:
        return children[0]
    if type(tree) in (list, tuple):
        return node.build(children)
    return dict(zip(node.keys, children, strict=True))


def nested(named: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts from names with slashes; the flat dict itself where names do not nest.

    Names do not nest where a part is empty ("a//b"), or one name runs through another ("a", "a/b").
    """
    tree: dict[str, Any] = {}
    folders = {id(tree)}
    for name, leaf in named.items():
        *path, last = name.split("/")
        node = tree
        for folder in path:
            if folder not in node:
                node[folder] = {}
                folders.add(id(node[folder]))
            node = node[folder]
            if id(node) not in folders:
                return dict(named)
        if last in node or not all((*path, last)):
            return dict(named)
        node[last] = leaf
    return tree


def restore(named: Mapping[str, Any], like: Any, *, source: str = "the file") -> Any:
    """Leaves by name in the structure, shapes and dtypes of another tree.

    Args:
      named: what there is.
      like: what is wanted; its values are not read. Where a name is not found, names are compared
        with dots for slashes, and with the names that JAX gives.
      source: what messages call `named`.

    Returns:
      A tree of the structure and dtypes of `like`, with JAX arrays where it has them.

    Raises:
      ValueError: a leaf that is missing, one too many, or one of another shape; names it.
    """
    wanted, rebuild = flatten(like)
    names = [name for name, _ in wanted]
    named = _under_names(named, names)
    for name, leaf in wanted:
        if name not in named:
            raise ValueError(f"{name}: not in {source}, which holds {_some(named)}")
        found, shape = named[name], _shape(leaf)
        if np.shape(found) != shape:
            raise ValueError(f"{name}: shape {np.shape(found)} in {source}, {shape} in `like`")
    extra = [name for name in named if name not in set(names)]
    if extra:
        raise ValueError(f"{extra[0]}: in {source}, but not in `like`")
    return rebuild([cast(named[name], leaf) for name, leaf in wanted])


def cast(value: Any, leaf: Any) -> Any:
    """A value in the type, dtype and array library of a leaf; floats stay finite."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return type(leaf)(np.asarray(value).item()) if not isinstance(leaf, str) else str(value)
    jax = sys.modules.get("jax")
    if jax is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        impl = jax.random.key_impl(leaf) if isinstance(leaf, jax.Array) else None
        return jax.random.wrap_key_data(np.asarray(value), impl=impl)
    array = to_dtype(np.asarray(value), dtype)
    if jax is not None and isinstance(leaf, jax.Array):
        return jax.numpy.asarray(array)
    return array


def to_dtype(array: np.ndarray, dtype: Any) -> np.ndarray:
    """An array in another dtype; a float beyond the largest of a narrower one becomes that."""
    dtype = np.dtype(dtype)
    if array.dtype == dtype:
        return array
    if array.dtype.kind == "f" and is_float(dtype) and dtype.itemsize < array.dtype.itemsize:
        largest = float(_largest(dtype))
        finite = np.isfinite(array)
        array = np.where(finite, np.clip(array, -largest, largest), array)
    return array.astype(dtype)


def is_float(dtype: np.dtype) -> bool:
    """Whether numbers are real floats, those of ml_dtypes (bfloat16, float8) included."""
    return dtype.kind == "f" or is_extended(dtype)


def is_extended(dtype: np.dtype) -> bool:
    """Whether numbers are floats that NumPy itself does not know: bfloat16, float8 and narrower."""
    return dtype.name.startswith(("bfloat16", "float8_", "float6_", "float4_"))


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of JAX's typed random keys."""
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(leaf, jax.Array):
        return False
    return bool(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def as_array(leaf: Any) -> np.ndarray:
    """A leaf as a NumPy array; typed random keys as their words, uint32."""
    if is_key(leaf):
        import jax

        return np.asarray(jax.random.key_data(leaf))
    return np.asarray(leaf)


def _flatten(
    tree: Any, name: str | None, found: list[tuple[str, Any]]
) -> Callable[[Callable[[], Any]], Any]:
    node = open_node(tree)
    if node is None:
        found.append((ROOT if name is None else name, tree))
        return lambda take: take()
    rebuilds = []
    for key, child in zip(node.keys, node.children, strict=True):
        parts = [str(part) for part in (name, key) if part is not None]
        rebuilds.append(_flatten(child, "/".join(parts) if parts else None, found))
    return lambda take: node.build([rebuild(take) for rebuild in rebuilds])


def _open_with_jax(tree: Any) -> Node | None:
    """A node of another kind is JAX's, so JAX is there."""
    import jax

    def below(child: Any) -> bool:
        return child is not tree

    flat, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=below)
    if len(flat) == 1 and flat[0][1] is tree:
        return None
    if len(flat) == 1 and flat[0][0] == (jax.tree_util.GetAttrKey("value"),):
        keys: list[str | int | None] = [None]
    else:
        keys = [_key(path[0]) for path, _ in flat]
    return Node(keys, [child for _, child in flat], structure.unflatten)


def _key(entry: Any) -> str | int:
    for attribute in ("key", "idx", "name"):
        key = getattr(entry, attribute, None)
        if key is not None:
            return key if isinstance(key, str) or type(key) is int else str(key)
    return str(entry)


def _shape(leaf: Any) -> tuple[int, ...]:
    if is_key(leaf):
        return as_array(leaf).shape
    return tuple(leaf.shape) if hasattr(leaf, "shape") else np.shape(leaf)


def _under_names(named: Mapping[str, Any], wanted: list[str]) -> Mapping[str, Any]:
    """What there is, by the wanted names: as they are, without ".value", with slashes for dots."""
    missing = set(wanted) - set(named)
    if not missing:
        return named
    for change in (_without_value, _with_slashes, lambda name: _with_slashes(_without_value(name))):
        changed = {change(name): leaf for name, leaf in named.items()}
        back = {change(name): name for name in wanted}
        if len(changed) == len(named) and len(back) == len(wanted) and back.keys() <= set(changed):
            return {back.get(name, name): leaf for name, leaf in changed.items()}
    return named


def _without_value(name: str) -> str:
    return name.removesuffix("/value")


def _with_slashes(name: str) -> str:
    return name.replace(".", "/")


def _largest(dtype: np.dtype) -> Any:
    if not is_extended(dtype):
        return np.finfo(dtype).max
    import ml_dtypes

    return ml_dtypes.finfo(dtype).max


def _some(named: Mapping[str, Any]) -> str:
    """The first few names, for a message of one line."""
    names = list(named)
    return (", ".join(names[:4]) or "nothing") + (", ..." if len(names) > 4 else "")
