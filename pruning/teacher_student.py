"""Teacher and student: data from a small tanh network, learned by a larger one that is pruned.

The teacher's weights are those of a random network, scaled up (first layer 2 w + 1, second 2 w) so
that it is no nearly linear function; inputs are uniform on [-1, 1]^d, targets carry Gaussian noise.
Networks are compared up to their symmetries by a normal form: hidden units without weights
deleted, signs flipped so that biases are positive (tanh is odd), units sorted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import gradient_descent, loop, losses, networks, trees
from fewbits.training.method import Key, Params
from fewbits.training.networks import Network
from pruning.graphs import layer_graph, reachability
from pruning.methods import METHODS
from pruning.procedures import _three_phase


@dataclass(frozen=True)
class Setting:
    """The published setting.

    Attributes:
      teacher: layer sizes, inputs first.
      student: layer sizes with the same inputs and outputs.
      noise: standard deviation of the targets' noise (the authors' program uses its "variance" of
        0.08 in this way).
    """

    teacher: tuple[int, ...] = (2, 5, 8, 1)
    student: tuple[int, ...] = (2, 25, 25, 1)
    noise: float = 0.08

    def __post_init__(self):
        ends = (self.teacher[0], self.teacher[-1]), (self.student[0], self.student[-1])
        if ends[0] != ends[1]:
            raise ValueError(f"teacher and student differ in inputs or outputs: {ends}")
        if not self.noise >= 0:
            raise ValueError(f"noise must be at least 0, got {self.noise}")


class Examples(NamedTuple):
    """Inputs Float[n, inputs] and noisy targets Float[n, outputs]."""

    inputs: jax.Array
    targets: jax.Array


def teacher_network(setting: Setting) -> Network:
    """The teacher's architecture."""
    return networks.mlp(setting.teacher, jnp.tanh)


def student_network(setting: Setting) -> Network:
    """The student's architecture."""
    return networks.mlp(setting.student, jnp.tanh)


def draw_teacher(key: Key, setting: Setting) -> Params:
    """A teacher's parameters: standard initialisation, first layer 2 w + 1, second layer 2 w.

    Biases get the same treatment as kernels, so that no hidden unit is an odd function.
    """
    params = teacher_network(setting).init(key)
    first, second = (link.name for link in layer_graph.links(params)[:2])

    def scaled(layer: Params, shift: float) -> Params:
        return jax.tree.map(lambda leaf: 2 * leaf + shift, layer)

    return {**params, first: scaled(params[first], 1.0), second: scaled(params[second], 0.0)}


def draw_examples(key: Key, setting: Setting, teacher: Params, n_examples: int) -> Examples:
    """Inputs uniform on [-1, 1]^d, targets the teacher's outputs plus noise."""
    key_inputs, key_noise = jax.random.split(key)
    shape = (n_examples, setting.teacher[0])
    inputs = jax.random.uniform(key_inputs, shape, minval=-1.0, maxval=1.0)
    outputs = teacher_network(setting).apply(teacher, inputs)
    return Examples(inputs, outputs + setting.noise * jax.random.normal(key_noise, outputs.shape))


def pruning_run(
    setting: Setting,
    method: str,
    counts: tuple[int, int, int],
    *,
    steps: int,
    fine_tune_steps: int,
    batch_size: int | None,
) -> Callable[[Key, _three_phase.Point], dict[str, Any]]:
    """A student that is pruned to the size its data deserve; pure, for sweeps.

    Args:
      setting: see `Setting`; the loss is the code length at the true noise.
      method: a name in `pruning.methods.METHODS`.
      counts: examples to train on, to choose the threshold on, and to test on.
      steps: optimiser steps of the first phase.
      fine_tune_steps: of the last one, at least 1.
      batch_size: examples per step; None for all.

    Returns:
      (key, point) -> `student` and `teacher`, which each key draws anew, and `metrics`: nonzeros,
      mean squared errors `train_loss`, `validation_loss` and `test_loss`, and `finite`.
    """
    network = student_network(setting)
    loss = losses.squared_error(network.apply, setting.noise)
    built = METHODS[method].build(loss, steps)
    phases = _three_phase.Phases(
        regularise=loop.Plan(steps, batch_size, log_points=1),
        fine_tune=loop.Plan(fine_tune_steps, batch_size, log_points=1),
        fine_tune_optimizer=gradient_descent.falling_adam(fine_tune_steps),
    )

    def squared_error(params: Params, examples: Examples) -> jax.Array:
        return jnp.mean(jnp.square(network.apply(params, examples.inputs) - examples.targets))

    def simplify(key: Key, params: Params) -> Params:
        del key
        return reachability.remove_unreachable(params, activation=jnp.tanh)

    def run(key: Key, point: _three_phase.Point) -> dict[str, Any]:
        key_teacher, key_examples, key_student, key_run = jax.random.split(key, 4)
        teacher = draw_teacher(key_teacher, setting)
        train, validation, test = (
            draw_examples(k, setting, teacher, count)
            for k, count in zip(jax.random.split(key_examples, 3), counts, strict=True)
        )
        start = network.init(key_student)
        pruned = _three_phase.run(
            phases, built, loss, squared_error, key_run, start, point, train, validation, simplify
        )
        return {
            "student": pruned.params,
            "teacher": teacher,
            "metrics": {
                "nonzeros": trees.nonzeros(pruned.params),
                "train_loss": squared_error(pruned.params, train),
                "validation_loss": squared_error(pruned.params, validation),
                "test_loss": squared_error(pruned.params, test),
                "finite": pruned.finite,
            },
        }

    return run


