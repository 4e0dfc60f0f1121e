"""Files of kind `adaptive`: parameter trees under a context-mixing code.

Tensors are on a uniform grid (the grids of kinds `model` and `sparse`) or on the path of a trellis,
or stored as floats. All numbers share one stream and one set of contexts, so a small tensor profits
from what a large one has taught; there are no tables to send. Trees of mostly zeros have a second
form, with contexts of their own (`pruned_scan`) and a short header.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import container
from fewbits.coding.adaptive import layout, quantiser, steps, trellis
from fewbits.coding.adaptive.reading import FLOATS, KIND, PRUNED, SYMBOLS, TREE, element_limit
from fewbits.coding.adaptive.tensor_coder import Encoder
from fewbits.coding.weights import fixed_step, model_file, uniform_grid
from fewbits.coding.weights.trees import packed_tree, parameter_tree
from fewbits.coding.weights.trees.parameter_tree import GRID, SHIFTED_GRID, BitsSpec, Leaf
from fewbits.coding.weights.uniform_grid import Grid

_SEARCHES = 12
_SLACK, _CLOSE = 1.05, 0.98
_MANY, _STATES_OF_MANY = 1 << 23, 6
_BITS_AT_THE_END = 8
_LARGEST = float(np.finfo(np.float32).max)


class _Tensor(NamedTuple):
    leaf: Leaf
    data: np.ndarray | bytes
    """int32[n] on a grid or a trellis, otherwise the bytes of floats."""


def write_grid(params: Any, bits: BitsSpec = 8, *, step: float | None = None) -> bytes:
    """A file of tensors rounded to uniform grids: the values that the other kinds would hold.

    Args:
      params: dicts with string keys, lists and tuples, with arrays of floats at the leaves.
      bits: 2 to 16, "float16" or "float32" per tensor, see `BitsSpec`.
      step: one step for all tensors instead; then `bits` says nothing.

    Raises:
      ValueError: a tree, a tensor, bits or a step that cannot be.
    """
    named = parameter_tree.tensors(params)
    if step is not None:
        coded = [fixed_step.quantise(path, tensor, step) for path, tensor in named]
        return _of_grids(params, [_Tensor(leaf, grid.symbols) for leaf, grid in coded])
    chosen = parameter_tree.choose_bits(named, bits)
    found = []
    for (path, tensor), precision in zip(named, chosen, strict=True):
        leaf, data = model_file.code(path, tensor, precision)
        found.append(_Tensor(leaf, data.symbols if isinstance(data, Grid) else data))
    return _of_grids(params, found)


def write_trellis(
    params: Any,
    *,
    relative_error: float = steps.RELATIVE_ERROR,
    max_mse: float | None = None,
    states: int | None = None,
) -> bytes:
    """A file of tensors on the paths of a trellis that are best by error and rate.

    Args:
      params: dicts with string keys, lists and tuples, with arrays of floats at the leaves.
      relative_error: mean squared error over mean square of the nonzero weights, about, see
        `steps`.
      max_mse: instead, the mean squared error over all parameters is at most this; the largest
        step that keeps to it is looked for.
      states: logarithm to base two of the trellis's states, 2 to 8; None for the most that take
        seconds.

    Raises:
      ValueError: a tree or a tensor that cannot be stored, or an error that cannot be.
    """
    named = parameter_tree.tensors(params)
    found = {i: _constant(tensor) for i, (_, tensor) in enumerate(named) if _is_constant(tensor)}
    pruned = layout.is_pruned([tensor for _, tensor in named])
    outputs_first = pruned and layout.has_outputs_first([tensor.shape for _, tensor in named])
    rest = [tensor for i, (_, tensor) in enumerate(named) if i not in found]
    if outputs_first:
        rest = [layout.outputs_last(tensor) for tensor in rest]
    if states is None:
        many = sum(tensor.size for tensor in rest) > _MANY
        states = _STATES_OF_MANY if many else trellis.MOST_STATES
    chosen, quantised = _searched(rest, relative_error, max_mse, states)
    for i, (_, tensor) in enumerate(named):
        if i in found:
            continue
        step, values = chosen.pop(0), quantised.pop(0)
        largest = max(int(values.max(initial=0)), -int(values.min(initial=0)))
        if largest * step < _LARGEST:
            leaf = Leaf(GRID, tensor.shape, uniform_grid.MAX_BITS, states, step)
            found[i] = _Tensor(leaf, values)
        else:  # rounding up would pass the largest float32
            found[i] = _rounded_down(
                layout.outputs_last(tensor) if outputs_first else tensor, tensor.shape
            )
    whole = [found[i] for i in range(len(named))]
    return _written(params, whole, (int(outputs_first) if pruned else None))


def _searched(
    tensors: list[np.ndarray], relative_error: float, max_mse: float | None, states: int
) -> tuple[list[float], list[np.ndarray]]:
    """Steps that keep to an error, and the values in steps; the largest ones for `max_mse`."""
    scales = steps.measure(tensors)
    counted = [True] * len(tensors) if max_mse is not None else scales.matrix
    if max_mse is None:
        goal = relative_error * scales.square * scales.nonzeros
        step = steps.first_step(relative_error * scales.square)
    else:
        if not (np.isfinite(max_mse) and max_mse > 0):
            raise ValueError(f"a mean squared error is a positive number, not {max_mse}")
        count = sum(tensor.size for tensor in tensors)
        goal = max_mse * count
        step = steps.first_step(max_mse * count / max(scales.nonzeros, 1))
    low, high, best = 0.0, np.inf, None
    for _ in range(_SEARCHES):
        chosen = steps.tensor_steps(tensors, scales, step)
        try:
            quantised = quantiser.quantise(tensors, chosen, states)
        except ValueError as error:
            if max_mse is None:
                raise
            raise ValueError(
                f"a mean squared error of {max_mse:g} is too small; give a larger one"
            ) from error
        error = sum(e for e, one in zip(quantised.squared_errors, counted, strict=True) if one)
        if error <= goal * (_SLACK if max_mse is None else 1.0):
            low, best = step, (chosen, quantised.values)
            if max_mse is None or error >= _CLOSE * goal or error == 0:
                break
        else:
            high = step
        step *= min(max(((0.99 * goal) / max(error, 1e-300)) ** 0.5, 0.25), 4.0)
        if not low < step < high:
            step = (low * high) ** 0.5 if low > 0 else high / 2
    if best is None:
        raise ValueError(f"no step gives a mean squared error of {max_mse}")
    return best


def _is_constant(tensor: np.ndarray) -> bool:
    return tensor.size > 0 and bool(tensor.min() == tensor.max())


def _rounded_down(tensor: np.ndarray, shape: tuple[int, ...]) -> _Tensor:
    """A tensor whose largest magnitude is a value of its grid, or the next float32 below."""
    limit = uniform_grid.largest_symbol(_BITS_AT_THE_END)
    largest = max(float(tensor.max()), -float(tensor.min()))
    step = np.nextafter(np.float32(largest / limit), np.float32(0))
    symbols = np.clip(uniform_grid.multiples(tensor, step), -limit, limit)
    return _Tensor(Leaf(GRID, shape, _BITS_AT_THE_END, 0, float(step)), symbols)


def _constant(tensor: np.ndarray) -> _Tensor:
    """A tensor of one value, exact and nearly free."""
    grid = uniform_grid.quantise(tensor, uniform_grid.MIN_BITS)
    codec = SHIFTED_GRID if grid.zero != 0 else GRID
    leaf = Leaf(codec, tensor.shape, uniform_grid.MIN_BITS, 0, float(grid.step), float(grid.zero))
    return _Tensor(leaf, grid.symbols)


def _of_grids(params: Any, tensors: list[_Tensor]) -> bytes:
    """The file of tensors that are rounded one by one, in the form that suits them."""
    shaped = [
        one.data.reshape(one.leaf.shape) for one in tensors if isinstance(one.data, np.ndarray)
    ]
    if not layout.is_pruned(shaped):
        return _written(params, tensors, None)
    if not layout.has_outputs_first([tensor.shape for tensor in shaped]):
        return _written(params, tensors, 0)
    turned = [
        one._replace(data=layout.outputs_last(one.data.reshape(one.leaf.shape)))
        if isinstance(one.data, np.ndarray)
        else one
        for one in tensors
    ]
    return _written(params, turned, 1)


def _written(params: Any, tensors: list[_Tensor], pruned: int | None) -> bytes:
    """The file; `pruned` is None for the first form, else whether kernels have outputs first.

    Numbers come in the order of the stream.
    """
    encoder, on_grids = Encoder(pruned is not None), False
    for leaf, data in tensors:
        if isinstance(data, np.ndarray):
            on_grids = True
            shape = layout.coded_shape(leaf.shape) if pruned else leaf.shape
            encoder.add(data, shape, leaf.table)
    leaves = iter(tensors)
    described = parameter_tree.map_leaves(params, lambda *_: next(leaves).leaf.to_bytes())
    sections = {}
    floats = b"".join(one.data for one in tensors if isinstance(one.data, bytes))
    if floats:
        sections[FLOATS] = floats
    stream = encoder.finish() if on_grids else b""
    if stream:
        sections[SYMBOLS] = stream
    count = sum(one.leaf.size for one in tensors if one.leaf.bits)
    if count > element_limit(len(stream)):
        raise ValueError(f"{count} parameters are too many for a stream of {len(stream)} bytes")
    tree = parameter_tree.to_header(described)
    header = {TREE: tree} if pruned is None else {TREE: packed_tree.pack(tree), PRUNED: pruned}
    return container.write_archive(KIND, header, sections)
