"""Networks that are chains of dense and convolutional layers, as their parameters tell.

Such a tree is `{"conv1": {"kernel", "bias"}, ..., "dense1": {...}, "output": {...}}`: layers in the
order of their kinds and numbers, a kernel of rank 4 (convolution) or 2 (dense), and a bias each.
The first dense layer after convolutions reads their flattened output, channels fastest.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fewbits.training.method import Params

_LAYER = re.compile(r"(conv|dense)(\d+)|output")


class Link(NamedTuple):
    """One layer of a chain.

    Attributes:
      name: key of the layer in the tree.
      is_convolution: kernel of rank 4, otherwise 2.
      n_inputs: units that it reads: channels, or numbers.
      n_outputs: units that it makes.
      copies: positions at which it reads each unit of the layer before it: more than 1 only for
        a dense layer after a convolution.
    """

    name: str
    is_convolution: bool
    n_inputs: int
    n_outputs: int
    copies: int


def links(params: Params) -> list[Link]:
    """The layers of a chain, first to last.

    Raises:
      ValueError: a tree that is not such a chain; names what does not fit.
    """
    if not isinstance(params, dict) or not params:
        raise ValueError(f"a chain is a dict of layers, got {type(params).__name__}")
    for name, layer in params.items():
        if not _LAYER.fullmatch(name) or not isinstance(layer, dict):
            raise ValueError(f"layers are named conv1.., dense1.., output; got {name!r}")
        if set(layer) != {"kernel", "bias"}:
            raise ValueError(f"{name} needs a kernel and a bias, got {sorted(layer)}")
    found: list[Link] = []
    for name in sorted(params, key=_order):
        shape = params[name]["kernel"].shape
        if len(shape) not in (2, 4):
            raise ValueError(f"the kernel of {name} has rank {len(shape)}, not 2 or 4")
        is_convolution = len(shape) == 4
        n_inputs, n_outputs = shape[-2:]
        before = found[-1] if found else None
        copies = 1
        if before is not None:
            copies, rest = divmod(n_inputs, before.n_outputs)
            flattens = before.is_convolution and not is_convolution
            if rest or (copies != 1 and not flattens):
                raise ValueError(
                    f"{name} reads {n_inputs} units, {before.name} makes {before.n_outputs}"
                )
        found.append(Link(name, is_convolution, n_inputs, n_outputs, copies))
    return found


def connections(kernel: jax.Array) -> jax.Array:
    """Bool[inputs, outputs]: whether any tap of the kernel joins two units."""
    joined = kernel != 0
    return joined if joined.ndim == 2 else jnp.any(joined, axis=(0, 1))


def _order(name: str) -> tuple[int, int]:
    """Convolutions, dense layers, output; numbers as numbers, so that conv10 follows conv9."""
    match = _LAYER.fullmatch(name)
    assert match is not None
    kind = {"conv": 0, "dense": 1, None: 2}[match[1]]
    return kind, int(match[2] or 0)
