"""Dead weights of a network in a search: removed where the logits on its data stay as they are."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from fewbits.training import evaluation, trees
from fewbits.training.method import Params
from pruning import leaves
from pruning.graphs import dataflow, reachability, unit_order
from pruning.search.model import Model
from pruning.search.recognise import ACTIVATIONS, Chain

_SAME_OUTPUTS = 1e-4


def without_dead_units(
    model: Model,
    chain: Chain | None,
    weights: Params,
    state: Any,
    mask: Params,
    inputs: tuple[Any, ...],
) -> tuple[Params, Any]:
    """Weights and state without what reaches no output. Traceable.

    Args:
      model: the network.
      chain: its layers, where it is a chain of them.
      weights: float32 tree.
      state: or None.
      mask: tree of bools; the others stay.
      inputs: on these the logits must stay as they are, or nothing is removed.
    """
    example = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), inputs[0])
    of_state = leaves.chosen(None, state)

    def logits(parts: list[Any], x: Any) -> jax.Array:
        return model.logits(
            leaves.replace(mask, weights, parts[0]), leaves.replace(of_state, state, parts[1]), x
        )

    parts = [leaves.select(mask, weights), leaves.select(of_state, state)]
    kept = trees.masked(parts, dataflow.useful(logits, parts, example))
    best = leaves.replace(mask, weights, kept[0]), leaves.replace(of_state, state, kept[1])
    best = _if_same(model, (weights, state), best, inputs)
    if chain is None:
        return best
    layers = reachability.remove_unreachable(
        chain.to_layers(best[0]),
        activation=ACTIVATIONS[chain.activation],
        zero_padding=chain.padding == "SAME",
    )
    folded = chain.from_layers(layers, best[0])
    folded = jax.tree.map(lambda new, old, on: new if on else old, folded, best[0], mask)
    return _if_same(model, best, (folded, state), inputs)


def with_sorted_units(model: Model, chain: Chain, weights: Params, inputs: Any) -> Params | None:
    """The hidden units in the order of the smallest file; None where the logits would not stay."""
    layers = unit_order.sort_units(chain.to_layers(weights))
    found = jax.tree.map(jnp.asarray, chain.from_layers(layers, weights))
    apart = dataflow.largest_difference(
        *(model.logits(one, None, inputs) for one in (weights, found))
    )
    return found if apart <= _SAME_OUTPUTS else None


def _if_same(
    model: Model, old: tuple[Params, Any], new: tuple[Params, Any], inputs: tuple[Any, ...]
) -> tuple[Params, Any]:
    """The new weights and state where their logits are those of the old ones."""
    apart = [
        dataflow.largest_difference(
            *(
                evaluation.map_batches(lambda x, p=parts: model.logits(*p, x), x, 1000)
                for parts in (old, new)
            )
        )
        for x in inputs
    ]
    same = jnp.stack(apart).max() <= _SAME_OUTPUTS  # False where one is NaN
    return jax.tree.map(lambda a, b: jnp.where(same, a, b), new, old)
