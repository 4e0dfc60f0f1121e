"""Parameter trees to the shortest file that holds them, and back from a file of any kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fewbits.coding import container
from fewbits.coding.inspection.kinds import wrong_kind
from fewbits.coding.weights import model_file, prior_file
from fewbits.coding.weights.sparse import sparse_code
from fewbits.coding.weights.trees import parameter_tree, whole_tree
from fewbits.coding.weights.trees.parameter_tree import BitsSpec
from fewbits.io import trees

ADAPTIVE = "adaptive"
_MANY = 1 << 20
"""Beyond so many parameters only the code is tried that is nearly always the shortest."""
_TRIES = 8
"""Of files within an error."""


def params_to_bytes(
    tree: Any,
    *,
    bits: BitsSpec = None,
    step: float | None = None,
    max_mse: float | None = None,
) -> bytes:
    """A parameter tree as the shortest file that holds it at the given precision.

    By default, and with `max_mse`, weights are quantised by rate and distortion (trellis-coded
    quantisation): about a fifth of a bit a weight less than with `step` at the same error.
    By default the mean squared error of all matrices together is about 1/256 of their mean square
    or less. They share one step, so a matrix of smaller weights loses more of its own, but at most
    about four times as much; biases and norm scales are finer. Zeros stay zeros.
    With `bits` or `step` each number is rounded to the nearest value of a uniform grid, and
    `params_to_bytes` of a decoded tree loses nothing more. Several codes are tried, and the
    shortest file is returned.
    Tensors of whole numbers, booleans and complex numbers, JAX's random keys, and floats that are
    infinite, beyond float32 or all too small for it are stored exactly; names, dtypes and None
    come back as well, except that a longdouble becomes float64.

    Args:
      tree: pytree of arrays of any shapes. Dicts with text or whole numbers as keys, lists and
        tuples are stored as they are; any other pytree (named tuples, FrozenDict, nnx states) is
        stored as nested dicts, and comes back with `like`.
      bits: 2 to 16 bits per parameter for a grid that spans each tensor's range, "float16" or
        "float32": one for all tensors, a mapping from path or pattern ("dense1/kernel", "*/bias";
        first match, float32 where none matches), or a function of path and tensor.
      step: instead of bits, one step for all tensors, in the unit of the parameters: each is
        rounded to the nearest multiple, which changes it by at most step / 2.
      max_mse: instead, the mean squared error over all parameters is at most this in the dtypes
        that come back, in the unit of the parameters squared.

    Returns:
      The file; `save` writes it to a disk, `params_from_bytes` decodes it.

    Raises:
      ValueError: more than one of bits, step and max_mse, one that cannot be, or a leaf that no
        file can hold, such as text or NaN; names the leaf.

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
    if sum(one is not None for one in (bits, step, max_mse)) > 1:
        raise ValueError("give one of bits, a step and max_mse, not several")
    whole = whole_tree.take_apart(tree)
    if max_mse is None:
        return _file(whole, _coded(whole.floats, bits, step, None))
    return _within(whole, max_mse)


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
    readers: dict[str, Callable[[bytes], Any]] = {
        ADAPTIVE: _read_adaptive,
        model_file.KIND: model_file.read_model,
        sparse_code.KIND: sparse_code.read_sparse,
        prior_file.KIND: prior_file.read_coded,
    }
    archive = container.read_archive(data)
    if archive.kind not in readers:
        raise wrong_kind(archive.kind, "one of parameters")
    read = readers[archive.kind]
    if whole_tree.is_whole(archive):
        alone = whole_tree.floats_of(archive)
        floats = read(container.write_archive(alone.kind, alone.header, alone.sections))
        tree = whole_tree.put_together(floats, archive.header, archive.sections)
    else:
        tree = read(data)
    return tree if like is None else trees.restore(dict(trees.flatten(tree)[0]), like)


def _file(whole: whole_tree.Whole, floats: bytes) -> bytes:
    """A file of the floats with what goes beside them."""
    if not whole.header:
        return floats
    alone = container.read_archive(floats)
    return container.write_archive(
        alone.kind, {**alone.header, **whole.header}, {**alone.sections, **whole.sections}
    )


def _within(whole: whole_tree.Whole, max_mse: float) -> bytes:
    """The file whose mean squared error is at most this in the dtypes that come back.

    Rounding to a narrow dtype, or of large numbers to float32, adds to the error of the trellis.

    Raises:
      ValueError: an error that cannot be, or that no file has.
    """
    limit, error = max_mse, 0.0
    for _ in range(_TRIES):
        data = _file(whole, _coded(whole.floats, None, None, limit))
        error = _mean_squared_error(whole.floats, params_from_bytes(data))
        if error <= max_mse:
            return data
        limit *= 0.9 * max_mse / error
    raise ValueError(f"a mean squared error of {max_mse:g} is too small; {error:g} can be reached")


def _mean_squared_error(floats: Any, decoded: Any) -> float:
    there = dict(trees.flatten(decoded)[0])
    total, count = 0.0, 0
    for name, leaf in trees.flatten(floats)[0]:
        given, back = (trees.as_array(one).astype(np.float64) for one in (leaf, there[name]))
        total += float(np.sum(np.square(given - back)))
        count += given.size
    return total / max(count, 1)


def _coded(floats: Any, bits: BitsSpec, step: float | None, max_mse: float | None) -> bytes:
    """The shortest file of a tree of floats."""
    # Here, because it takes half a second to import.
    from fewbits.coding.adaptive import adaptive_file

    named = parameter_tree.tensors(floats)
    if not named:
        return model_file.write_model(floats, bits=bits)
    if max_mse is not None:
        return adaptive_file.write_trellis(floats, max_mse=max_mse)
    if bits is None and step is None:
        return adaptive_file.write_trellis(floats)
    writers: list[Callable[[], bytes]] = []
    if step is not None:
        writers = [lambda: adaptive_file.write_grid(floats, step=step)]
        others = [
            lambda: sparse_code.write_sparse(floats, step=step),
            *(
                lambda family=family, step=step: prior_file.write_coded(floats, step, family)
                for family in prior_file.FAMILIES
            ),
        ]
    else:
        writers = [lambda: adaptive_file.write_grid(floats, bits)]
        others = [lambda: model_file.write_model(floats, bits=bits)]
        chosen = parameter_tree.choose_bits(named, bits)
        if all(isinstance(one, int) for one in chosen):
            others.append(lambda: sparse_code.write_sparse(floats, bits))
    few = sum(tensor.size for _, tensor in named) <= _MANY
    return _shortest(writers + (others if few else []))


def _read_adaptive(data: bytes) -> Any:
    from fewbits.coding.adaptive import reading

    return reading.read_adaptive(data)


def _shortest(writers: list[Callable[[], bytes]]) -> bytes:
    """The shortest of the files that can be written.

    Raises:
      ValueError: none can; the reason of the first.
    """
    files, refusals = [], []
    for write in writers:
        try:
            files.append(write())
        except ValueError as error:  # too many zeros for one, too wide a range for another
            refusals.append(error)
    if not files:
        raise refusals[0]
    return min(files, key=len)
