"""Parameter trees to the shortest file that holds them, and back from a file of any kind."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fewbits.coding import container
from fewbits.coding.weights import model_file, parameter_tree, prior_file, sparse_code
from fewbits.coding.weights.parameter_tree import BitsSpec
from fewbits.io.errors import FormatError

DEFAULT_BITS = 8


def params_to_bytes(tree: Any, *, bits: BitsSpec = None, step: float | None = None) -> bytes:
    """A parameter tree as the shortest file that holds it at the given precision.

    Every tensor is rounded to a uniform grid, and the grid's symbols are entropy coded: all of
    them, or zeros apart from the rest, which is shorter for pruned networks; the shorter file is
    returned. What comes back is exact: `params_to_bytes` of a decoded tree loses nothing more.

    Args:
      tree: pytree of float arrays of any shapes. A structure of dicts with string keys, lists and
        tuples is stored as it is; any other pytree (NamedTuples, flax states, None as an empty
        node) needs JAX and is stored as nested dicts, named by its paths.
      bits: 2 to 16 bits per parameter for a grid that spans each tensor's range, "float16" or
        "float32": one for all tensors, a mapping from path or pattern ("dense1/kernel", "*/bias";
        first match, float32 where none matches), or a function of path and tensor. None, without a
        step, means 8.
      step: instead of bits, one step for all tensors, in the unit of the parameters: each is
        rounded to the nearest multiple, which changes it by at most step / 2.

    Returns:
      The file; `save` writes it to a disk, `params_from_bytes` decodes it.

    Raises:
      ValueError: bits and a step at once, bits or a step that cannot be, or a leaf that is not an
        array of finite floats; names the leaf.

    Example:
      >>> import numpy as np
      >>> from fewbits.coding import params_from_bytes, params_to_bytes
      >>> tree = {"dense": {"kernel": np.linspace(-1, 1, 1000).reshape(10, 100)}}
      >>> data = params_to_bytes(tree, bits=4)
      >>> len(data) < 1000 * 4 / 8 + 150
      True
      >>> kernel = params_from_bytes(data)["dense"]["kernel"]
      >>> bool(np.abs(kernel - tree["dense"]["kernel"]).max() <= 1 / 7 / 2 + 1e-6)
      True
    """
    if bits is not None and step is not None:
        raise ValueError("give bits or a step, not both")
    tree = _stored_form(tree)
    if step is not None:
        return _with_step(tree, step)
    bits = DEFAULT_BITS if bits is None else bits
    dense = model_file.write_model(tree, bits=bits)
    named = parameter_tree.tensors(tree)
    if not all(isinstance(one, int) for one in parameter_tree.choose_bits(named, bits)):
        return dense
    try:
        return min(sparse_code.write_sparse(tree, bits), dense, key=len)
    except ValueError:  # more zeros than a sparse stream may stand for
        return dense


def params_from_bytes(data: bytes, like: Any = None) -> Any:
    """The parameter tree of a file: of `params_to_bytes`, of pruning, or of `fewbits weights`.

    Args:
      data: the whole file.
      like: a pytree with the structure, shapes and dtypes that are wanted, such as the user's own
        initial parameters or their `jax.ShapeDtypeStruct`s; its values are not read. Leaves are
        matched by their paths.

    Returns:
      Without `like`, float32 NumPy arrays in nested dicts, lists and tuples. With it, a tree of its
      structure and dtypes, with JAX arrays where it has them and NumPy arrays elsewhere.

    Raises:
      FormatError: damaged, or a file that holds no parameters.
      ValueError: a leaf of `like` that the file lacks or holds in another shape, or one that
        `like` lacks; names the leaf.

    Example:
      >>> import numpy as np
      >>> from fewbits.coding import params_from_bytes, params_to_bytes
      >>> params = [np.zeros((2, 3), np.float16), np.ones(3, np.float16)]
      >>> restored = params_from_bytes(params_to_bytes(params), like=params)
      >>> [(leaf.shape, str(leaf.dtype)) for leaf in restored]
      [((2, 3), 'float16'), ((3,), 'float16')]
    """
    readers = {
        model_file.KIND: model_file.read_model,
        sparse_code.KIND: sparse_code.read_sparse,
        prior_file.KIND: prior_file.read_coded,
    }
    kind = container.read_archive(data).kind
    if kind not in readers:
        raise FormatError(f"a file of kind {kind!r} holds no parameters")
    tree = readers[kind](data)
    return tree if like is None else _restored(tree, like)


def _with_step(tree: Any, step: float) -> bytes:
    """The shortest of the files that hold multiples of one step."""
    writers: list[Callable[[], bytes]] = [
        lambda: sparse_code.write_sparse(tree, step=step),
        *(lambda f=family: prior_file.write_coded(tree, step, f) for family in prior_file.FAMILIES),
    ]
    files, refusals = [], []
    for write in writers:
        try:
            files.append(write())
        except ValueError as error:  # too many zeros for one, too wide a range for another
            refusals.append(error)
    if not files:
        raise refusals[0]
    return min(files, key=len)


def _is_plain(tree: Any) -> bool:
    """Whether a tree is made of dicts with string keys, lists, tuples and arrays alone."""
    if type(tree) is dict:
        return all(isinstance(key, str) and _is_plain(item) for key, item in tree.items())
    if type(tree) in (list, tuple):
        return all(_is_plain(item) for item in tree)
    return isinstance(tree, float) or (hasattr(tree, "dtype") and hasattr(tree, "shape"))


def _flattened(tree: Any) -> tuple[list[tuple[str, Any]], Callable[[list[Any]], Any]]:
    """Path and leaf of every leaf, and a function from new leaves to the tree's structure."""
    if _is_plain(tree):
        named: list[tuple[str, Any]] = []
        parameter_tree.map_leaves(tree, lambda path, leaf: named.append((path, leaf)))

        def rebuild(leaves: list[Any]) -> Any:
            rest = iter(leaves)
            return parameter_tree.map_leaves(tree, lambda *_: next(rest))

        return named, rebuild
    # A pytree of another kind is JAX's, so JAX is there.
    import jax

    flat, structure = jax.tree_util.tree_flatten_with_path(tree)
    named = [(jax.tree_util.keystr(keys, simple=True, separator="/"), leaf) for keys, leaf in flat]
    return named, structure.unflatten


