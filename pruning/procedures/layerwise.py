"""Layer by layer, last to first: each layer's own l0 problem, whose objective is exactly quadratic.

    min_{w, gamma in [0,1]}  E ||y - (w gamma) x||^2 + sum_ij E x_i^2 w_ij^2 gamma_ij (1 - gamma_ij)
                             + alpha sum gamma

x are a layer's inputs on data, the bias's constant 1 among them, and y = W x its outputs before
pruning. The first two terms are E_z ||y - (w z) x||^2 with z ~ Bernoulli(gamma): the curvature of
`pmmp_curvature`, here exact. The data enter only through the Gram matrix E x x^T, so a step costs
the same however many examples there are.

Differs from the authors' program: means over examples instead of sums, so that alpha does not
depend on their number; a fixed number of steps, `converged` as data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Params
from pruning.graphs import reachability


@dataclass(frozen=True)
class LayerwiseConfig:
    """Static choices.

    Attributes:
      steps: of Adam for each layer.
      learning_rate: Adam's.
      initial_gate: gamma at the start. Published is 0.3, from where w first grows to make up for
        closed gates and the search may end beside the optimum; from 0.7 upwards it did not.
      tolerance: a gate counts as decided within this of 0 or 1.
    """

    steps: int = 5000
    learning_rate: float = 1e-3
    initial_gate: float = 0.9
    tolerance: float = 0.01

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if not 0 < self.initial_gate <= 1:
            raise ValueError(f"initial_gate must be in (0, 1], got {self.initial_gate}")


class Solution(NamedTuple):
    """One layer's.

    Attributes:
      weights: Float[inputs, outputs], exact zeros where gamma < 1/2.
      residual: Float[], E ||y - w x||^2 at the rounded gates.
      fractional_gates: Float[], share of gates that were neither 0 nor 1.
      converged: Bool[], whether no gate was fractional.
    """

    weights: jax.Array
    residual: jax.Array
    fractional_gates: jax.Array
    converged: jax.Array


class Stage(NamedTuple):
    """A layer and what comes before it.

    Attributes:
      name: key of the layer in the parameters.
      inputs: (params, data) -> Float[rows, inputs], what the layer multiplies: activations for a
        dense layer; for a convolution one row for each patch, taps in the order of the kernel.
    """

    name: str
    inputs: Callable[[Params, jax.Array], jax.Array]


def expected_error(gram: jax.Array, target: jax.Array, w: jax.Array, gate: jax.Array) -> jax.Array:
    """E over data and gates of ||y - (w z) x||^2, from the Gram matrix.

    Args:
      gram: Float[d, d], E x x^T.
      target: Float[d, outputs], the weights W of y = W^T x.
      w: Float[d, outputs].
      gate: Float[d, outputs] in [0, 1].

    Returns:
      Float[].
    """
    difference = target - w * gate
    mean_part = jnp.sum(difference * (gram @ difference))
    variance = jnp.diagonal(gram)[:, None] * jnp.square(w) * gate * (1 - gate)
    return mean_part + jnp.sum(variance)


def solve_layer(
    config: LayerwiseConfig, gram: jax.Array, target: jax.Array, strength: jax.Array | float
) -> Solution:
    """Projected Adam on w and gamma, then gates rounded at 1/2.

    Args:
      config: see `LayerwiseConfig`.
      gram: Float[d, d], E x x^T.
      target: Float[d, outputs], the layer's weights before.
      strength: Float[], alpha, in squared outputs for each weight; may be traced.

    Returns:
      Solution.
    """
    optimizer = optax.adam(config.learning_rate)

    def objective(variables: tuple[jax.Array, jax.Array]) -> jax.Array:
        w, gate = variables
        return expected_error(gram, target, w, gate) + strength * jnp.sum(gate)

    def step(_: jax.Array, carry):
        variables, state = carry
        updates, state = optimizer.update(jax.grad(objective)(variables), state, variables)
        w, gate = jax.tree.map(jnp.add, variables, updates)
        return (w, jnp.clip(gate, 0, 1)), state

    start = (target, jnp.full_like(target, config.initial_gate))
    (w, gate), _ = jax.lax.fori_loop(0, config.steps, step, (start, optimizer.init(start)))
    # What was zero before stays zero: the last layers' pruning reaches the first ones this way.
    kept = (gate >= 0.5) & (target != 0)
    weights = jnp.where(kept, w, jnp.zeros_like(w))
    open_gates = (gate > config.tolerance) & (gate < 1 - config.tolerance) & (target != 0)
    fractional_gates = jnp.mean(open_gates)
    residual = expected_error(gram, target, weights, jnp.ones_like(weights))
    return Solution(weights, residual, fractional_gates, fractional_gates == 0)


def prune(
    config: LayerwiseConfig,
    params: Params,
    stages: Sequence[Stage],
    data: jax.Array,
    strength: jax.Array | float,
    simplify: Callable[[Params], Params] = reachability.remove_unreachable,
) -> tuple[Params, list[Solution]]:
    """Prunes every stage's layer, last to first, and removes what each leaves unreachable.

    Args:
      config: see `LayerwiseConfig`.
      params: trained parameters.
      stages: first to last; see `Stage`.
      data: inputs of the network.
      strength: Float[], alpha.
      simplify: params -> params without useless weights.

    Returns:
      Pruned parameters, and the solutions in the order of the stages.
    """
    solutions: list[Solution] = []
    for stage in reversed(stages):
        layer = params[stage.name]
        kernel, bias = layer["kernel"], layer["bias"]
        rows = stage.inputs(params, data)
        rows = jnp.concatenate([rows, jnp.ones((rows.shape[0], 1), rows.dtype)], axis=1)
        gram = rows.T @ rows / rows.shape[0]
        target = jnp.concatenate([kernel.reshape(-1, kernel.shape[-1]), bias[None]])
        solution = solve_layer(config, gram, target, strength)
        pruned = {
            "kernel": solution.weights[:-1].reshape(kernel.shape),
            "bias": solution.weights[-1],
        }
        params = simplify({**params, stage.name: pruned})
        solutions.insert(0, solution)
    return params, solutions


def dense_stages(
    params: Params, activation: Callable[[jax.Array], jax.Array] = jax.nn.relu
) -> list[Stage]:
    """The stages of an MLP whose layers are those of `mlp`, in their order.

    Args:
      params: its parameters; only names are read.
      activation: after every layer but the last.
    """
    names = sorted(params, key=lambda name: (name == "output", len(name), name))

    def inputs_of(number: int) -> Callable[[Params, jax.Array], jax.Array]:
        def inputs(params: Params, x: jax.Array) -> jax.Array:
            x = x.reshape(x.shape[0], -1)
            for name in names[:number]:
                layer = params[name]
                x = activation(x @ layer["kernel"] + layer["bias"].reshape(1, -1))
            return x

        return inputs

    return [Stage(name, inputs_of(number)) for number, name in enumerate(names)]
