"""Iterative pruning: each step trains what the step before has left, in its smallest dense shape.

A network with few weights that is cut down to its live units trains at a fraction of the cost of
the whole one, which leaves time for many steps. Shapes depend on values here, so a step is one
compiled program and the cut between two steps runs on the host.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import loop, trees
from fewbits.training.losses import Apply
from fewbits.training.method import Key, Params
from pruning.graphs import layer_graph, reachability, shrink
from pruning.methods import METHODS
from pruning.procedures import classifiers
from pruning.procedures.classifiers import Lengths, Setting

NetworkOf = Callable[[tuple[int, ...]], Apply]
"""Widths, inputs first, then every layer's units -> the network of these widths."""


class Step(NamedTuple):
    """What a step of `iterative` ends with.

    Attributes:
      params: in the whole network's shapes, exact zeros where a weight is gone.
      nonzeros: weights and biases that are left.
      trained: parameters of the network that the step trained.
      validation_loss_nats: cross-entropy per example.
      finite: whether all of the training was.
    """

    params: Params
    nonzeros: int
    trained: int
    validation_loss_nats: float
    finite: bool


def iterative(
    key: Key,
    params: Params,
    train: tuple[Any, Any],
    validation: tuple[Any, Any],
    *,
    network: NetworkOf,
    strengths: Sequence[float],
    steps: int | Sequence[int],
    fine_tune_steps: int | Sequence[int] = 0,
    method: str = "drr",
    batch_size: int = 128,
    tolerance: float = 0.1,
    learning_rate: float = 2e-3,
    zero_padding: bool = False,
) -> list[Step]:
    """Prune a classifier again and again, each time in its smallest dense shape.

    Each step is `three_phase` with its own penalty weight: train with the penalty, cut at the
    threshold that the validation loss tolerates, remove what is no longer connected, fine-tune.
    Begin gently: what the first step prunes too much, no later one brings back.

    Args:
      key: typed PRNG key.
      params: a network that is a chain of dense layers, or of convolutions and then dense layers;
        see `pruning.graphs.layer_graph`.
      train: inputs and labels Int[n]; inputs of a dense first layer may have any shape.
      validation: the same, for the thresholds.
      network: the apply function for given widths, such as
        `lambda widths: fewbits.training.networks.mlp(widths).apply`.
      strengths: penalty weight of each step, from weak to strong; for `method="magnitude"` the
        share of all weights that remain.
      steps: optimiser steps of the first phase of each step, or one number for all.
      fine_tune_steps: of the last phase, likewise; 0 for none.
      method: of `pruning.methods.METHODS`, such as "drr", "pmmp_curvature" or "magnitude".
      batch_size: examples per optimiser step.
      tolerance: share by which a threshold may raise the validation loss.
      learning_rate: of both phases, falling.
      zero_padding: whether the network's convolutions pad with zeros.

    Returns:
      A `Step` for each penalty weight.

    Raises:
      ValueError: no strength, a method that is unknown, lengths that are not one for each strength,
        or params that are no such chain.

    >>> import jax, numpy as np, pruning
    >>> from fewbits.training import networks
    >>> x = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    >>> data = x, (x[:, 0] + x[:, 1] > 0).astype(np.int32)
    >>> found = pruning.iterative(
    ...     jax.random.key(0), networks.mlp((6, 16, 2)).init(jax.random.key(1)), data, data,
    ...     network=lambda widths: networks.mlp(widths).apply, strengths=(1e-3, 5e-3), steps=300)
    >>> found[1].nonzeros <= found[0].nonzeros < 146, found[1].trained < found[0].trained == 146
    (True, True)
    """
    if not strengths:
        raise ValueError("no strengths; give one penalty weight for each step")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; known are {', '.join(METHODS)}")
    batch_size = min(batch_size, loop.n_examples(train))
    several = []
    for name, given in (("steps", steps), ("fine_tune_steps", fine_tune_steps)):
        several.append([given] * len(strengths) if isinstance(given, int) else list(given))
        if len(several[-1]) != len(strengths):
            raise ValueError(
                f"{name} has {len(several[-1])} numbers for {len(strengths)} strengths; "
                "give one for each, or one number"
            )

    def simplify(key: Key, params: Params) -> Params:
        del key
        return reachability.remove_unreachable(params, zero_padding=zero_padding)

    found = run_steps(
        key, params, {"train": train, "validation": validation},
        [Setting(strength, tolerance, learning_rate) for strength in strengths],
        [Lengths(first, last, batch_size) for first, last in zip(*several, strict=True)],
        method=method, network=network, simplify=simplify, fine_tune_rate=learning_rate,
    )  # fmt: skip
    return [
        Step(
            one["params"], int(one["metrics"]["nonzeros"]), int(one["trained"]),
            float(one["metrics"]["validation_loss_nats"]), bool(one["metrics"]["finite"]),
        )
        for one in found
    ]  # fmt: skip