def delete_neurons(params: Params) -> dict[str, dict[str, np.ndarray]]:
    """The smaller network without hidden units that have no incoming or no outgoing weight.

    A unit without incoming weights is the constant tanh(b), which moves into the next bias.
    Host-side: shapes change.

    Args:
      params: a chain of dense layers with tanh between them.

    Returns:
      NumPy parameters of the same layers with fewer units.
    """
    names = [link.name for link in layer_graph.links(params)]
    layers = {
        name: {part: np.array(leaf, np.float64) for part, leaf in params[name].items()}
        for name in names
    }
    changed = True
    while changed:
        changed = False
        for name, following in zip(names[:-1], names[1:], strict=True):
            layer, after = layers[name], layers[following]
            constant = ~np.any(layer["kernel"], axis=0)
            gone = constant | ~np.any(after["kernel"], axis=1)
            if not gone.any():
                continue
            changed = True
            effect = np.where(constant, np.tanh(layer["bias"]), 0.0) @ after["kernel"]
            layers[name] = {"kernel": layer["kernel"][:, ~gone], "bias": layer["bias"][~gone]}
            layers[following] = {"kernel": after["kernel"][~gone], "bias": after["bias"] + effect}
    return layers


def normal_form(params: Params) -> dict[str, dict[str, np.ndarray]]:
    """One of all the networks that differ by permutations and sign flips of tanh units.

    Hidden units without weights are deleted, signs flipped so that biases are not negative (where
    the bias is zero: so that the first nonzero incoming weight is positive), and units sorted by
    bias, ties by their incoming weights. (The authors break ties by outgoing weights, which still
    depend on the order of the units that read them.)

    Args:
      params: a chain of dense layers with tanh between them.

    Returns:
      NumPy parameters; equal functions of this family have equal normal forms, but for ties.
    """
    layers = delete_neurons(params)
    names = list(layers)
    for name, following in zip(names[:-1], names[1:], strict=True):
        layer, after = layers[name], layers[following]
        kernel, bias, outgoing = layer["kernel"], layer["bias"], after["kernel"]
        sign = np.ones(len(bias))
        for unit in range(len(bias)):
            decisive = np.concatenate([bias[unit : unit + 1], kernel[:, unit]])
            nonzero = decisive[decisive != 0]
            sign[unit] = np.sign(nonzero[0]) if len(nonzero) else 1.0
        kernel, bias, outgoing = kernel * sign, bias * sign, outgoing * sign[:, None]
        order = sorted(range(len(bias)), key=lambda unit: (bias[unit], *kernel[:, unit]))
        layers[name] = {"kernel": kernel[:, order], "bias": bias[order]}
        layers[following] = {"kernel": outgoing[order], "bias": after["bias"]}
    return layers


def recovered(student: Params, teacher: Params, tolerance: float = 0.1) -> bool:
    """Whether the normal forms have equal shapes and weights that differ by at most `tolerance`.

    Args:
      student: parameters after pruning.
      teacher: parameters that made the data.
      tolerance: largest difference, relative to the teacher's largest weight.
    """
    mine, true = normal_form(student), normal_form(teacher)
    scale = max(np.abs(leaf).max() for layer in true.values() for leaf in layer.values())
    for name, layer in true.items():
        for part, leaf in layer.items():
            if mine[name][part].shape != leaf.shape:
                return False
            if np.abs(mine[name][part] - leaf).max(initial=0.0) > tolerance * scale:
                return False
    return True
