"""PMMP (arXiv 2505.17469, Eq. 10) as optax: an augmented tree, a loss on it, an optimiser for it.

    min_{theta, w, gamma in [0,1]^n}  max_u   L(theta) + alpha sum_i gamma_i
        + sum_i u_i [ (theta_i - w_i gamma_i)^2 + w_i^2 gamma_i (1 - gamma_i) ]      (Eq. 10)

As published all four move at once, by one optimiser with one learning rate, theta, w and gamma
down, u up; gamma is clipped to [0, 1]. `pmmp` has the same as a `Method`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Params


class Variables(NamedTuple):
    """The four tensors of the game, each a tree with the structure of the parameters.

    Attributes:
      network: theta, what the network computes with.
      weights: w, the weights behind the gates.
      gates: gamma in [0, 1], the probability of keeping a weight.
      multipliers: u, the dual variables of theta differing from w z.
    """

    network: Params
    weights: Params
    gates: Params
    multipliers: Params


def violation(variables: Variables) -> Params:
    """E (theta - w z)^2 = (theta - w gamma)^2 + w^2 gamma (1 - gamma), elementwise.

    Computed as (1 - gamma) theta^2 + gamma (theta - w)^2, the same number without cancellation:
    where w = theta its slope in w is exactly zero, which Adam would otherwise blow up from the
    last bit to a full step.

    Returns:
      Tree of Float arrays of the parameters' shapes.
    """

    def elementwise(theta: jax.Array, w: jax.Array, gate: jax.Array) -> jax.Array:
        return (1 - gate) * jnp.square(theta) + gate * jnp.square(theta - w)

    return jax.tree.map(elementwise, variables.network, variables.weights, variables.gates)


def lagrangian(strength: jax.Array | float, variables: Variables) -> jax.Array:
    """Price alpha sum gamma + sum u E (theta - w z)^2: Eq. 10 without the data term.

    Args:
      strength: Float[], alpha.
      variables: the four trees.

    Returns:
      Float[], nats.
    """
    priced = jax.tree.map(
        lambda gate, u, squared: jnp.sum(jnp.asarray(strength, gate.dtype) * gate + u * squared),
        variables.gates,
        variables.multipliers,
        violation(variables),
    )
    return sum(jax.tree.leaves(priced), start=jnp.zeros(()))


def pmmp_variables(
    params: Params,
    *,
    initial_gate: jax.Array | float = 1.0,
    initial_multiplier: jax.Array | float = 1.0,
) -> Variables:
    """The tree that is optimised in place of the parameters.

    Args:
      params: pytree of float arrays; both theta and w start there.
      initial_gate: gamma at the start, in [0, 1].
      initial_multiplier: u at the start.
    """

    def filled(number: jax.Array | float) -> Params:
        return jax.tree.map(lambda leaf: jnp.full(leaf.shape, number, leaf.dtype), params)

    return Variables(params, params, filled(initial_gate), filled(initial_multiplier))


def pmmp_loss(
    loss: Callable[..., jax.Array], strength: jax.Array | float
) -> Callable[..., jax.Array]:
    """A loss of the parameters as one of the augmented tree: Eq. 10.

    Args:
      loss: (params, *rest) -> Float[], mean in nats.
      strength: alpha, nats per weight.

    Returns:
      (variables, *rest) -> Float[].
    """

    def augmented(variables: Variables, *rest: Any, **named: Any) -> jax.Array:
        return loss(variables.network, *rest, **named) + lagrangian(strength, variables)

    return augmented


def pmmp_optimizer(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Descends in theta, w and gamma, ascends in u, and keeps gamma in [0, 1].

    Args:
      optimizer: of all four tensors, such as `optax.adam(1e-3)`.

    Returns:
      Transformation of the gradients of `pmmp_loss`; `update` needs the variables as `params`.

    >>> import jax, jax.numpy as jnp, optax, pruning
    >>> def loss(params):
    ...     return jnp.sum((params - jnp.array([1.0, 0.05])) ** 2)
    >>> variables = pruning.pmmp_variables(jnp.array([1.0, 0.05]))
    >>> optimizer = pruning.pmmp_optimizer(optax.adam(0.02))
    >>> gradient = jax.jit(jax.grad(pruning.pmmp_loss(loss, 0.1)))
    >>> state, update = optimizer.init(variables), jax.jit(optimizer.update)
    >>> for _ in range(300):
    ...     updates, state = update(gradient(variables), state, variables)
    ...     variables = optax.apply_updates(variables, updates)
    >>> print(pruning.pmmp_params(variables) != 0)
    [ True False]
    """

    def labels(variables: Variables) -> Variables:
        sides = Variables("descend", "descend", "descend", "ascend")
        return Variables(
            *(
                jax.tree.map(lambda _, s=s: s, part)
                for part, s in zip(variables, sides, strict=True)
            )
        )

    sides: dict[Hashable, Any] = {
        "descend": optimizer,
        "ascend": optax.chain(optax.scale(-1.0), optimizer),
    }
    return optax.chain(optax.partition(sides, labels), _gates_within_bounds())


def pmmp_params(variables: Variables) -> Params:
    """The parameters that the variables stand for: theta where gamma > 0, zero elsewhere."""
    return jax.tree.map(
        lambda theta, gate: jnp.where(gate == 0, jnp.zeros_like(theta), theta),
        variables.network,
        variables.gates,
    )


def _gates_within_bounds() -> optax.GradientTransformation:
    def update(updates: Variables, state: Any, params: Variables | None = None):
        if params is None:
            raise ValueError("PMMP needs its variables: update(updates, state, variables)")
        moved = optax.apply_updates(params.gates, updates.gates)
        inside = jax.tree.map(lambda gate: optax.projections.projection_box(gate, 0.0, 1.0), moved)
        gates = jax.tree.map(jnp.subtract, inside, params.gates)
        return updates._replace(gates=gates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)  # type: ignore[arg-type]
