"""Which weights of any function lie on a path to its outputs, read off the function's own jaxpr.

Each number in the program is replaced by its flow: 1 where it may differ from zero, 0 where it is
exactly zero whatever the inputs are. Products multiply flows, sums add them, functions with
f(0) = 0 pass them on. With no negative numbers nothing cancels, so that the derivative of the
outputs' flows by a weight's flow is positive if and only if a path leads from the weight to an
output (the synaptic flow of Tanaka et al. 2020, used here for reachability).

A primitive without a rule of its own (a sort, a loop) is taken to connect everything that it reads
with everything it writes. So a weight that is called useless is so for all inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from fewbits.training.method import Params


def useful(function: Callable[..., Any], weights: Params, *inputs: Any) -> Params:
    """Nonzero weights that some path connects with an output. Traceable.

    Args:
      function: (weights, *inputs) -> pytree of arrays; not called, only traced.
      weights: pytree of float arrays.
      inputs: pytrees of arrays or `jax.ShapeDtypeStruct`s; every value of them is possible.

    Returns:
      Bool tree of the weights' structure.

    >>> import jax.numpy as jnp
    >>> from pruning.graphs import dataflow
    >>> def residual(weights, x):
    ...     return x + jnp.tanh(x @ weights["up"]) @ weights["down"]
    >>> weights = {"up": jnp.array([[1.0, 2.0]]), "down": jnp.array([[3.0], [0.0]])}
    >>> print(dataflow.useful(residual, weights, jnp.ones((1, 1)))["up"])
    [[ True False]]
    """
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)),
        (weights, *inputs),
    )
    program = jax.make_jaxpr(function)(*shapes)
    given = [_unknown(jnp.ones(leaf.shape)) for leaf in jax.tree.leaves(shapes[1:])]

    def outgoing(flows: Params) -> jax.Array:
        arguments = [_unknown(leaf) for leaf in jax.tree.leaves(flows)] + given
        constants = [_known(value) for value in program.consts]
        ends = _run(program.jaxpr, constants, arguments)
        return sum((jnp.sum(end.flow) for end in ends), start=jnp.zeros(()))

    nonzero = jax.tree.map(lambda leaf: jnp.asarray(leaf != 0, jnp.float32), weights)
    slopes = jax.grad(outgoing)(nonzero)
    return jax.tree.map(lambda flow, slope: (flow > 0) & (slope > 0), nonzero, slopes)


class _Value(NamedTuple):
    """A number array of the program.

    Attributes:
      flow: Float[...], 0 or 1.
      value: the array itself where weights and inputs do not change it, None otherwise.
    """

    flow: jax.Array
    value: Any


@jax.custom_vjp
def _binary(x: jax.Array) -> jax.Array:
    """1 where x > 0, slopes likewise: numbers of deep networks neither over- nor underflow."""
    return (x > 0).astype(jnp.float32)


def _binary_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _binary(x), x > 0


def _binary_backward(positive: jax.Array, slope: jax.Array) -> tuple[jax.Array]:
    return (jnp.where(positive & (slope > 0), 1.0, 0.0),)


_binary.defvjp(_binary_forward, _binary_backward)


def _unknown(flow: jax.Array) -> _Value:
    return _Value(flow, None)


def _known(value: Any) -> _Value:
    if jnp.issubdtype(jnp.result_type(value), jax.dtypes.prng_key):
        return _Value(jnp.ones(jnp.shape(value)), value)
    return _Value((jnp.asarray(value) != 0).astype(jnp.float32), value)


def _run(program: core.Jaxpr, constants: list[_Value], arguments: list[_Value]) -> list[_Value]:
    held: dict[Any, _Value] = dict(zip(program.constvars, constants, strict=True))
    held.update(zip(program.invars, arguments, strict=True))

    def read(variable: Any) -> _Value:
        if isinstance(variable, core.Literal):
            return _known(variable.val)
        return held[variable]

    for equation in program.eqns:
        values = _apply(equation, [read(variable) for variable in equation.invars])
        held.update(zip(equation.outvars, values, strict=True))
    return [read(variable) for variable in program.outvars]


def _apply(equation: Any, read: list[_Value]) -> list[_Value]:
    """What one equation writes."""
    name, params = equation.primitive.name, equation.params
    inner = _inner(name, params)
    if inner is not None:
        program, constants = inner
        # A choice by platform: its branches compute the same, and the first argument is its index.
        read = read[1:] if name == "cond" else read
        return _run(program, [_known(value) for value in constants], read)
    if all(one.value is not None for one in read):
        results = equation.primitive.bind(*(one.value for one in read), **params)
        return [
            _known(one) for one in (results if equation.primitive.multiple_results else [results])
        ]
    shapes = [variable.aval.shape for variable in equation.outvars]
    flows = [one.flow for one in read]
    if name in _SAME_ZEROS or name in _ANYWHERE_NONZERO:
        total = _total(flows, shapes[0])
        return [_unknown(_binary(total if name in _SAME_ZEROS else 1 + total))]
    if name in _STRUCTURAL:
        moved = equation.primitive.bind(*flows, **params)
        many = equation.primitive.multiple_results
        return [_unknown(_binary(one)) for one in (moved if many else [moved])]
    rule = _RULES.get(name)
    if rule is None:
        # Anything may depend on anything.
        total = 1 + sum((jnp.sum(flow) for flow in flows), start=jnp.zeros(()))
        return [_unknown(_binary(jnp.broadcast_to(total, shape))) for shape in shapes]
    return [_unknown(_binary(rule(read, params, shapes[0])))]


def _inner(name: str, params: dict[str, Any]) -> tuple[core.Jaxpr, list[Any]] | None:
    """The program that an equation only calls."""
    if name == "cond" and params.get("branches_platforms"):
        name, params = "closed_call", {"call_jaxpr": params["branches"][0]}
    if name not in _CALLS:
        return None
    for part in ("call_jaxpr", "fun_jaxpr", "jaxpr"):
        if part in params:
            found = params[part]
            if isinstance(found, core.ClosedJaxpr):
                return found.jaxpr, list(found.consts)
            return found, []
    return None


def _total(flows: list[jax.Array], shape: tuple[int, ...]) -> jax.Array:
    return sum((jnp.broadcast_to(flow, shape) for flow in flows), start=jnp.zeros(shape))


def _product(read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]) -> jax.Array:
    return read[0].flow * read[1].flow


def _quotient(read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]) -> jax.Array:
    return read[0].flow * (1 + read[1].flow)


def _power(read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]) -> jax.Array:
    return read[0].flow if params["y"] > 0 else 1 + read[0].flow


def _selection(read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]) -> jax.Array:
    which, *cases = read
    return _total([one.flow for one in cases], shape) * (1 + which.flow)


def _matrix_product(
    read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]
) -> jax.Array:
    return jax.lax.dot_general(read[0].flow, read[1].flow, params["dimension_numbers"])


def _convolution(read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]) -> jax.Array:
    names = (
        "window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers",
        "feature_group_count", "batch_group_count",
    )  # fmt: skip
    return jax.lax.conv_general_dilated(
        read[0].flow, read[1].flow, **{name: params[name] for name in names}
    )


def _any_along_axes(
    read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]
) -> jax.Array:
    return jnp.sum(read[0].flow, axis=params["axes"])


def _any_in_window(read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]) -> jax.Array:
    # Not one reduce_window with sums: its derivative would need windows without dilation.
    ones = jnp.ones(params["window_dimensions"])
    flow = read[0].flow
    flow = flow.reshape(1, 1, *flow.shape)
    return jax.lax.conv_general_dilated(
        flow,
        ones.reshape(1, 1, *ones.shape),
        params["window_strides"],
        params["padding"],
        params["base_dilation"],
        params["window_dilation"],
    ).reshape(shape)


def _gather(read: list[_Value], params: dict[str, Any], shape: tuple[int, ...]) -> jax.Array:
    operand, indices = read
    kwargs = {name: value for name, value in params.items() if name != "fill_value"}
    if indices.value is not None:
        return jax.lax.gather(operand.flow, indices.value, **kwargs)
    # Any index is possible.
    axes = params["dimension_numbers"].start_index_map
    anywhere = jnp.broadcast_to(jnp.sum(operand.flow, axis=axes, keepdims=True), operand.flow.shape)
    kwargs["mode"] = jax.lax.GatherScatterMode.CLIP
    zeros = jnp.zeros(indices.flow.shape, jnp.int32)
    return jax.lax.gather(anywhere, zeros, **kwargs) * (1 + jnp.sum(indices.flow))


_CALLS = {
    "jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr", "checkpoint", "remat", "remat2", "custom_lin",
}  # fmt: skip

# Elementwise, zero where all that is read is zero.
_SAME_ZEROS = {
    "add", "add_any", "sub", "max", "min", "neg", "abs", "sign", "tanh", "sin", "tan", "sinh",
    "asin", "atan", "asinh", "atanh", "sqrt", "cbrt", "square", "erf", "expm1", "log1p", "floor",
    "ceil", "round", "real", "imag", "convert_element_type", "copy", "copy_p", "stop_gradient",
    "reduce_precision", "optimization_barrier", "sharding_constraint",
}  # fmt: skip

# Elementwise, and not zero where all that is read is zero, or not always.
_ANYWHERE_NONZERO = {
    "exp", "exp2", "log", "logistic", "cos", "cosh", "acos", "acosh", "rsqrt", "erfc", "erf_inv",
    "pow", "rem", "atan2", "clamp", "nextafter", "is_finite", "eq", "ne", "lt", "le", "gt", "ge",
    "and", "or", "not", "xor", "lgamma", "digamma",
}  # fmt: skip

# Linear: the primitive itself moves or adds the flows.
_STRUCTURAL = {
    "reshape", "transpose", "broadcast_in_dim", "squeeze", "expand_dims", "slice", "rev",
    "concatenate", "pad", "reduce_sum", "cumsum", "split",
}  # fmt: skip

_RULES: dict[str, Callable[[list[_Value], dict[str, Any], tuple[int, ...]], jax.Array]] = {
    "mul": _product,
    "div": _quotient,
    "integer_pow": _power,
    "select_n": _selection,
    "dot_general": _matrix_product,
    "conv_general_dilated": _convolution,
    "reduce_max": _any_along_axes,
    "reduce_min": _any_along_axes,
    "reduce_window_max": _any_in_window,
    "reduce_window_min": _any_in_window,
    "reduce_window_sum": _any_in_window,
    "gather": _gather,
}


def largest_difference(left: Any, right: Any) -> jax.Array:
    """Float[]: how far two trees of outputs differ, in units of 1 + the largest number."""
    apart = [
        jnp.max(jnp.abs(a - b)) / (1 + jnp.max(jnp.abs(a)))
        for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
        if np.prod(a.shape)
    ]
    return jnp.max(jnp.stack(apart))
