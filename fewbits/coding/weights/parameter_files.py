"""Parameter trees to the shortest file that holds them, and back from a file of any kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fewbits.coding import container
from fewbits.coding.weights import (
    model_file,
    parameter_tree,
    prior_file,
    sparse_code,
    whole_tree,
)
from fewbits.coding.weights.parameter_tree import BitsSpec
from fewbits.io import trees
from fewbits.io.errors import FormatError

DEFAULT_BITS = 8


def params_to_bytes(tree: Any, *, bits: BitsSpec = None, step: float | None = None) -> bytes:
    """A parameter tree as the shortest file that holds it at the given precision.

    Every tensor of floats is rounded to a uniform grid, and the grid's symbols are entropy coded:
    all of them, or zeros apart from the rest, which is shorter for pruned networks; the shorter
    file is returned. `params_to_bytes` of a decoded tree loses nothing more.
    Tensors of whole numbers, booleans and complex numbers, JAX's random keys, and floats that are
    infinite or beyond float32 are stored exactly; names, dtypes and None come back as well.

    Args:
      tree: pytree of arrays of any shapes. Dicts with text or whole numbers as keys, lists and
        tuples are stored as they are; any other pytree (named tuples, FrozenDict, nnx states) is
        stored as nested dicts, and comes back with `like`.
      bits: 2 to 16 bits per parameter for a grid that spans each tensor's range, "float16" or
        "float32": one for all tensors, a mapping from path or pattern ("dense1/kernel", "*/bias";
        first match, float32 where none matches), or a function of path and tensor. None, without a
        step, means 8.
      step: instead of bits, one step for all tensors, in the unit of the parameters: each is
        rounded to the nearest multiple, which changes it by at most step / 2.

    Returns:
      The file; `save` writes it to a disk, `params_from_bytes` decodes it.

    Raises:
      ValueError: bits and a step at once, bits or a step that cannot be, or a leaf that no file can
        hold, such as text or NaN; names the leaf.

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
    whole = whole_tree.take_apart(tree)
    data = _coded(whole.floats, bits, step)
    if not whole.header:
        return data
    floats = container.read_archive(data)
    return container.write_archive(
        floats.kind, {**floats.header, **whole.header}, {**floats.sections, **whole.sections}
    )


def params_from_bytes(data: bytes, like: Any = None) -> Any:
    """The parameter tree of a file: of `params_to_bytes`, of pruning, or of `fewbits weights`.

    Args:
      data: the whole file.
      like: a pytree with the structure, shapes and dtypes that are wanted, such as the user's own
        initial parameters or their `jax.ShapeDtypeStruct`s; its values are not read. Leaves are
        matched by their paths.

    Returns:
      Without `like`, NumPy arrays in the dtypes that were given, in nested dicts, lists and tuples;
        float32 from files of `pruning` and of earlier versions. With it, a tree of its structure
        and dtypes, with JAX arrays where it has them and NumPy arrays elsewhere.

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
    archive = container.read_archive(data)
    if archive.kind not in readers:
        raise FormatError(f"a file of kind {archive.kind!r} holds no parameters")
    read = readers[archive.kind]
    if whole_tree.is_whole(archive):
        alone = whole_tree.floats_of(archive)
        floats = read(container.write_archive(alone.kind, alone.header, alone.sections))
        tree = whole_tree.put_together(floats, archive.header, archive.sections)
    else:
        tree = read(data)
    return tree if like is None else trees.restore(dict(trees.flatten(tree)[0]), like)


def _coded(floats: Any, bits: BitsSpec, step: float | None) -> bytes:
    """The shortest file of a tree of floats."""
    named = parameter_tree.tensors(floats)
    if step is not None and named:
        return _with_step(floats, step)
    bits = DEFAULT_BITS if bits is None else bits
    dense = model_file.write_model(floats, bits=bits)
    chosen = parameter_tree.choose_bits(named, bits)
    if not named or not all(isinstance(one, int) for one in chosen):
        return dense
    try:
        return min(sparse_code.write_sparse(floats, bits), dense, key=len)
    except ValueError:  # more zeros than a sparse stream may stand for
        return dense


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
