"""What the same bytes buy without pruning: a narrower dense network, trained as long.

Same depth; width and bits per weight are those of the least validation error among networks whose
file is at most as large, each trained on the grid of its file. Only for networks that are chains
of layers (`recognise`): of others nothing tells how to make them narrower.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import params_from_bytes, params_to_bytes
from fewbits.training import evaluation, trees
from fewbits.training.method import Key, Params
from pruning.search import trial
from pruning.search.operating_points import Point
from pruning.search.recognise import Chain

BITS = (3, 4, 5, 6)
_SLACK = 1.02


def best(problem: trial.Problem, key: Key, size_bytes: int, steps: int) -> Point | None:
    """The most accurate dense network whose file has at most so many bytes.

    Args:
      problem: data, settings and the network, which must be a chain.
      key: typed PRNG key.
      size_bytes: of the pruned file.
      steps: optimiser steps of each training; a fifth of them on the grid of the file.

    Returns:
      Point with the error on the data that the pruned network was measured on; None where the
      network is no chain, or none is that small.
    """
    chain = problem.chain
    if chain is None:
        return None
    found: list[Point] = []
    for bits in BITS:
        key_init, key_train, key = jax.random.split(key, 3)
        for hidden in _widths(problem, chain, size_bytes, bits):
            params = _initial(key_init, problem, chain, hidden)
            file = _trained(problem, chain, key_train, params, bits, steps)
            if len(file) <= size_bytes:
                decoded = jax.tree.map(jnp.asarray, params_from_bytes(file, like=params))
                found.append(_point(problem, chain, decoded, file, bits))
                break
    return min(found, key=lambda point: (point.error_percent, point.size_bytes), default=None)


def _widths(
    problem: trial.Problem, chain: Chain, size_bytes: int, bits: int
) -> list[tuple[int, ...]]:
    """Hidden widths to try: the widest that may fit, and a narrower one in case it does not."""
    full = [
        layer["kernel"].shape[-1]
        for layer in chain.to_layers(problem.model.weights(problem.model.params)).values()
    ][:-1]
    if not full:
        return []
    scaled = [
        tuple(max(1, round(width * factor)) for width in full)
        for factor in np.geomspace(1.0, 1 / max(full), 120)
    ]
    fitting = [
        widths
        for widths in dict.fromkeys(scaled)
        if len(params_to_bytes(_initial(jax.random.key(0), problem, chain, widths), bits=bits))
        <= _SLACK * size_bytes
    ]
    return fitting[:2]


def _initial(
    key: Key, problem: trial.Problem, chain: Chain, hidden: tuple[int, ...]
) -> dict[str, dict[str, jax.Array]]:
    """He's initialisation of the same layers with other widths."""
    layers = chain.to_layers(problem.model.weights(problem.model.params))
    made: dict[str, dict[str, jax.Array]] = {}
    wide = narrow = None
    for (name, layer), width in zip(layers.items(), (*hidden, None), strict=True):
        shape = list(layer["kernel"].shape)
        if narrow is not None and wide is not None:
            shape[-2] = shape[-2] // wide * narrow
        wide, shape[-1] = shape[-1], width or shape[-1]
        narrow = shape[-1]
        key, key_layer = jax.random.split(key)
        scale = math.sqrt((1 if name == "output" else 2) / math.prod(shape[:-1]))
        kernel = scale * jax.random.normal(key_layer, tuple(shape))
        made[name] = {"kernel": kernel, "bias": jnp.zeros(narrow)}
    return made


def _trained(
    problem: trial.Problem, chain: Chain, key: Key, params: Params, bits: int, steps: int
) -> bytes:
    plain = _plain(chain)
    settings = problem.settings

    def loss(key: Key, weights: Params, batch: Any):
        del key
        inputs, labels = batch
        return trial.smoothed_cross_entropy(
            plain.apply(weights, inputs), labels, settings.label_smoothing
        ), {}

    on_grid = max(steps // 5, 1)
    rate, size = settings.learning_rate, problem.batch_size
    params = trial.train(loss, key, params, problem.train, max(steps - on_grid, 1), size, rate)
    key = jax.random.fold_in(key, 1)
    rounded = trial.on_grid(loss, bits)
    params = trial.train(rounded, key, params, problem.train, on_grid, size, rate / 2)
    return params_to_bytes(jax.tree.map(np.asarray, params), bits=bits)


def _plain(chain: Chain) -> Chain:
    """The same chain, over layers as `Chain.to_layers` makes them."""
    names = [
        "output" if n == len(chain.layers) - 1 else f"{'conv' if c else 'dense'}{n + 1}"
        for n, c in enumerate(layer.is_convolution for layer in chain.layers)
    ]
    layers = tuple(
        layer._replace(kernel=f"{name}/kernel", bias=f"{name}/bias", outputs_first=False)
        for layer, name in zip(chain.layers, names, strict=True)
    )
    return chain._replace(layers=layers, flatten="mean" if chain.flatten == "mean" else "hwc")


def _point(problem: trial.Problem, chain: Chain, params: Params, file: bytes, bits: int) -> Point:
    right = evaluation.accuracy(_plain(chain).apply, params, *problem.measured)
    return Point(0.0, bits, int(trees.nonzeros(params)), len(file), 100 * (1 - float(right)), file)
