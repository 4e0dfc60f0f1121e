"""A trained or untrained classifier in, a small file out: sweep, threshold, fine-tune, quantise."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training.method import Key, Params
from pruning import leaves
from pruning.search import dense_baseline, selection
from pruning.search import operating_points as points
from pruning.search.operating_points import PruningWarning, Settings
from pruning.search.selection import Candidate, Goal, Point
from pruning.search.trial import Problem, Trial


class Pruned(NamedTuple):
    """A pruned network; see `prune`.

    Attributes:
      params: exactly what the file decodes to, in the structure and dtypes that were given.
      state: likewise for the model's state; None where none was given.
      points: the Pareto set and the selected point, smallest file first.
      file: the selected point's file; `fewbits.coding.params_from_bytes` decodes it.
    """

    params: Params
    state: Any
    points: list[Point]
    file: bytes


class Search(NamedTuple):
    """All that a search knows; `prune` returns a part of it.

    Attributes:
      pruned: see `Pruned`.
      selected: the file's point.
      given_error_percent: of the network that was given, on the validation data.
      reference_percent: what `max_loss` is counted from: the error that was given, or, where
        training had to come first, the one after it.
      candidates: every file that was made.
      baseline: a dense network of the file's bytes; None where none was made.
      warnings: what a user should know about the result, one line each.
    """

    pruned: Pruned
    selected: Point
    given_error_percent: float
    reference_percent: float
    candidates: list[Candidate]
    baseline: Point | None
    warnings: list[str]


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
    train the weights left without the penalty, and write files of 5 to 8 bits per weight, and one
    of 4 bits after some training on its grid. The phases are those of Barth & von Petersenn (arXiv
    2505.17469); they follow the network that was given where there is no label (distillation on
    mixed inputs). All penalty weights run through one compiled program. A network whose validation
    accuracy is less than halfway from chance to 100 % is trained first, without a penalty.

    Args:
      apply: (params, inputs) -> logits Float[batch, classes], or (params, state, inputs) -> logits
        where a state is given; deterministic. With a keyword `train`, `apply(..., train=True)` is
        what training sees, and gives (logits, new state) where there is a state; with a keyword
        `key`, a PRNG key for what it draws, such as dropout.
      params: any pytree. Leaves that are no floats stay as they are; floats of any dtype are
        trained in float32; leaves that are one and the same array stay equal.
      train: (inputs [n, ...], labels Int[n]), classes from 0.
      validation: likewise; decides threshold, bits and point, so the network must not have been
        trained on it.
      state: what `apply` reads beside the parameters, such as BatchNorm statistics; any pytree.
        Where `apply` has `train`, running statistics are estimated anew for the network that the
        file holds; otherwise it stays. The file then holds {"params": ..., "state": ...}.
      method: drr, rl1, pmmp_curvature and the like, as `fewbits pruning compress --help` lists.
      max_loss: points of validation accuracy that may be lost; the smallest file is selected that
        is within it, and whose penalty weight is so on average over the bits.
      budget_bytes: instead, the largest size of the file; the most accurate such file is selected.
      ratio: instead, at least so many times smaller than the parameters as float32.
      mask: leaves to prune: a tree of bools (or a prefix of one), a function of the params that
        gives one, None for all. Only for drr, rl1, their proximal forms and magnitude.
      key: typed PRNG key of the batches; None is `jax.random.key(0)`.
      **settings: `strengths` (penalty weights), `trials` (5), `steps` (ten epochs, at least 6,000),
        `fine_tune_steps` (half of them), `batch_size` (128), `learning_rate` (Adam's, 2e-3),
        `tolerance` (of the threshold, 0.1), `label_smoothing` (0.1), `distillation` (share of the
        given network's own answers in the targets, 0.5), `bits` ((5, 6, 7, 8)), `tuned_bits` (4),
        `sort_units` (True: hidden units in the order of the smallest file, see `unit_order`) and
        `baseline` (True: train a dense network of as many bytes, and warn where it is as good);
        both for networks of dense layers, and convolutions before them.

    Returns:
      Pruned(params, state, points, file). Without any goal, `max_loss` is 0.5. Each of the points,
      the Pareto set, has its own `file`.

    Raises:
      ValueError: arguments that do not fit together, a size that no file of this network can have,
        or every run diverged.

    Warns:
      UserWarning: no file meets the goal, nothing or everything was pruned, the penalty could not
        act, or a dense network of the same bytes is as good.

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
    unknown = settings.keys() - {each.name for each in dataclasses.fields(Settings)}
    if unknown:
        raise TypeError(
            f"prune has no argument {min(unknown)!r}; goals are max_loss, budget_bytes and ratio, "
            "and `Settings` lists the rest"
        )
    chosen = Settings(method=method, **settings)
    goal = Goal(max_loss, budget_bytes, ratio)
    key = jax.random.key(0) if key is None else key
    found = search(apply, params, train, validation, state, goal, mask, key, chosen)
    for line in found.warnings:
        warnings.warn(line, PruningWarning, stacklevel=2)
    return found.pruned


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
    held_out: bool = True,
    deadline: float = math.inf,
    on_trial: Callable[[int, int, Candidate | None], None] = lambda done, of, best: None,
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
      held_out: False where the network may have been trained on the validation data: errors are
        then measured on all data, all of it is trained on, and only penalty weights below
        the default are tried.
      deadline: of `time.monotonic()`; a trial that would end after it is not started, but one is.
      on_trial: called with (trials done, trials, best file so far).
    """
    selection.check_goal(goal)
    problem = problem_of(apply, params, train, validation, state, mask, settings, held_out)
    weights = problem.model.weights(params)
    limit = selection.limit_of(goal, math.inf, problem.n_weights)
    problem.check_reachable(weights, limit)
    given = problem.error_percent(weights, state)
    reference = given
    if _needs_training(given, problem.validation[1]):
        weights = problem.trained(jax.random.fold_in(key, 0), weights)
        after = problem.error_percent(weights, problem.settled(weights))
        reference = min(given, after)
    limit = selection.limit_of(goal, reference, problem.n_weights)

    tried: dict[float, list[Candidate]] = {}
    trials: list[Trial] = []
    found: list[Candidate] = []
    planned = settings.trials if settings.strengths is None else len(settings.strengths)
    started = time.monotonic()
    for strength in points.strengths(settings, tried, limit, held_out):
        # The dense network takes about as long as one trial.
        per_trial = (time.monotonic() - started) / max(len(tried), 1)
        reserve = (1 + settings.baseline) * per_trial
        if tried and time.monotonic() + reserve > deadline:
            break
        trials.append(problem.trial(jax.random.fold_in(key, 1), weights, strength))
        tried[strength] = trials[-1].candidates
        found += tried[strength]
        best = selection.selected(found, limit) if found else None
        on_trial(len(tried), planned, best)
    if not found:
        raise ValueError(
            f"{settings.method} diverged at every penalty weight: {sorted(tried)}; "
            "use smaller ones, or a smaller learning rate"
        )
    selected = selection.selected(found, limit)
    shown = selection.pareto(found)
    baseline = None
    if settings.baseline:
        steps = problem.steps + problem.tune_steps + problem.tune_steps // 2
        size = selected.point.size_bytes
        baseline = dense_baseline.best(problem, jax.random.fold_in(key, 2), size, steps)
    said = points.remarks(selected.point, limit, problem.n_prunable, problem.n_weights, baseline)
    said += points.idle_penalty(
        {one.strength: one.n_kept for one in trials}, problem.n_prunable, settings
    )
    pruned = Pruned(
        selected.params, selected.state, [one.point for one in shown], selected.point.file
    )
    return Search(pruned, selected.point, given, reference, found, baseline, said)


