"""A trained or untrained classifier in, a small file out: sweep, threshold, fine-tune, quantise."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import params_from_bytes, params_to_bytes
from fewbits.training import evaluation, gradient_descent, loop, losses, trees
from fewbits.training.method import Key, Params
from pruning import _three_phase, leaves, reachability
from pruning.methods import METHODS


class PruningWarning(UserWarning):
    """What a user should know about a result."""


LEAST_STEPS = 2_000
"""Of the first phase: on a small data set no penalty closes a weight in a few epochs."""

_EPOCHS, _MOST_STEPS = 10, 20_000
_FIRST_FACTORS = (0.5, 2.0, 8.0)
_FIRST_SHARES = (0.5, 1.0, 2.0)
_SPREAD = 4.0
_BITS = (5, 6, 7, 8)
_VECTOR_BITS, _STATE_BITS = 8, 16
_SAME_OUTPUTS = 1e-4


@dataclass(frozen=True)
class Settings:
    """What may be chosen beside the data.

    Attributes:
      method: a name in `methods.METHODS`.
      strengths: penalty weights to try, in the method's own units; None searches.
      trials: penalty weights that the search tries.
      steps: optimiser steps of the first phase; None takes ten epochs, at least `LEAST_STEPS`.
      fine_tune_steps: of the last phase; None takes half of the first.
      batch_size: examples per step, at most all.
      learning_rate: Adam's at the start of both phases.
      tolerance: share by which the threshold may raise the validation loss.
      bits: per weight, to choose from; vectors (biases, scales) get `_VECTOR_BITS`.
    """

    method: str = "drr"
    strengths: tuple[float, ...] | None = None
    trials: int = 7
    steps: int | None = None
    fine_tune_steps: int | None = None
    batch_size: int = 128
    learning_rate: float = 2e-3
    tolerance: float = 0.1
    bits: tuple[int, ...] = _BITS

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"no method {self.method!r}; choose one of {', '.join(METHODS)}")
        for strength in self.strengths or ():
            if not (math.isfinite(strength) and strength >= 0):
                raise ValueError(f"penalty weight {strength}; use a number of at least 0")
            if METHODS[self.method].strength_is_share and strength > 1:
                raise ValueError(
                    f"{strength}: for {self.method} it is the share of weights that remain, 0 to 1"
                )
        for name, least in (("trials", 1), ("steps", 1), ("fine_tune_steps", 0), ("batch_size", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name.replace('_', '-')} {value}; use at least {least}")
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance {self.tolerance}; use a number of at least 0")


class Point(NamedTuple):
    """One file of a sweep.

    Attributes:
      strength: penalty weight.
      bits: per weight.
      nonzeros: numbers that differ from zero in the file.
      size_bytes: of the file.
      error_percent: of what the file decodes to, on the validation data.
    """

    strength: float
    bits: int
    nonzeros: int
    size_bytes: int
    error_percent: float


class Pruned(NamedTuple):
    """A pruned network; see `prune`.

    Attributes:
      params: exactly what the file decodes to, in the structure and dtypes that were given.
      state: likewise for the model's state; None where none was given.
      points: the Pareto set, smallest file first.
      file: the selected point's file; `fewbits.coding.params_from_bytes` decodes it.
    """

    params: Params
    state: Any
    points: list[Point]
    file: bytes


class Candidate(NamedTuple):
    """A file that may be selected, and what it decodes to."""

    point: Point
    file: bytes
    params: Params
    state: Any


class Search(NamedTuple):
    """All that a search knows; `prune` returns a part of it.

    Attributes:
      pruned: see `Pruned`.
      selected: the file's point.
      given_error_percent: of the network that was given, on the validation data.
      reference_percent: what `max_loss` is counted from: the error that was given, or, where
        training had to come first, the one after it.
      candidates: every file that was made.
    """

    pruned: Pruned
    selected: Point
    given_error_percent: float
    reference_percent: float
    candidates: list[Candidate]


class Goal(NamedTuple):
    """What selects a point: at most one of the three; none is a `max_loss` of 0.5.

    Attributes:
      max_loss: points of validation accuracy that may be lost.
      budget_bytes: largest size of the file.
      ratio: least ratio of the parameters' bytes as float32 to the file's.
    """

    max_loss: float | None = None
    budget_bytes: float | None = None
    ratio: float | None = None


def prune(
    apply: Callable[..., jax.Array],
    params: Params,
    train: tuple[Any, Any],
    validation: tuple[Any, Any],
    *,
    state: Any = None,
    method: str = "drr",
    max_loss: float | None = None,
    budget_bytes: int | None = None,
    ratio: float | None = None,
    mask: leaves.Mask = None,
    key: Key | None = None,
    **settings: Any,
) -> Pruned:
    """Prunes a classifier into a file: several penalty weights, one selected operating point.

    For each penalty weight: train under the penalty, set weights to zero below the largest
    threshold that the validation loss tolerates (TAMADE), remove what then reaches no output,
    train the weights left without the penalty, and write files of 5 to 8 bits per weight. These are
    the three phases of Barth & von Petersenn (arXiv 2505.17469). All penalty weights run through
    one compiled program. A network whose validation accuracy is less than halfway from chance to
    100 % is trained first, without a penalty.

    Args:
      apply: (params, inputs) -> logits Float[batch, classes], or (params, state, inputs) -> logits
        where a state is given; deterministic.
      params: any pytree; leaves that are no floats are left as they are and are not in the file.
      train: (inputs [n, ...], labels Int[n]), classes from 0.
      validation: likewise; decides threshold, bits and point, so the network must not have been
        trained on it.
      state: what `apply` reads beside the parameters, such as BatchNorm statistics; pytree of
        floats. It is not updated: pass an `apply` that uses the statistics as they are. The file
        then holds {"params": ..., "state": ...}, the state at 16 bits.
      method: drr, rl1, pmmp_curvature and the like, as `fewbits pruning compress --help` lists.
      max_loss: points of validation accuracy that may be lost; the smallest such file is selected.
      budget_bytes: instead, the largest size of the file; the most accurate such file is selected.
      ratio: instead, at least so many times smaller than the parameters as float32.
      mask: leaves to prune: a tree of bools (or a prefix of one), a function of the params that
        gives one, None for all. Only for drr, rl1, their proximal forms and magnitude.
      key: typed PRNG key of the batches; None is `jax.random.key(0)`.
      **settings: `strengths` (penalty weights), `trials` (7), `steps` (ten epochs, at least 2,000),
        `fine_tune_steps`, `batch_size` (128), `learning_rate` (Adam's, 2e-3), `tolerance` (0.1)
        and `bits` ((5, 6, 7, 8)).

    Returns:
      Pruned(params, state, points, file). Without any goal, `max_loss` is 0.5.

    Raises:
      ValueError: arguments that do not fit together, or every run diverged.

    Warns:
      UserWarning: no file meets the goal, or nothing or everything was pruned.

    >>> import jax.numpy as jnp, numpy as np, pruning
    >>> x = np.random.default_rng(0).normal(size=(900, 10)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int32)  # eight inputs mean nothing
    >>> params = {"w": jnp.zeros((10, 2)), "b": jnp.zeros(2)}
    >>> def apply(params, x):
    ...     return x @ params["w"] + params["b"]
    >>> pruned = pruning.prune(
    ...     apply, params, (x[:600], y[:600]), (x[600:], y[600:]), steps=300, trials=2
    ... )
    >>> bool((pruned.params["w"][2:] == 0).all()), len(pruned.file) < 150
    (True, True)
    """
    chosen = Settings(method=method, **settings)
    goal = Goal(max_loss, budget_bytes, ratio)
    key = jax.random.key(0) if key is None else key
    return search(apply, params, train, validation, state, goal, mask, key, chosen).pruned


def search(
    apply: Callable[..., jax.Array],
    params: Params,
    train: tuple[Any, Any],
    validation: tuple[Any, Any],
    state: Any,
    goal: Goal,
    mask: leaves.Mask,
    key: Key,
    settings: Settings,
    on_trial: Callable[[int, int], None] = lambda done, of: None,
) -> Search:
    """`prune`, and how it got there.

    Args:
      apply: as `prune`, like all up to `key`.
      params: parameters.
      train: training data.
      validation: validation data.
      state: the model's state, or None.
      goal: what selects a point.
      mask: leaves to prune.
      key: typed PRNG key.
      settings: see `Settings`.
      on_trial: called with (trials done, trials).
    """
    check_goal(goal)
    params, state = jax.tree.map(jnp.asarray, (params, state))
    train, validation = _arrays(train, "train"), _arrays(validation, "validation")
    problem = _Problem(apply, params, state, mask, settings, train, validation)
    weights, given = problem.floats(params), problem.error_percent(params, state)
    reference = given
    if _needs_training(given, validation[1]):
        weights = problem.trained(jax.random.fold_in(key, 0), weights)
        reference = min(given, problem.error_percent(problem.whole(weights), state))

    limit = _limit(goal, reference, trees.size(weights))
    found: list[Candidate] = []
    trial = functools.partial(problem.trial, jax.random.fold_in(key, 1), weights)
    tried: dict[float, list[Candidate]] = {}
    planned = settings.trials if settings.strengths is None else len(settings.strengths)
    for strength in _strengths(settings, tried, limit):
        tried[strength] = trial(strength)
        found += tried[strength]
        on_trial(len(tried), planned)
    if not found:
        raise ValueError(
            f"{settings.method} diverged at every penalty weight: {sorted(tried)}; "
            "use smaller ones, or a smaller learning rate"
        )
    pareto = _pareto(found)
    selected = _selected(pareto, limit)
    _warn(selected.point, limit, problem.n_prunable, trees.size(weights))
    pruned = Pruned(selected.params, selected.state, [one.point for one in pareto], selected.file)
    return Search(pruned, selected.point, given, reference, found)


class _Limit(NamedTuple):
    """The goal in numbers: an error and a size, of which one is infinite."""

    error_percent: float
    size_bytes: float

    def holds(self, point: Point) -> bool:
        # Errors are whole numbers of examples, so that rounding must not decide.
        fits = point.error_percent <= self.error_percent + 1e-4
        return fits and point.size_bytes <= self.size_bytes


class _Problem:
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
    ):
        self.params, self.state = params, state
        self.settings, self.train, self.validation = settings, train, validation
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
        """On the validation data."""
        return float(self._error(self.floats(params), state, self.validation))

    def trained(self, key: Key, weights: Params) -> Params:
        """Plain training for as many steps as the first phase has."""
        method = gradient_descent.build(
            gradient_descent.GradientDescentConfig(),
            losses.cross_entropy(lambda w, x: self.logits(w, self.state, x)),
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

        loss = losses.cross_entropy(apply)
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

    def trial(self, key: Key, weights: Params, strength: float) -> list[Candidate]:
        """The files of one penalty weight; none where the run diverged."""
        result = self._run(
            key, weights, jnp.float32(strength), self.state, self.train, self.validation
        )
        if not result.finite:
            return []
        found = jax.tree.map(np.asarray, result.params)
        return [self._candidate(found, strength, bits) for bits in self.settings.bits]

    def _candidate(self, weights: Params, strength: float, bits: int) -> Candidate:
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


def _strengths(
    settings: Settings, tried: dict[float, list[Candidate]], limit: _Limit
) -> Iterable[float]:
    """Penalty weights to try: those given, or a search for the smallest file within the limit."""
    if settings.strengths is not None:
        yield from settings.strengths
        return
    named = METHODS[settings.method]
    factors = _FIRST_SHARES if named.strength_is_share else _FIRST_FACTORS
    first = sorted({min(named.strength * f, 1.0) if named.strength_is_share else named.strength * f
                    for f in factors}, reverse=named.strength_is_share)  # fmt: skip
    yield from first[: settings.trials]
    for _ in range(settings.trials - len(first)):
        # From the weakest pruning to the strongest.
        order = sorted(tried, reverse=named.strength_is_share)
        holding = [s for s in order if any(limit.holds(one.point) for one in tried[s])]
        if limit.size_bytes < math.inf:
            # Sizes fall along the order: the first that holds is the most accurate one.
            inner, outer = (holding or [None])[0], None
            if inner is not None:
                outer = order[order.index(inner) - 1] if order.index(inner) else None
            up = inner is None
            edge = order[-1] if up else order[0]
        else:
            inner, outer = (holding or [None])[-1], None
            if inner is not None and order.index(inner) + 1 < len(order):
                outer = order[order.index(inner) + 1]
            up = inner is not None
            edge = order[-1] if up else order[0]
        if inner is not None and outer is not None:
            yield math.sqrt(inner * outer)
        else:
            stronger = up != named.strength_is_share
            step = edge * _SPREAD if stronger else edge / _SPREAD
            yield min(step, math.sqrt(edge)) if named.strength_is_share else step


def _pareto(found: list[Candidate]) -> list[Candidate]:
    """Those with no other file both smaller and at least as accurate; smallest first."""
    best: list[Candidate] = []
    for one in sorted(found, key=lambda c: (c.point.size_bytes, c.point.error_percent)):
        if not best or one.point.error_percent < best[-1].point.error_percent:
            best.append(one)
    return best


def _selected(pareto: list[Candidate], limit: _Limit) -> Candidate:
    """Smallest file within the error, most accurate one within the size, or the nearest to it."""
    holding = [one for one in pareto if limit.holds(one.point)]
    if limit.size_bytes < math.inf:
        return holding[-1] if holding else pareto[0]
    return holding[0] if holding else pareto[-1]


def _limit(goal: Goal, reference: float, n_weights: int) -> _Limit:
    if goal.budget_bytes is not None:
        return _Limit(math.inf, goal.budget_bytes)
    if goal.ratio is not None:
        return _Limit(math.inf, 4 * n_weights / goal.ratio)
    return _Limit(reference + (0.5 if goal.max_loss is None else goal.max_loss), math.inf)


def check_goal(goal: Goal) -> None:
    """Asserts that a goal can be met.

    Raises:
      ValueError: more than one, or a number that cannot be.
    """
    given = {name: value for name, value in goal._asdict().items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"give one of max_loss, budget_bytes and ratio, not {', '.join(given)}")
    for name, value in given.items():
        least = 0 if name == "max_loss" else 1
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name} {value}; use a number of at least {least}")


def _needs_training(error_percent: float, labels: jax.Array) -> bool:
    """Whether the accuracy is less than halfway from chance to 100 %."""
    return 1 - error_percent / 100 < 0.5 + 0.5 * chance(labels)


def chance(labels: Any) -> float:
    """Share of the most frequent class: what a network has right that saw no data."""
    return float(np.bincount(np.asarray(labels)).max() / len(labels))


def _warn(point: Point, limit: _Limit, n_prunable: int, n_weights: int) -> None:
    if not limit.holds(point):
        asked = (
            f"{limit.size_bytes:,.0f} bytes"
            if limit.size_bytes < math.inf
            else f"{limit.error_percent:.2f} % error"
        )
        warnings.warn(
            f"no file within {asked}; the nearest has {point.size_bytes:,} bytes and "
            f"{point.error_percent:.2f} % error on the validation data",
            PruningWarning,
            stacklevel=4,
        )
    pruned = n_weights - point.nonzeros
    if pruned < 0.05 * n_prunable:
        warnings.warn(
            f"nearly nothing was pruned: {point.nonzeros:,} of {n_weights:,} weights are left; "
            "train for more steps or try larger penalty weights",
            PruningWarning,
            stacklevel=4,
        )
    if point.nonzeros == 0:
        warnings.warn(
            "everything was pruned: try smaller penalty weights", PruningWarning, stacklevel=4
        )


def _arrays(data: tuple[Any, Any], name: str) -> tuple[Any, jax.Array]:
    inputs, labels = data
    inputs, labels = jax.tree.map(jnp.asarray, inputs), jnp.asarray(labels)
    if labels.ndim != 1 or not jnp.issubdtype(labels.dtype, jnp.integer) or not labels.size:
        raise ValueError(f"{name} labels are Int[n], got {labels.dtype}{labels.shape}")
    if any(leaf.shape[:1] != labels.shape for leaf in jax.tree.leaves(inputs)):
        shapes = [leaf.shape for leaf in jax.tree.leaves(inputs)]
        raise ValueError(f"{name} has {labels.size} labels for inputs of shape {shapes}")
    return inputs, labels


def _first(inputs: Any) -> Any:
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), inputs)