def run_steps(
    key: Key,
    params: Params,
    data: dict[str, Any],
    settings: Sequence[Setting],
    lengths: Sequence[Lengths],
    *,
    method: str,
    network: NetworkOf,
    simplify: Callable[[Key, Params], Params],
    fine_tune_rate: float,
    cached: Callable[[int, Callable[[], dict[str, Any]]], dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """The steps of `iterative`, each with its own setting and lengths, and measured.

    Args:
      key: typed PRNG key.
      params: as for `iterative`.
      data: inputs and labels of parts, as for `classifiers.three_phases`.
      settings: of each step; where the method takes a share, it is that of the whole network.
      lengths: likewise.
      method: as for `iterative`.
      network: likewise.
      simplify: see `classifiers.three_phases`.
      fine_tune_rate: learning rate of the last phases, falling.
      cached: (number, computation) -> its result, perhaps that of an earlier run.

    Returns:
      For each step `params` in the whole network's shapes, `metrics`, and `trained`, how many
      parameters it trained.
    """
    total, found = trees.size(params), []

    def step(number: int, params: Params) -> dict[str, Any]:
        def trained(apply: Apply, start: Params) -> dict[str, Any]:
            setting, size = settings[number], trees.size(start)
            if METHODS[method].strength_is_share:
                share = min(1.0, setting.penalty_weight * total / size)
                setting = setting._replace(penalty_weight=share)
            point = classifiers.point(method, setting, fine_tune_rate)
            prune = jax.jit(classifiers.three_phases(method, lengths[number], apply, simplify))
            made = prune(jax.random.fold_in(key, number), start, point, data)
            return {**jax.tree.map(np.asarray, made), "trained": np.int64(size)}

        if number == 0:
            return trained(network(_widths(params)), params)
        return in_smallest_shape(trained, params, network)

    for number in range(len(settings)):
        compute = functools.partial(step, number, params)
        found.append(compute() if cached is None else cached(number, compute))
        params = found[-1]["params"]
    return found


def in_smallest_shape(
    train: Callable[[Apply, Params], dict[str, Any]], params: Params, network: NetworkOf
) -> dict[str, Any]:
    """Training without the dead units, on the host.

    Args:
      train: (apply, small params) -> a mapping with the trained `params`.
      params: a chain, zeros where weights are gone.
      network: see `iterative`.

    Returns:
      What `train` returns, its params in the shapes of `params`.
    """
    units = shrink.live(params)
    apply = network(units.widths())
    if not layer_graph.links(params)[0].is_convolution:
        apply = _reading(apply, jnp.asarray(units.inputs))
    found = train(apply, shrink.shrunk(params, units))
    small, like = jax.tree.map(np.asarray, (found["params"], params))
    return {**found, "params": shrink.restored(small, units, like)}


def _reading(apply: Apply, inputs: jax.Array) -> Apply:
    """The network on some of its inputs."""
    return lambda params, x: apply(params, x.reshape(len(x), -1)[:, inputs])


def _widths(params: Params) -> tuple[int, ...]:
    links = layer_graph.links(params)
    return (links[0].n_inputs, *(link.n_outputs for link in links))
