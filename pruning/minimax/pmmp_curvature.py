"""PMMP without its minimax: the network's own curvature in place of the multiplier.

PMMP (Eq. 10) is E_z L(w z), z_i ~ Bernoulli(gamma_i), with the unknown curvature replaced by a
multiplier. Putting it back leaves a plain minimisation:

    min_{w, gamma}  L(w gamma) + 1/2 sum_i h_i w_i^2 gamma_i (1 - gamma_i) + alpha sum_i gamma_i

with h the diagonal of the Fisher or Hessian matrix at w gamma. Where L is a separable quadratic
with curvature h this *is* E_z L(w z) + alpha E |z|_0: linear in each gamma, so its minima are at
the corners and solve the l0 problem exactly. In a network it is exact to second order along each
weight. Where w is at its optimum, a weight goes if and only if 1/2 h_i w_i^2 < alpha, the saliency
of optimal brain damage, so alpha is a price in nats for each weight, as a description length has.

gamma = sigmoid(s) moves by mirror descent with an entropy term tau that is lowered to zero:
s <- s - kappa ((w dL + 1/2 h w^2 (1 - 2 gamma) + alpha) / alpha + tau s). No clipping of gamma,
no optimiser that divides the constant alpha away, no second copy of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import (
    Batch,
    Key,
    Loss,
    Method,
    OptimizerFactory,
    Params,
    all_finite,
    as_arrays,
)
from pruning.schedule import Factor, Schedule, constant, scheduled

Curvature = Literal["fisher", "hessian"]
"""Which diagonal h is: the empirical Fisher, at the price of half a pass more, or Hutchinson's
estimate of the Hessian, at that of a whole one (exact where the Hessian is diagonal)."""

LARGEST_LOGIT = 8.0
"""s is kept within this: a gate of 3e-4 can still come back."""

LARGEST_DRIFT = 20.0
"""In units of alpha: what one noisy batch can say about a gate."""


class Hyperparameters(NamedTuple):
    """What may be swept.

    Attributes:
      learning_rate: Float[], handed to the optimiser factory for w.
      strength: Float[], alpha, nats per weight.
      gate_rate: Float[], kappa, logits per step for a weight that is worth nothing.
      temperature: Float[], tau at the start, in units of alpha.
      initial_gate: Float[] in (0, 1), gamma at the start.
    """

    learning_rate: jax.Array | float = 1e-3
    strength: jax.Array | float = 1e-5
    gate_rate: jax.Array | float = 0.005
    temperature: jax.Array | float = 0.1
    initial_gate: jax.Array | float = 0.95


@dataclass(frozen=True)
class PmmpCurvatureConfig:
    """Static choices.

    Attributes:
      hyperparameters: the values of a run that sweeps nothing.
      curvature: see `Curvature`.
      memory: share that a new batch has in the running mean of the curvature.
      anneal: factor on the temperature, to end at 0.
      schedule: factors on learning rate and strength.
    """

    hyperparameters: Hyperparameters = Hyperparameters()
    curvature: Curvature = "fisher"
    memory: float = 0.01
    anneal: Factor = constant
    schedule: Schedule = Schedule()


class PmmpCurvatureState(NamedTuple):
    """What the next step needs.

    Attributes:
      weights: w.
      logits: s; the gates are sigmoid(s).
      curvature: running mean for h, before its bias is corrected.
      optimizer: the optax optimiser's own state, of w.
      count: Int[], steps done.
      hyperparameters: Float[] each.
    """

    weights: Params
    logits: Params
    curvature: Params
    optimizer: Any
    count: jax.Array
    hyperparameters: Hyperparameters


class PmmpCurvatureInfo(NamedTuple):
    """What a person reads about one step.

    Attributes:
      loss_nats: Float[], mean loss of the batch at w gamma, nats per example.
      expected_nonzeros: Float[], sum of the gates.
      fractional_gates: Float[], share of fractional gates, in (0.1, 0.9).
      variance_nats: Float[], 1/2 sum h w^2 gamma (1 - gamma), what rounding the gates risks.
      gradient_norm: Float[], global l2 norm of the data gradient.
      finite: Bool[], whether loss, gradient, variance and new parameters were finite.
      aux: the loss's own named scalars.
    """

    loss_nats: jax.Array
    expected_nonzeros: jax.Array
    fractional_gates: jax.Array
    variance_nats: jax.Array
    gradient_norm: jax.Array
    finite: jax.Array
    aux: dict[str, jax.Array]


def variance_term(curvature: Params, weights: Params, gates: Params) -> jax.Array:
    """1/2 sum_i h_i w_i^2 gamma_i (1 - gamma_i), nats: E_z L(w z) - L(w gamma) to second order."""
    terms = jax.tree.map(
        lambda h, w, gate: jnp.sum(0.5 * h * jnp.square(w) * gate * (1 - gate)),
        curvature,
        weights,
        gates,
    )
    return sum(jax.tree.leaves(terms), start=jnp.zeros(()))


def fisher_sample(whole: jax.Array, half: jax.Array, n: int) -> jax.Array:
    """An unbiased sample of the empirical Fisher's diagonal, E g_i^2 over examples.

    The squared mean gradient of n examples is mu^2 + sigma^2 / n in the mean, mu and sigma those of
    single examples, so that n times it is right only where mu = 0. What differs between two halves
    of a batch gives sigma^2, and their product mu^2, wherever the weights are.

    Args:
      whole: mean gradient of all n examples.
      half: mean gradient of n // 2 of them, drawn at random.
      n: examples; one has no halves, and its square is returned.

    Returns:
      Array of the gradient's shape; single samples may be negative.
    """
    if n < 2:
        return jnp.square(whole)
    first, second = n // 2, n - n // 2
    other = (n * whole - first * half) / second
    return jnp.square(half - other) / (1 / first + 1 / second) + half * other


def build(
    config: PmmpCurvatureConfig, loss: Loss, optimizer: OptimizerFactory = optax.adam
) -> Method:
    """Minimises L(w gamma) + 1/2 sum h w^2 gamma (1 - gamma) + alpha sum gamma.

    h is the running mean of `fisher_sample`, the diagonal of the empirical Fisher matrix, or of
    v (H v) with random signs v, which is the Hessian's.

    Args:
      config: static choices and default hyperparameters.
      loss: see `fewbits.training.method.Loss`; with `curvature="hessian"` twice differentiable.
      optimizer: learning rate -> optax optimiser of w.

    Returns:
      Method with `PmmpCurvatureState` and `PmmpCurvatureInfo`; finalised parameters are w where
      gamma > 1/2.

    Raises:
      ValueError: an unknown curvature, a memory outside (0, 1].
    """
    if config.curvature not in ("fisher", "hessian"):
        raise ValueError(f"curvature must be 'fisher' or 'hessian', got {config.curvature!r}")
    if not 0 < config.memory <= 1:
        raise ValueError(f"memory must be in (0, 1], got {config.memory}")

    def init(
        key: Key, params: Params, hyperparameters: Hyperparameters | None = None
    ) -> PmmpCurvatureState:
        del key  # nothing is drawn before the first step
        chosen = as_arrays(config.hyperparameters if hyperparameters is None else hyperparameters)
        start = jax.scipy.special.logit(chosen.initial_gate)
        return PmmpCurvatureState(
            weights=params,
            logits=jax.tree.map(
                lambda leaf: jnp.broadcast_to(start.astype(leaf.dtype), leaf.shape), params
            ),
            curvature=jax.tree.map(jnp.zeros_like, params),
            optimizer=optimizer(chosen.learning_rate).init(params),
            count=jnp.zeros((), jnp.int32),
            hyperparameters=chosen,
        )

    def estimate(key: Key, gated: Params, gradient: Params, batch: Batch) -> Params:
        if config.curvature == "fisher":
            n = jax.tree.leaves(batch)[0].shape[0]
            key_half, key_loss = jax.random.split(key)
            rows = jax.random.permutation(key_half, n)[: max(n // 2, 1)]
            half = jax.grad(lambda params, part: loss(key_loss, params, part)[0])(
                gated, jax.tree.map(lambda a: a[rows], batch)
            )
            return jax.tree.map(lambda g, part: fisher_sample(g, part, n), gradient, half)
        key_signs, key_loss = jax.random.split(key)
        leaves, structure = jax.tree.flatten(gated)
        keys = jax.random.split(key_signs, len(leaves))
        signs = jax.tree.unflatten(
            structure,
            [
                jax.random.rademacher(k, leaf.shape, leaf.dtype)
                for k, leaf in zip(keys, leaves, strict=True)
            ],
        )
        slope = jax.grad(lambda params: loss(key_loss, params, batch)[0])
        product = jax.jvp(slope, (gated,), (signs,))[1]
        return jax.tree.map(jnp.multiply, signs, product)

    def step(
        key: Key, state: PmmpCurvatureState, batch: Batch
    ) -> tuple[PmmpCurvatureState, PmmpCurvatureInfo]:
        now = scheduled(state.hyperparameters, config.schedule, state.count)
        key_loss, key_curvature = jax.random.split(key)
        gates = jax.tree.map(jax.nn.sigmoid, state.logits)
        gated = jax.tree.map(jnp.multiply, state.weights, gates)
        (loss_nats, aux), data_gradient = jax.value_and_grad(loss, argnums=1, has_aux=True)(
            key_loss, gated, batch
        )
        running = jax.tree.map(
            lambda old, new: old + config.memory * (new - old),
            state.curvature,
            estimate(key_curvature, gated, data_gradient, batch),
        )
        share_seen = 1 - (1 - config.memory) ** (state.count + 1)
        # A negative curvature would reward fractional gates. It is the mean that is clipped: its
        # samples differ in sign, and clipped ones are biased.
        curvature = jax.tree.map(lambda h: jnp.maximum(h / share_seen.astype(h.dtype), 0), running)

        gradient = jax.tree.map(
            lambda g, h, w, gate: gate * (g + h * w * (1 - gate)),
            data_gradient,
            curvature,
            state.weights,
            gates,
        )
        updates, optimizer_state = optimizer(now.learning_rate).update(
            gradient, state.optimizer, state.weights
        )
        temperature = now.temperature * config.anneal(state.count)

        def move(s: jax.Array, g: jax.Array, h: jax.Array, w: jax.Array, gate: jax.Array):
            worth = w * g + 0.5 * h * jnp.square(w) * (1 - 2 * gate)
            # The floor makes alpha = 0 a plain run: whatever is worth anything stays.
            price = jnp.maximum(now.strength, 1e-20).astype(s.dtype)
            drift = jnp.clip(worth / price, -LARGEST_DRIFT, LARGEST_DRIFT)
            drift = (
                drift + jnp.where(now.strength > 0, 1, 0) + jnp.asarray(temperature, s.dtype) * s
            )
            moved = s - jnp.asarray(now.gate_rate, s.dtype) * drift
            return jnp.clip(moved, -LARGEST_LOGIT, LARGEST_LOGIT)

        logits = jax.tree.map(move, state.logits, data_gradient, curvature, state.weights, gates)
        weights = optax.apply_updates(state.weights, updates)
        variance = variance_term(curvature, state.weights, gates)
        gradient_norm = optax.tree.norm(data_gradient)
        leaves = jax.tree.leaves(gates)
        fractional_gates = sum(jnp.count_nonzero((gate > 0.1) & (gate < 0.9)) for gate in leaves)
        info = PmmpCurvatureInfo(
            loss_nats=loss_nats,
            expected_nonzeros=jnp.stack([jnp.sum(gate) for gate in leaves]).sum(),
            fractional_gates=jnp.asarray(fractional_gates) / sum(gate.size for gate in leaves),
            variance_nats=variance,
            gradient_norm=gradient_norm,
            finite=jnp.isfinite(loss_nats)
            & jnp.isfinite(gradient_norm)
            & jnp.isfinite(variance)
            & all_finite((weights, logits)),
            aux=aux,
        )
        new = PmmpCurvatureState(
            weights, logits, running, optimizer_state, state.count + 1, state.hyperparameters
        )
        return new, info

    def finalize(state: PmmpCurvatureState) -> Params:
        return jax.tree.map(
            lambda w, s: jnp.where(s > 0, w, jnp.zeros_like(w)), state.weights, state.logits
        )

    return Method(init, step, finalize)
