"""A pruned network in its smallest dense shape: the same function, without its dead units.

Most units of a network with few weights are dead, and a step on the small shape is cheaper. `live`
reads off a chain which units are left, `shrunk` cuts the others out, and `restored` puts what was
trained in the small shape back into the original one. Shapes depend on values here, so these run on
the host, between compiled programs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fewbits.training.method import Params
from pruning.graphs import layer_graph


class Live(NamedTuple):
    """The units that a shrunken network keeps.

    Attributes:
      inputs: Int[kept], numbers or channels that the first layer reads.
      outputs: layer -> Int[kept], in the layers' order; the last layer keeps all.
    """

    inputs: np.ndarray
    outputs: dict[str, np.ndarray]

    def widths(self) -> tuple[int, ...]:
        """Inputs, then each layer's units."""
        return (len(self.inputs), *(len(units) for units in self.outputs.values()))


def live(params: Params) -> Live:
    """Units with a weight in and a weight out; at least one in every layer.

    Removing the others leaves the function as it is once constant units are folded away, as
    `reachability.remove_unreachable` does; inputs of a convolution are all kept.

    Args:
      params: a chain; see `pruning.graphs.layer_graph`.

    Returns:
      Live.

    Raises:
      ValueError: not a chain.
    """
    links = layer_graph.links(params)
    joined = {
        link.name: np.asarray(layer_graph.connections(params[link.name]["kernel"]))
        for link in links
    }
    first = links[0]
    inputs = np.arange(first.n_inputs)
    if not first.is_convolution:
        inputs = _some(joined[first.name].any(axis=1))
    outputs = {}
    for link, after in zip(links[:-1], links[1:], strict=True):
        fed = joined[link.name].any(axis=0) | (np.asarray(params[link.name]["bias"]) != 0)
        read = joined[after.name].any(axis=1).reshape(after.copies, -1).any(axis=0)
        outputs[link.name] = _some(fed & read)
    outputs[links[-1].name] = np.arange(links[-1].n_outputs)
    return Live(inputs, outputs)


def shrunk(params: Params, units: Live) -> Params:
    """The layers' rows and columns that belong to `units`.

    Args:
      params: the chain that `units` was read off, or another of its shapes.
      units: what to keep.
    """
    return {
        name: {
            "kernel": np.asarray(layer["kernel"])[where],
            "bias": np.asarray(layer["bias"])[kept],
        }
        for (name, layer), (where, kept) in _places(params, units)
    }


def restored(small: Params, units: Live, like: Params) -> Params:
    """A shrunken network in its original shape, zeros where units were cut out.

    Args:
      small: what was trained in the small shape.
      units: as it was shrunk with.
      like: a tree of the original shapes and dtypes; its values are not used.
    """
    whole = {
        name: {part: np.zeros(leaf.shape, leaf.dtype) for part, leaf in layer.items()}
        for name, layer in like.items()
    }
    for (name, layer), (where, kept) in _places(whole, units):
        layer["kernel"][where] = small[name]["kernel"]
        layer["bias"][kept] = small[name]["bias"]
    return whole


def _places(params: Params, units: Live):
    """((name, layer), (index of the kept kernel, index of the kept bias)) of every layer."""
    sources = units.inputs
    for link in layer_graph.links(params):
        kept = units.outputs[link.name]
        if link.copies > 1:
            width = link.n_inputs // link.copies
            sources = (np.arange(link.copies)[:, None] * width + sources[None, :]).ravel()
        taps = tuple(np.arange(n) for n in params[link.name]["kernel"].shape[:-2])
        yield (link.name, params[link.name]), (np.ix_(*taps, sources, kept), kept)
        sources = kept


def _some(marked: Any) -> np.ndarray:
    """The marked units, the first one where none is: no layer vanishes."""
    found = np.flatnonzero(marked)
    return found if len(found) else np.zeros(1, int)
