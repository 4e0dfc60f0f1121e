"""One trial of a sweep: three phases at one penalty weight, and the files of what is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.coding import params_from_bytes, params_to_bytes
from fewbits.coding.weights import uniform_grid
from fewbits.io.errors import InputError
from fewbits.training import evaluation, gradient_descent, loop, trees
from fewbits.training.method import Key, Loss, Params
from pruning import leaves
from pruning.methods import METHODS
from pruning.procedures import _three_phase
from pruning.search import recognise, removal
from pruning.search.model import Model
from pruning.search.operating_points import Settings
from pruning.search.recognise import Chain
from pruning.search.selection import Candidate, Limit, Point, with_mean_error

LEAST_STEPS = 6_000
"""Of the first phase. On a small data set no penalty closes a weight in a few epochs, and more
steps at a smaller penalty weight end with fewer weights at the same accuracy."""

Data = tuple[Any, jax.Array]
"""Inputs and labels."""

_EPOCHS, _MOST_STEPS = 10, 20_000
_VECTOR_BITS, _STATE_BITS = 8, (8, 16)
_FEW = 1_000
"""Examples for the state inside the threshold search, and for a check that outputs stay."""


class Trial(NamedTuple):
    """What one penalty weight gave.

    Attributes:
      strength: the penalty weight.
      candidates: its files; none where the run diverged.
      n_kept: weights left after the threshold.
    """

    strength: float
    candidates: list[Candidate]
    n_kept: int


class Problem:
    """The compiled programs of one search, and what they close over."""

    def __init__(
        self,
        apply: Callable[..., Any],
        params: Params,
        state: Any,
        mask: leaves.Mask,
        settings: Settings,
        train: Data,
        validation: Data,
        measured: Data,
    ):
        self.model = Model(apply, params, state)
        self.settings, self.train, self.validation = settings, train, validation
        self.measured = measured
        # The mask belongs to the tree that was given; in the tree of floats, the rest is None.
        wanted = leaves.chosen(mask, params)
        is_float = self.model.is_float
        self.mask = jax.tree.map(lambda on, trained: on if trained else None, wanted, is_float)
        weights = self.model.weights(params)
        self.n_weights = trees.size(weights)
        self.n_prunable = trees.size(leaves.select(self.mask, weights))
        if not self.n_prunable:
            raise ValueError("the mask leaves nothing to prune")
        if mask is not None and not METHODS[settings.method].takes_mask:
            able = ", ".join(name for name, one in METHODS.items() if one.takes_mask)
            raise ValueError(f"{settings.method} takes no mask; these do: {able}")
        self._check_logits(weights)
        self.chain = self._recognised(weights)
        self._accuracy = jax.jit(self.model.accuracy)
        self._run = jax.jit(self._three_phases)
        self._tune = jax.jit(self._tuned)
        self._settle = jax.jit(self.model.settled, static_argnums=3)
        self._finish = jax.jit(self._without_dead_state)
        n = len(train[1])
        self.batch_size = min(settings.batch_size, n)
        epochs = _EPOCHS * (n // self.batch_size)
        self.steps = settings.steps or min(max(epochs, LEAST_STEPS), _MOST_STEPS)
        tune = settings.fine_tune_steps
        self.tune_steps = self.steps // 2 if tune is None else tune

    def _check_logits(self, weights: Params) -> None:
        state = self.model.state
        out = jax.eval_shape(self.model.logits, weights, state, _first(self.train[0]))
        for name, (_, labels) in (("train", self.train), ("validation", self.validation)):
            if out.ndim != 2 or not 0 <= int(labels.min()) <= int(labels.max()) < out.shape[1]:
                raise ValueError(
                    f"{name} labels are {labels.min()} to {labels.max()}, and logits have the "
                    f"shape {out.shape}; expected classes from 0 and (batch, classes)"
                )
        self.n_classes = out.shape[1]

    def _recognised(self, weights: Params) -> Chain | None:
        """The network as a chain of layers, if it is one: more can be removed from those."""
        inputs = self.train[0]
        if self.model.state is not None or not hasattr(inputs, "shape") or inputs.ndim < 2:
            return None
        try:
            found = recognise.chains(weights, inputs.shape[1:], self.n_classes)
        except ValueError:
            return None
        few = jnp.asarray(inputs[:8], jnp.float32)
        return recognise.same_function(
            found, weights, lambda w, x: self.model.logits(w, None, x), few
        )

    def check_reachable(self, weights: Params, limit: Limit) -> None:
        """Asserts that a file of the asked size can be.

        Raises:
          InputError: even with all prunable weights at zero it would be larger.
        """
        tree = self.model.whole(
            jax.tree.map(lambda leaf, on: jnp.zeros_like(leaf) if on else leaf, weights, self.mask)
        )
        if self.model.state is not None:
            floats = leaves.chosen(None, self.model.state)
            state = jax.tree.map(
                lambda leaf, on: jnp.zeros_like(leaf) if on else leaf, self.model.state, floats
            )
            tree = {"params": tree, "state": state}
        bits = min((*self.settings.bits, self.settings.tuned_bits or 16))
        least = len(params_to_bytes(tree, bits=bits))
        if limit.size_bytes < least:
            raise InputError(
                f"no file of this network has at most {limit.size_bytes:,.0f} bytes: with every "
                f"weight at zero it takes {least:,}; ask for more than that"
            )

    def error_percent(self, weights: Params, state: Any) -> float:
        """On the data that errors are measured on."""
        return 100 * (1 - float(self._accuracy(weights, state, self.measured)))

    def settled(self, weights: Params) -> Any:
        """The state that these weights call for, on training data."""
        return self._settle(jax.random.key(0), weights, self.train[0], self.batch_size)

    def trained(self, key: Key, weights: Params) -> Params:
        """Plain training for as many steps as the first phase has."""
        loss = self._loss(0.0, self.model.state, None)
        return gradient_descent.train(
            key, weights, self.train, loss, steps=self.steps, batch_size=self.batch_size,
            learning_rate=self.settings.learning_rate,
            optimizer=gradient_descent.falling_adam(self.steps),
        )  # fmt: skip

    def _loss(self, smoothing: float, state: Any, teacher: Params | None) -> Loss:
        """Cross entropy on smoothed labels; with a teacher, on mixed inputs and what it says.

        The teacher is the network that was given. Between training examples it says what no label
        does, so that the pruned network follows it where test data may lie (mixup, Zhang et al.
        2018; distillation, Hinton et al. 2015).
        """
        share = self.settings.distillation

        def loss(key: Key, weights: Params, batch: Data):
            inputs, labels = batch
            targets = optax.smooth_labels(jax.nn.one_hot(labels, self.n_classes), smoothing)
            if teacher is not None and share:
                key, key_mix = jax.random.split(key)
                inputs, targets = mixed(key_mix, inputs, targets)
                said = jax.nn.softmax(self.model.logits(teacher, state, inputs))
                said = optax.smooth_labels(said, smoothing)
                targets = (1 - share) * targets + share * jax.lax.stop_gradient(said)
            logits = self.model.training(key, weights, state, inputs)[0]
            return optax.softmax_cross_entropy(logits, targets).mean(), {}

        return loss

    def _few(self, train: Data) -> Any:
        return jax.tree.map(lambda a: a[:_FEW], train[0])

    def _three_phases(
        self, key: Key, weights: Params, strength: jax.Array, train: Data, held: Data
    ) -> _three_phase.Pruned:
        named, settings = METHODS[self.settings.method], self.settings
        loss = self._loss(settings.label_smoothing, self.model.state, weights)
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

        def settled(w: Params) -> Any:
            return self.model.settled(key, w, self._few(train), self.batch_size)

        def objective(w: Params, data: Data) -> jax.Array:
            state = settled(w)
            return evaluation.mean_cross_entropy(
                lambda w, x: self.model.logits(w, state, x), w, *data
            )

        def simplify(key: Key, w: Params) -> Params:
            del key
            return self._without_dead_units(w, settled(w), self._few(train), held[0])[0]

        return _three_phase.run(
            phases, method, loss, objective, key, weights, point, train, held, simplify, self.mask
        )

    def _tuned(self, key: Key, weights: Params, support: Params, train: Data, teacher: Params):
        """Half as much training again, on the grid of `tuned_bits`."""
        settings, steps = self.settings, max(self.tune_steps // 2, 1)
        loss = self._loss(settings.label_smoothing, self.model.state, teacher)
        return _three_phase.fine_tune(
            loop.Plan(steps, self.batch_size, log_points=1),
            on_grid(loss, settings.tuned_bits or 8),
            key,
            weights,
            support,
            train,
            settings.learning_rate / 2,
            gradient_descent.falling_adam(steps),
        )

    def _without_dead_state(self, weights: Params, state: Any, *inputs: Any) -> tuple[Params, Any]:
        return self._without_dead_units(weights, state, *inputs)

    def _without_dead_units(self, weights: Params, state: Any, *inputs: Any) -> tuple[Params, Any]:
        """Weights and state without what reaches no output; the logits on the data stay."""
        return removal.without_dead_units(self.model, self.chain, weights, state, self.mask, inputs)

    def trial(self, key: Key, weights: Params, strength: float) -> Trial:
        """The files of one penalty weight; none where the run diverged."""
        result = self._run(key, weights, jnp.float32(strength), self.train, self.validation)
        if not result.finite:
            return Trial(strength, [], 0)
        found = []
        for bits in self.settings.bits:
            found += self._candidates(result.params, strength, bits)
        precise = list(found)
        if self.settings.tuned_bits is not None and self.tune_steps:
            key = jax.random.fold_in(key, 1)
            tuned = self._tune(key, result.params, result.mask, self.train, weights)
            if tuned.finite:
                found += self._candidates(tuned.params, strength, self.settings.tuned_bits)
        return Trial(strength, with_mean_error(found, precise), int(result.n_kept))

    def _candidates(self, weights: Params, strength: float, bits: int) -> list[Candidate]:
        """A file; with a state, one for each precision of it."""

        def width(path: str, tensor: np.ndarray) -> int:
            return bits if tensor.ndim > 1 else max(bits, _VECTOR_BITS)

        def file_of(w: Params) -> bytes:
            return params_to_bytes(self.model.whole(w), bits=width)

        like = self.model.whole(weights)
        if self.model.state is None:
            file = file_of(weights)
            decoded = self.model.weights(params_from_bytes(file, like=like))
            if self.chain is not None and self.settings.sort_units:
                few = jax.tree.map(lambda a: a[:_FEW], self.train[0])
                ordered = removal.with_sorted_units(self.model, self.chain, decoded, few)
                if ordered is not None:
                    file = file_of(ordered)
                    decoded = self.model.weights(params_from_bytes(file, like=like))
            return [self._measured(decoded, None, file, strength, bits)]
        # Statistics are of the network that the file holds.
        decoded = self.model.weights(params_from_bytes(file_of(weights), like=like))
        decoded, state = self._finish(
            decoded, self.settled(decoded), self._few(self.train), self.validation[0]
        )
        tree = {"params": self.model.whole(decoded), "state": state}
        found = []
        for state_bits in _STATE_BITS:

            def both(path: str, tensor: np.ndarray, state_bits: int = state_bits) -> int:
                return state_bits if path.startswith("state/") else width(path, tensor)

            file = params_to_bytes(tree, bits=both)
            read = params_from_bytes(file, like=tree)
            stored = self.model.weights(read["params"])
            found.append(self._measured(stored, read["state"], file, strength, bits))
        return found

    def _measured(
        self, weights: Params, state: Any, file: bytes, strength: float, bits: int
    ) -> Candidate:
        nonzeros = int(trees.nonzeros(weights))
        error = self.error_percent(weights, state)
        point = Point(strength, bits, nonzeros, len(file), error, file)
        return Candidate(point, self.model.whole(weights), state)


def smoothed_cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float) -> jax.Array:
    """Mean of -sum_c t_c ln softmax(logits)_c, t the smoothed label, nats."""
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()


def mixed(key: Key, inputs: Any, targets: jax.Array) -> tuple[Any, jax.Array]:
    """Half of the examples on their way to the one before them in the batch, targets likewise.

    Inputs with whole numbers, such as tokens, stay as they are.
    """
    floats = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(inputs)]
    if not all(floats):
        return inputs, targets
    key_which, key_share = jax.random.split(key)
    n = targets.shape[0]
    share = jnp.where(
        jax.random.bernoulli(key_which, 0.5, (n,)), jax.random.uniform(key_share, (n,)), 1.0
    )

    def mix(a: jax.Array) -> jax.Array:
        weight = share.reshape(n, *(1,) * (a.ndim - 1)).astype(a.dtype)
        return weight * a + (1 - weight) * jnp.roll(a, 1, axis=0)

    return jax.tree.map(mix, inputs), mix(targets)


def on_grid(loss: Loss, bits: int) -> Loss:
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