def _stored_form(tree: Any) -> Any:
    """The tree itself where a file holds its structure, nested dicts otherwise."""
    if _is_plain(tree):
        return tree
    named, _ = _flattened(tree)
    nested: dict[str, Any] = {}
    for path, leaf in named:
        *folders, last = path.split("/")
        node = nested
        for folder in folders:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                raise ValueError(f"{path}: the path runs through another leaf's")
        if last in node:
            raise ValueError(f"{path}: two leaves have this path")
        node[last] = leaf
    return nested


def _restored(tree: Any, like: Any) -> Any:
    """The tensors of a tree in the structure, shapes and dtypes of another."""
    stored = _flattened(tree)[0]
    wanted, rebuild = _flattened(like)
    for paths in ([path for path, _ in stored], [path for path, _ in wanted]):
        twice = [path for path, count in Counter(paths).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]}: two leaves have this path")
    tensors = dict(stored)
    for path, leaf in wanted:
        if path not in tensors:
            raise ValueError(f"{path}: not in the file, which holds {_some(tensors)}")
        shape = tuple(np.shape(leaf) if isinstance(leaf, float) else leaf.shape)
        if tensors[path].shape != shape:
            raise ValueError(f"{path}: shape {tensors[path].shape} in the file, {shape} in `like`")
    extra = tensors.keys() - {path for path, _ in wanted}
    if extra:
        raise ValueError(f"{min(extra)}: in the file, but not in `like`")
    return rebuild([_cast(tensors[path], leaf) for path, leaf in wanted])


def _some(tensors: Mapping[str, Any]) -> str:
    """The first few paths, for a message of one line."""
    paths = list(tensors)
    return ", ".join(paths[:4]) + (", ..." if len(paths) > 4 else "")


def _cast(tensor: np.ndarray, leaf: Any) -> Any:
    """A tensor in the dtype and the array library of another."""
    found = tensor.astype(getattr(leaf, "dtype", np.float64))
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(leaf, jax.Array):
        return jax.numpy.asarray(found)
    return found
