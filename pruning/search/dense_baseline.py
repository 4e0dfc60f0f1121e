"""What the same bytes buy without pruning: a narrower dense network, trained as long.

Same depth; width and bits per weight are those of the least validation error among networks whose
file is at most as large, each trained on the grid of its file. Only for networks that are chains
of layers (`recognise`): of others nothing tells how to make them narrower.
"""

from __future__ import annotations

import bisect
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import params_from_bytes, params_to_bytes
from fewbits.training import evaluation, gradient_descent, trees
from fewbits.training.method import Key, Loss, Params
from pruning.search import trial
from pruning.search.recognise import Chain
from pruning.search.selection import Point

BITS = (2, 3, 4, 5)
_SLACK = 1.02

Shapes = dict[str, tuple[int, ...]]
"""Of the kernels, first to last."""


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
    layers = chain.to_layers(problem.model.weights(problem.model.params))
    full = {name: layer["kernel"].shape for name, layer in layers.items()}
    found: list[Point] = []
    for bits in BITS:
        key_init, key_train, key = jax.random.split(key, 3)
        for shapes in _narrower(full, size_bytes, bits):
            params = _initial(key_init, shapes)
            file = _trained(problem, chain, key_train, params, bits, steps)
            if len(file) <= size_bytes:
                decoded = jax.tree.map(jnp.asarray, params_from_bytes(file, like=params))
                found.append(_point(problem, chain, decoded, file, bits))
                break
    return min(found, key=lambda point: (point.error_percent, point.size_bytes), default=None)


def _narrower(full: Shapes, size_bytes: int, bits: int) -> list[Shapes]:
    """Networks to try: the widest that may fit, and a narrower one in case it does not."""
    hidden = [shape[-1] for shape in full.values()][:-1]
    if not hidden:
        return []
    widths = dict.fromkeys(
        tuple(max(1, round(width * factor)) for width in hidden)
        for factor in np.geomspace(1.0, 1 / max(hidden), 120)
    )
    tried = [_of_widths(full, each) for each in widths]

    def fits(shapes: Shapes) -> bool:
        file = params_to_bytes(_initial(jax.random.key(0), shapes), bits=bits)
        return len(file) <= _SLACK * size_bytes

    first = bisect.bisect_left(tried, True, key=fits)
    return tried[first : first + 2]


def _of_widths(full: Shapes, hidden: tuple[int, ...]) -> Shapes:
    """Shapes of the same kernels with other numbers of hidden units."""
    made: Shapes = {}
    wide = narrow = None
    for (name, shape), width in zip(full.items(), (*hidden, None), strict=True):
        reads, makes = shape[-2:]
        if narrow is not None and wide is not None:
            reads = reads // wide * narrow
        wide, narrow = makes, width or makes
        made[name] = (*shape[:-2], reads, narrow)
    return made


def _initial(key: Key, shapes: Shapes) -> dict[str, dict[str, np.ndarray]]:
    """He's initialisation, drawn on the host: JAX would compile a program for each shape."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    made = {}
    for name, shape in shapes.items():
        scale = math.sqrt((1 if name == "output" else 2) / math.prod(shape[:-1]))
        kernel = scale * rng.standard_normal(shape, np.float32)
        made[name] = {"kernel": np.float32(kernel), "bias": np.zeros(shape[-1], np.float32)}
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

    def train(key: Key, params: Params, loss: Loss, steps: int, rate: float) -> Params:
        return gradient_descent.train(
            key, params, problem.train, loss, steps=steps, batch_size=problem.batch_size,
            learning_rate=rate, optimizer=gradient_descent.falling_adam(steps),
        )  # fmt: skip

    on_grid = max(steps // 5, 1)
    params = train(key, params, loss, max(steps - on_grid, 1), settings.learning_rate)
    rounded = trial.on_grid(loss, bits)
    key = jax.random.fold_in(key, 1)
    params = train(key, params, rounded, on_grid, settings.learning_rate / 2)
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
