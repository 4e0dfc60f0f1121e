"""Pruning a LeNet or an MLP of one's own on one's own images: what `python -m pruning` runs."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import InputError
from fewbits.training import evaluation, gradient_descent, loop, losses, networks, trees
from fewbits.training.method import Params
from fewbits.training.networks import Network
from pruning import _three_phase, layer_graph, reachability
from pruning.methods import RECIPES

METHODS = tuple(RECIPES)

BATCH_SIZE = 500


@dataclass(frozen=True)
class Settings:
    """What a user may choose.

    Attributes:
      method: a name in `recipes.RECIPES`.
      strength: price of a weight in the method's own units; None takes the recipe's.
      tolerance: share by which the threshold may raise the validation loss.
      epochs: of the first phase.
      fine_tune_epochs: of the last phase.
      seed: of batches and of the validation part.
      learning_rate: Adam's at the start of both phases.
    """

    method: str = "pmmp_curvature"
    strength: float | None = None
    tolerance: float = 0.1
    epochs: int = 30
    fine_tune_epochs: int = 15
    seed: int = 0
    learning_rate: float = 2e-3


class Outcome(NamedTuple):
    """A pruned network.

    Attributes:
      params: NumPy leaves, exact zeros where a weight is gone.
      n_kept: weights that remain.
      error_percent: on the validation part, a tenth of the data.
      error_before_percent: of the network that was given.
    """

    params: Params
    n_kept: int
    error_percent: float
    error_before_percent: float


def check(settings: Settings) -> None:
    """Asserts that settings can be run.

    Raises:
      InputError: names the first that cannot.
    """
    if settings.method not in RECIPES:
        raise InputError(f"no method {settings.method!r}; choose one of {', '.join(METHODS)}")
    strength = 0.0 if settings.strength is None else settings.strength
    for name, value in (("strength", strength), ("tolerance", settings.tolerance)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name} {value}; use a number of at least 0")
    if settings.epochs < 1:
        raise InputError(f"{settings.epochs} epochs; use at least 1")
    if settings.fine_tune_epochs < 0:
        raise InputError(f"{settings.fine_tune_epochs} fine-tuning epochs; use at least 0")
    if not 0 <= settings.seed < 2**32:
        raise InputError(f"seed {settings.seed}; use 0 to 2^32 - 1")


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Params:
    """A chain of layers from arrays named `layer/kernel` and `layer/bias`.

    Raises:
      InputError: names or shapes that make no chain, or numbers that are not finite floats.
    """
    try:
        params = trees.from_named(dict(arrays))
        layer_graph.links(params)
    except ValueError as error:
        raise InputError(f"this is no LeNet or MLP: {error}") from error
    for name, leaf in arrays.items():
        if leaf.dtype.kind != "f" or not np.isfinite(leaf).all():
            raise InputError(f"{name} needs finite floats, got {leaf.dtype}")
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params)


def network_of(params: Params, image_shape: tuple[int, ...]) -> Network:
    """The network that a chain belongs to: a LeNet-5 where it convolves, otherwise an MLP.

    Raises:
      InputError: a network of other shapes.
    """
    links = layer_graph.links(params)
    n_classes = links[-1].n_outputs
    if any(link.is_convolution for link in links):
        height, width, channels = image_shape
        try:
            network = networks.lenet_5_caffe((height, width, channels), n_classes)
        except ValueError as error:
            raise InputError(str(error)) from error
    else:
        network = networks.mlp((links[0].n_inputs, *(link.n_outputs for link in links)))
    expected = trees.named_leaves(jax.eval_shape(network.init, jax.random.key(0)))
    given = trees.named_leaves(params)
    for name in expected | given:
        shapes = [tuple(tree[name].shape) if name in tree else None for tree in (expected, given)]
        if shapes[0] != shapes[1]:
            raise InputError(f"{name} should have the shape {shapes[0]}, it has {shapes[1]}")
    if not links[0].is_convolution and links[0].n_inputs != math.prod(image_shape):
        raise InputError(f"images of shape {image_shape} for {links[0].n_inputs} inputs")
    return network


def prune(params: Params, images: np.ndarray, labels: np.ndarray, settings: Settings) -> Outcome:
    """Regularise, threshold and fine-tune a trained network.

    Args:
      params: from `from_arrays`.
      images: UInt8 or Float[n, height, width, channels], or [n, height, width].
      labels: Int[n], classes from 0.
      settings: checked ones.

    Raises:
      InputError: data that does not fit the network; a run that diverged.
    """
    images, labels = _checked(images, labels, layer_graph.links(params)[-1].n_outputs)
    network = network_of(params, images.shape[1:])
    order = np.random.default_rng(settings.seed).permutation(len(labels))
    held, kept = np.split(order, [max(len(labels) // 10, 1)])
    train, validation = ((images[rows], labels[rows]) for rows in (kept, held))
    recipe = RECIPES[settings.method]
    loss = losses.cross_entropy(network.apply)
    batch_size = min(BATCH_SIZE, len(kept))
    per_epoch = len(kept) // batch_size
    steps, tune_steps = settings.epochs * per_epoch, settings.fine_tune_epochs * per_epoch
    phases = _three_phase.Phases(
        regularise=loop.Plan(steps, batch_size, log_points=1),
        fine_tune=loop.Plan(tune_steps, batch_size, log_points=1) if tune_steps else None,
        fine_tune_optimizer=gradient_descent.falling_adam(max(tune_steps, 1)),
    )
    strength = recipe.strength if settings.strength is None else settings.strength
    point = _three_phase.Point(
        recipe.hyperparameters(settings.learning_rate, jnp.float32(strength)),
        settings.tolerance,
        0.0,
        settings.learning_rate,
    )
    small = images.shape[1] < 16

    def simplify(key: Any, candidate: Params) -> Params:
        del key
        return reachability.remove_unreachable(candidate, zero_padding=small)

    def objective(candidate: Params, data: Any) -> jax.Array:
        return evaluation.mean_cross_entropy(network.apply, candidate, *data)

    run = functools.partial(
        _three_phase.run, phases, recipe.build(loss, steps), loss, objective, simplify=simplify
    )
    pruned = jax.jit(lambda p, t, v: run(jax.random.key(settings.seed), p, point, t, v))(
        params, train, validation
    )
    if not pruned.finite:
        raise InputError(
            f"{settings.method} diverged at strength {strength:g}; use a smaller --strength"
        )

    held_out = jax.tree.map(jnp.asarray, validation)

    def error_percent(candidate: Params) -> float:
        return 100 * (1 - float(evaluation.accuracy(network.apply, candidate, *held_out)))

    found = jax.tree.map(np.asarray, pruned.params)
    return Outcome(found, int(trees.nonzeros(found)), error_percent(found), error_percent(params))


def _checked(
    images: np.ndarray, labels: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images with a channel axis and labels, or what is wrong with them."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.dtype.kind not in "uf" or len(images) < 20:
        raise InputError(
            f"images are at least 20 arrays (height, width, channels) of pixels, got "
            f"{images.dtype}{images.shape}"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(f"labels are {len(images)} integers, got {labels.dtype}{labels.shape}")
    if labels.min() < 0 or labels.max() >= n_classes:
        raise InputError(
            f"labels are 0 to {n_classes - 1} for this network, got {labels.min()}, {labels.max()}"
        )
    return images, labels.astype(np.int32)
