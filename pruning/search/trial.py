"""One trial of a sweep: three phases at one penalty weight, and the files of what is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.coding import params_from_bytes, params_to_bytes
from fewbits.coding.weights import uniform_grid
from fewbits.training import evaluation, gradient_descent, loop, trees
from fewbits.training.method import Key, Loss, Params
from pruning import leaves
from pruning.graphs import reachability
from pruning.methods import METHODS
from pruning.procedures import _three_phase
from pruning.search.operating_points import Candidate, Point, Settings

LEAST_STEPS = 6_000
"""Of the first phase. On a small data set no penalty closes a weight in a few epochs, and more
steps at a smaller penalty weight end with fewer weights at the same accuracy."""

_EPOCHS, _MOST_STEPS = 10, 20_000
_VECTOR_BITS, _STATE_BITS = 8, 16
_SAME_OUTPUTS = 1e-4


class Problem:
    """The compiled programs of one search, and what they close over."""

    def __init__(
        self,
        apply: Callable[..., jax.Array],
        params: Params,
        state: Any,
        mask: leaves.Mask,
        settings: Settings,
        train: tuple[Any, Any],
        validation: tuple[Any, Any],
        measured: tuple[Any, Any],
    ):
        self.params, self.state = params, state
        self.settings, self.train, self.validation = settings, train, validation
        self.measured = measured
        floats = leaves.chosen(None, params)
        if not any(jax.tree.leaves(floats)):
            raise ValueError("the parameters hold no array of floats")
        self.is_float = floats
        # The mask belongs to the tree that was given; in the tree of floats, the rest is None.
        wanted = leaves.chosen(mask, params)
        self.mask = jax.tree.map(lambda on, is_float: on if is_float else None, wanted, floats)
        self.n_prunable = trees.size(leaves.select(mask, params))
        if not self.n_prunable:
            raise ValueError("the mask leaves nothing to prune")
        if mask is not None and not METHODS[settings.method].takes_mask:
            able = ", ".join(name for name, one in METHODS.items() if one.takes_mask)
            raise ValueError(f"{settings.method} takes no mask; these do: {able}")

        def logits(weights: Params, model_state: Any, x: Any) -> jax.Array:
            whole = self.whole(weights)
            return apply(whole, x) if model_state is None else apply(whole, model_state, x)

        self.logits = logits
        out = jax.eval_shape(logits, self.floats(params), state, _first(train[0]))
        for name, (_, labels) in (("train", train), ("validation", validation)):
            if out.ndim != 2 or not 0 <= int(labels.min()) <= int(labels.max()) < out.shape[1]:
                raise ValueError(
                    f"{name} labels are {labels.min()} to {labels.max()}, and logits have the "
                    f"shape {out.shape}; expected classes from 0 and (batch, classes)"
                )
        self._error = jax.jit(
            lambda weights, model_state, data: (
                100
                * (1 - evaluation.accuracy(lambda w, x: logits(w, model_state, x), weights, *data))
            )
        )
        self._run = jax.jit(self._three_phases)
        self._tune = jax.jit(self._tuned)
        n = len(train[1])
        self.batch_size = min(settings.batch_size, n)
        epochs = _EPOCHS * (n // self.batch_size)
        self.steps = settings.steps or min(max(epochs, LEAST_STEPS), _MOST_STEPS)
        tune = settings.fine_tune_steps
        self.tune_steps = self.steps // 2 if tune is None else tune

    def floats(self, params: Params) -> Params:
        """The tree with None in place of leaves that are no floats."""
        return jax.tree.map(lambda leaf, on: leaf if on else None, params, self.is_float)

    def whole(self, weights: Params) -> Params:
        """The inverse of `floats`."""
        return jax.tree.map(lambda leaf, new: leaf if new is None else new, self.params, weights)

    def error_percent(self, params: Params, state: Any) -> float:
        """On the data that errors are measured on."""
        return float(self._error(self.floats(params), state, self.measured))

    def trained(self, key: Key, weights: Params) -> Params:
        """Plain training for as many steps as the first phase has."""
        method = gradient_descent.build(
            gradient_descent.GradientDescentConfig(),
            _cross_entropy(lambda w, x: self.logits(w, self.state, x), 0.0),
            gradient_descent.falling_adam(self.steps),
        )
        plan = loop.Plan(self.steps, self.batch_size, log_points=1)
        rate = gradient_descent.Hyperparameters(self.settings.learning_rate)
        return jax.jit(lambda w, data: loop.run(method, plan, key, w, data, rate).params)(
            weights, self.train
        )

    def _three_phases(
        self, key: Key, weights: Params, strength: jax.Array, state: Any, train: Any, held: Any
    ) -> _three_phase.Pruned:
        named, settings = METHODS[self.settings.method], self.settings

        def apply(w: Params, x: Any) -> jax.Array:
            return self.logits(w, state, x)

        loss = _cross_entropy(apply, settings.label_smoothing)
        if named.takes_mask:
            method = named.build(loss, self.steps, mask=self.mask)
        else:
            method = named.build(loss, self.steps)
        tune = loop.Plan(max(self.tune_steps, 1), self.batch_size, log_points=1)
        phases = _three_phase.Phases(
            regularise=loop.Plan(self.steps, self.batch_size, log_points=1),
            fine_tune=tune if self.tune_steps else None,
            fine_tune_optimizer=gradient_descent.falling_adam(max(self.tune_steps, 1)),
        )
        point = _three_phase.Point(
            named.hyperparameters(settings.learning_rate, strength),
            settings.tolerance,
            0.0,
            settings.learning_rate,
        )

        def objective(w: Params, data: Any) -> jax.Array:
            return evaluation.mean_cross_entropy(apply, w, *data)

        def simplify(key: Key, w: Params) -> Params:
            return _without_dead_units(key, apply, w, self.mask, train[0], held[0])

        return _three_phase.run(
            phases, method, loss, objective, key, weights, point, train, held, simplify, self.mask
        )

    def _tuned(
        self, key: Key, weights: Params, support: Params, state: Any, train: Any
    ) -> loop.Result:
        """Half as much training again, on the grid of `tuned_bits`."""
        settings, steps = self.settings, max(self.tune_steps // 2, 1)
        loss = _cross_entropy(lambda w, x: self.logits(w, state, x), settings.label_smoothing)
        return _three_phase.fine_tune(
            loop.Plan(steps, self.batch_size, log_points=1),
            _on_grid(loss, settings.tuned_bits or 8),
            key,
            weights,
            support,
            train,
            settings.learning_rate / 2,
            gradient_descent.falling_adam(steps),
        )

    def trial(self, key: Key, weights: Params, strength: float) -> list[Candidate]:
        """The files of one penalty weight; none where the run diverged."""
        result = self._run(
            key, weights, jnp.float32(strength), self.state, self.train, self.validation
        )
        if not result.finite:
            return []
        found = [self._candidate(result.params, strength, bits) for bits in self.settings.bits]
        if self.settings.tuned_bits is not None and self.tune_steps:
            key = jax.random.fold_in(key, 1)
            tuned = self._tune(key, result.params, result.mask, self.state, self.train)
            if tuned.finite:
                found.append(self._candidate(tuned.params, strength, self.settings.tuned_bits))
        return found

    def _candidate(self, weights: Params, strength: float, bits: int) -> Candidate:
        weights = jax.tree.map(np.asarray, weights)

        def width(path: str, tensor: np.ndarray) -> int:
            if self.state is not None and path.startswith("state/"):
                return _STATE_BITS
            return bits if tensor.ndim > 1 else max(bits, _VECTOR_BITS)

        tree: Any = weights
        if self.state is not None:
            tree = {"params": weights, "state": self.state}
        file = params_to_bytes(tree, bits=width)
        decoded = params_from_bytes(file, like=tree)
        state = None if self.state is None else jax.tree.map(jnp.asarray, decoded["state"])
        kept = decoded if self.state is None else decoded["params"]
        params = self.whole(jax.tree.map(jnp.asarray, kept))
        nonzeros = int(trees.nonzeros(self.floats(params)))
        error = self.error_percent(params, state)
        return Candidate(Point(strength, bits, nonzeros, len(file), error), file, params, state)


def _without_dead_units(
    key: Key,
    apply: Callable[[Params, Any], jax.Array],
    weights: Params,
    mask: Params,
    *inputs: Any,
) -> Params:
    """Weights without what reaches no output, where the logits on the data stay as they are."""
    try:
        # Folding under zero padding is right without padding too, where it could do more.
        candidate = reachability.remove_unreachable(weights, zero_padding=True)
    except ValueError:
        # No chain of layers that we know by name. A weight without any gradient on real data may
        # still matter elsewhere, so this test is left to those who ask for it.
        return weights
    del key
    candidate = jax.tree.map(lambda new, old, on: new if on else old, candidate, weights, mask)
    same = []
    for x in inputs:
        before = evaluation.map_batches(lambda b: apply(weights, b), x, 1000)
        after = evaluation.map_batches(lambda b: apply(candidate, b), x, 1000)
        scale = 1 + jnp.abs(before).max()
        same.append(jnp.abs(before - after).max() <= _SAME_OUTPUTS * scale)
    return jax.tree.map(
        lambda new, old: jnp.where(jnp.stack(same).all(), new, old), candidate, weights
    )


def _cross_entropy(apply: Callable[[Params, Any], jax.Array], smoothing: float) -> Loss:
    """Mean of -sum_c t_c ln softmax(apply(params, x))_c, t the smoothed label, nats."""

    def loss(key: Key, params: Params, batch: tuple[Any, jax.Array]):
        del key  # deterministic
        inputs, labels = batch
        logits = apply(params, inputs)
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean(), {}

    return loss


def _on_grid(loss: Loss, bits: int) -> Loss:
    """The loss at matrices rounded to a file's grid; the gradient passes through the rounding.

    The straight-through estimator (Bengio et al. 2013): weights learn to be good where the file
    puts them.
    """
    largest = uniform_grid.largest_symbol(bits)

    def rounded(leaf: jax.Array) -> jax.Array:
        if leaf.ndim < 2:
            return leaf
        step = jnp.maximum(jnp.abs(leaf).max() / largest, jnp.finfo(leaf.dtype).tiny)
        return leaf + jax.lax.stop_gradient(jnp.rint(leaf / step) * step - leaf)

    def at_grid(key: Key, params: Params, batch: Any):
        return loss(key, jax.tree.map(rounded, params), batch)

    return at_grid


def _first(inputs: Any) -> Any:
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), inputs)