def problem_of(
    apply: Callable[..., jax.Array],
    params: Params,
    train: tuple[Any, Any],
    validation: tuple[Any, Any],
    state: Any,
    mask: leaves.Mask,
    settings: Settings,
    held_out: bool,
) -> Problem:
    """The programs of a search on checked data; arguments as for `search`."""
    train, validation = _arrays(train, "train"), _arrays(validation, "validation")
    measured = validation
    if not held_out:
        train = measured = jax.tree.map(lambda *parts: jnp.concatenate(parts), train, validation)
    return Problem(apply, params, state, mask, settings, train, validation, measured)


def _needs_training(error_percent: float, labels: jax.Array) -> bool:
    """Whether the accuracy is less than halfway from chance to 100 %."""
    return 1 - error_percent / 100 < 0.5 + 0.5 * chance(labels)


def chance(labels: Any) -> float:
    """Share of the most frequent class: what a network has right that saw no data."""
    return float(np.bincount(np.asarray(labels)).max() / len(labels))


def _arrays(data: tuple[Any, Any], name: str) -> tuple[Any, jax.Array]:
    inputs, labels = data[0], np.asarray(data[1])
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        raise ValueError(
            f"{name} labels are {labels.dtype}{labels.shape}; give one class number each, from 0: "
            "names, labels = numpy.unique(labels, return_inverse=True)"
        )
    inputs, labels = jax.tree.map(jnp.asarray, inputs), jnp.asarray(labels)
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(inputs)):
        raise ValueError(f"{name} inputs hold NaN or infinity; remove or replace them")
    if any(leaf.shape[:1] != labels.shape for leaf in jax.tree.leaves(inputs)):
        shapes = [leaf.shape for leaf in jax.tree.leaves(inputs)]
        raise ValueError(f"{name} has {labels.size} labels for inputs of shape {shapes}")
    return inputs, labels
