"""Weights that no input can feel through, or no output can see: found, folded away, removed.

`random_gradient` is the published test: weights whose gradient is exactly zero on random data lie
on no path. It needs no structure, and removes a ReLU path that no random input happens to fire.

`remove_unreachable` reads the graph itself. Of any function it follows the jaxpr (`dataflow`). Of
chains of dense and convolutional layers it finds more: forwards, which units can depend on the
input; backwards, which ones the output can depend on. A unit that cannot depend on the input is the
constant phi(b); its effect moves into the next layer's bias ("constant folding") and the unit goes,
which leaves the network's function as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fewbits.training import trees
from fewbits.training.method import Key, Params
from pruning import leaves
from pruning.graphs import dataflow, layer_graph


def random_gradient(
    key: Key,
    apply: Callable[[Params, jax.Array], jax.Array],
    params: Params,
    inputs: jax.ShapeDtypeStruct,
) -> Params:
    """Random-gradient pruning: zeros wherever the gradient on random data is exactly zero.

    Inputs and the slope of the loss at the outputs are drawn from N(0, 1); one backward pass.
    Differs from what is published: the random labels enter as a random slope at the outputs instead
    of through the loss at hand, whose slope at random labels is as good as any.

    Args:
      key: typed PRNG key; consumed.
      apply: the network, on float inputs.
      params: pruned parameters.
      inputs: shape and dtype of one batch, examples first; the more examples, the fewer firing
        paths missed.

    Returns:
      Parameters with zeros at weights without a gradient.

    Raises:
      ValueError: inputs that are no floats.
    """
    key_inputs, key_outputs = jax.random.split(key)
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise ValueError(f"random inputs are floats, not {inputs.dtype}")
    drawn = jax.random.normal(key_inputs, inputs.shape, inputs.dtype)
    outputs, pull_back = jax.vjp(lambda p: apply(p, drawn), params)
    (gradient,) = pull_back(jax.random.normal(key_outputs, outputs.shape, outputs.dtype))
    return trees.masked(params, jax.tree.map(lambda g: g != 0, gradient))


def reachable(params: Params) -> Params:
    """Bool tree: nonzero weights on a path from an input or a bias to an output.

    This is what the random-gradient test looks for, for an activation with phi(0) = 0 that is
    nowhere flat: constant units count as sources. The graph of `remove_unreachable` is stricter.

    Args:
      params: a chain; see `pruning.graphs.layer_graph`.

    Returns:
      Tree of Bool arrays; a weight that is zero is never reachable.

    Raises:
      ValueError: not a chain.
    """
    links = layer_graph.links(params)
    sources = [jnp.ones(links[0].n_inputs, bool)]
    for link in links:
        layer, source = params[link.name], sources[-1]
        if link.copies > 1:
            source = sources[-1] = jnp.tile(source, link.copies)
        fed = jnp.any(source[:, None] & layer_graph.connections(layer["kernel"]), axis=0)
        sources.append(fed | (layer["bias"] != 0))
    useful = jnp.ones(links[-1].n_outputs, bool)
    kept = {}
    for link, source in zip(links[::-1], sources[-2::-1], strict=True):
        layer = params[link.name]
        kernel = (layer["kernel"] != 0) & (
            _as_kernel(source, link, 0) & _as_kernel(useful, link, 1)
        )
        kept[link.name] = {"kernel": kernel, "bias": (layer["bias"] != 0) & useful}
        useful = _any_copy(jnp.any(layer_graph.connections(kernel), axis=1), link)
    return {name: kept[name] for name in params}


def remove_unreachable(
    params: Params,
    apply: Callable[[Params, Any], Any] | None = None,
    inputs: Any = None,
    *,
    mask: leaves.Mask = None,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
    zero_padding: bool = False,
    live_inputs: jax.Array | None = None,
) -> Params:
    """The same function with every weight removed that no path connects with an output. Traceable.

    With `apply` and `inputs`, for any network: residual, normalised, with attention or embeddings.
    A weight goes if its factor is zero for all inputs or nothing that it changes reaches an output.

    With the params alone, for chains of layers {"conv1": {"kernel", "bias"}, ..., "dense1": ...,
    "output": ...}. There a unit without a path from the input is the constant activation(bias),
    which moves into the next layer's bias, and the unit goes too. A removed unit had at least one
    outgoing weight or none, and folding adds at most one bias for each outgoing weight: the number
    of nonzeros never rises.

    Args:
      params: any pytree with `apply`, else a chain (see `pruning.graphs.layer_graph`).
      apply: (params, inputs) -> outputs.
      inputs: one batch, or its `jax.ShapeDtypeStruct`; values are not read.
      mask: with `apply`, leaves that may change: a tree of bools (or a prefix of one), a function
        of the params that gives one, None for all.
      activation: elementwise, after every layer but the last.
      zero_padding: whether convolutions pad with zeros. A constant channel is then not constant
        at the margin, and is folded into a convolution only where its constant is zero.
      live_inputs: Bool[inputs], False where an input is zero on all data of interest, as the
        margins of images of digits are; by default all live.

    Returns:
      Parameters of the same shapes and dtypes.

    Raises:
      ValueError: not a chain, and no `apply` given; or `apply` without inputs.

    >>> import jax.numpy as jnp, pruning
    >>> hidden = {"kernel": jnp.array([[0.0, 1.0]]), "bias": jnp.array([2.0, 0.0])}
    >>> output = {"kernel": jnp.array([[3.0], [1.0]]), "bias": jnp.zeros(1)}
    >>> simple = pruning.remove_unreachable({"dense1": hidden, "output": output})
    >>> print(simple["dense1"]["bias"], simple["output"]["kernel"].ravel())
    [0. 0.] [0. 1.]
    >>> print(simple["output"]["bias"])
    [6.]

    The same network as a function, in which units may do anything:

    >>> def apply(params, x):
    ...     return jnp.cos(x @ params["in"]) @ params["out"]
    >>> params = {"in": jnp.array([[1.0, 2.0]]), "out": jnp.array([[0.0], [1.0]])}
    >>> print(pruning.remove_unreachable(params, apply, jnp.ones((1, 1)))["in"])
    [[0. 2.]]
    """
    if apply is not None:
        return _on_no_path(params, apply, inputs, mask)
    links = layer_graph.links(params)
    live = jnp.ones(links[0].n_inputs, bool) if live_inputs is None else live_inputs
    constant = jnp.zeros(links[0].n_inputs, params[links[0].name]["bias"].dtype)
    folded = {}
    for link in links:
        kernel, bias = params[link.name]["kernel"], params[link.name]["bias"]
        live, constant = jnp.tile(live, link.copies), jnp.tile(constant, link.copies)
        if link.is_convolution and zero_padding:
            live = live | (constant != 0)
        total = kernel.sum(axis=(0, 1)) if link.is_convolution else kernel
        bias = bias + jnp.where(live, 0, constant) @ total
        kernel = jnp.where(_as_kernel(live, link, 0), kernel, 0)
        folded[link.name] = {"kernel": kernel, "bias": bias}
        live = jnp.any(layer_graph.connections(kernel), axis=0)
        constant = activation(bias)

    useful = jnp.ones(links[-1].n_outputs, bool)
    for link in reversed(links):
        kernel, bias = folded[link.name]["kernel"], folded[link.name]["bias"]
        kernel = jnp.where(_as_kernel(useful, link, 1), kernel, 0)
        folded[link.name] = {"kernel": kernel, "bias": jnp.where(useful, bias, 0)}
        useful = _any_copy(jnp.any(layer_graph.connections(kernel), axis=1), link)
    return {name: folded[name] for name in params}


def _on_no_path(
    params: Params, apply: Callable[[Params, Any], Any], inputs: Any, mask: leaves.Mask
) -> Params:
    if inputs is None:
        raise ValueError("removal from any network needs inputs: one batch, or its shape and dtype")
    chosen = leaves.select(mask, params)
    reached = dataflow.useful(
        lambda weights, x: apply(leaves.replace(mask, params, weights), x), chosen, inputs
    )
    return leaves.replace(mask, params, trees.masked(chosen, reached))


def _as_kernel(units: jax.Array, link: layer_graph.Link, axis: int) -> jax.Array:
    """Bool[units] shaped to broadcast against the link's kernel; axis 0 inputs, 1 outputs."""
    shape = [1] * (4 if link.is_convolution else 2)
    shape[len(shape) - 2 + axis] = units.size
    return units.reshape(shape)


def _any_copy(units: jax.Array, link: layer_graph.Link) -> jax.Array:
    """Bool[units of the layer before]: whether any of a unit's copies is marked."""
    return jnp.any(units.reshape(link.copies, -1), axis=0)
