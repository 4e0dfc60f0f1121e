"""Pruning in rounds: each trains what the round before has left, in its smallest dense shape.

A step on a sparse network that is cut down to its live units costs a fraction of one on the whole
network, which leaves time for many epochs. A chain is one seed of one method: a round on the whole
network, then rounds of rising strength on shrunken ones, each of them the paper's three phases;
every round ends with a network that is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.pruning import prune_runs
from experiments.pruning.prune_runs import Lanes, Training
from fewbits.io.datasets import Images
from fewbits.training import networks, trees
from fewbits.training.method import Key, Params
from fewbits.training.networks import ImageShape, Network
from pruning import _three_phase, reachability, shrink
from pruning.methods import METHODS


@dataclass(frozen=True)
class Round:
    """One round of a chain."""

    factor: float
    """Times the chain's strength; a share of the weights is divided by it."""
    epochs: int
    fine_tune_epochs: int = 0


ROUNDS = (
    Round(1.0, 20),
    Round(1.7, 30),
    Round(3.3, 50, 20),
    Round(6.0, 50, 20),
    Round(10.0, 50, 20),
    Round(15.0, 50, 20),
    Round(20.0, 60, 30),
    Round(28.0, 60, 30),
)
"""A gentle start: what the first rounds prune too much, no later one brings back."""

FEWER_EPOCHS = (
    Round(1.0, 3),
    Round(3.0, 3),
    Round(5.0, 6, 2),
    Round(8.0, 10, 5),
    Round(11.0, 12, 6),
    Round(15.0, 12, 8),
    Round(20.0, 12, 8),
)
"""For convolutional networks, whose epochs are dear until channels have died."""

FROM_WEAKER = tuple(
    replace(each, factor=factor)
    for each, factor in zip(FEWER_EPOCHS, (1.0, 4.0, 10.0, 20.0, 30.0, 42.0, 56.0), strict=True)
)
"""As many epochs, for methods whose zeros are exact from the first round on."""


@dataclass(frozen=True)
class Chain:
    """The rounds of one method."""

    method: str
    """A name in `pruning.methods.METHODS`."""
    strength: float
    """Of the first round, for the whole network's size where it is a share of its weights."""
    rounds: tuple[Round, ...] = ROUNDS
    tolerance: float = 0.1
    """By which share the threshold may raise the validation loss."""
    learning_rate: float = 2e-3
    seeds: int | None = None
    """The first so many of the run's; all if not given. No claim rests on fewer than all."""

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"no method {self.method!r}; known are {', '.join(METHODS)}")
        if not self.rounds:
            raise ValueError(f"{self.method} needs at least one round")


def small_network(name: str, units: shrink.Live, image_shape: ImageShape) -> Network:
    """The network of a shrunken LeNet's parameters, on whole images.

    Args:
      name: `lenet300` or `lenet5`.
      units: what is left of it.
      image_shape: (height, width, channels).
    """
    widths = units.widths()
    if name == "lenet5":
        _, first, second, third, n_classes = widths
        return networks.lenet_5_caffe(image_shape, n_classes, (first, second, third))
    dense, inputs = networks.mlp(widths), jnp.asarray(units.inputs)

    def apply(params: Params, x: jax.Array) -> jax.Array:
        return dense.apply(params, networks.unit_pixels(x).reshape(len(x), -1)[:, inputs])

    return Network(dense.init, apply)


def simplifier(name: str, image_shape: ImageShape) -> _three_phase.Simplify:
    """Exact removal of what no input reaches or no output sees."""
    padded = name == "lenet5" and networks.pads_with_zeros(image_shape)

    def simplify(key: Key, params: Params) -> Params:
        del key
        return reachability.remove_unreachable(params, zero_padding=padded)

    return simplify


def train(
    chain: Chain,
    training: Training,
    name: str,
    network: Network,
    parts: dict[str, Images],
    seed: int,
    path: Path,
    progress: Callable[[int, int], None],
) -> Lanes:
    """Run a chain, or what is left of it, and store it after every round.

    Args:
      chain: method and rounds.
      training: what all methods share; its epochs are the rounds'.
      name: `lenet300` or `lenet5`.
      network: the whole network.
      parts: `train`, `validation` and `test`; the last is only measured on.
      seed: of initialisation and batches.
      path: where the lanes are; rounds found there are not run again.
      progress: called with (rounds done, rounds) before each round and at the end.

    Returns:
      Lanes [rounds, 1].
    """
    key_params, key_rounds = jax.random.split(jax.random.key(seed))
    whole = jax.tree.map(np.asarray, network.init(key_params))
    data = {part: (images.pixels, images.labels) for part, images in parts.items()}
    image_shape = parts["train"].pixels.shape[1:]
    simplify = simplifier(name, image_shape)
    lanes = prune_runs.load(path) if path.is_file() else None
    params = whole if lanes is None else prune_runs.params_of(lanes, -1, 0)
    done = 0 if lanes is None else len(lanes.points["round"])
    for number in range(done, len(chain.rounds)):
        progress(number, len(chain.rounds))
        settings = chain.rounds[number]
        units, small, start = None, network, params
        if number > 0:
            units = shrink.live(params)
            small = small_network(name, units, image_shape)
            start = shrink.shrunk(params, units)
        named = METHODS[chain.method]
        strength = chain.strength * settings.factor
        if named.strength_is_share:
            strength = chain.strength / settings.factor
        lane = prune_runs.pruning_run(
            chain.method,
            replace(training, epochs=settings.epochs, fine_tune_epochs=settings.fine_tune_epochs),
            small,
            simplify,
            len(parts["train"].labels),
        )
        within = strength
        if named.strength_is_share:
            within = min(1.0, strength * trees.size(whole) / trees.size(start))
        point = _three_phase.Point(
            named.hyperparameters(jnp.float32(chain.learning_rate), jnp.float32(within)),
            chain.tolerance,
            0.0,
            training.fine_tune_rate,
        )
        found = jax.jit(lane)(jax.random.fold_in(key_rounds, number), start, point, data)
        found = jax.tree.map(np.asarray, found)
        params = found["params"]
        if units is not None:
            params = shrink.restored(params, units, whole)
        lanes = _with_round(lanes, chain, number, strength, seed, found["metrics"], params)
        prune_runs.save(path, lanes)
    progress(len(chain.rounds), len(chain.rounds))
    assert lanes is not None
    return lanes


def side_by_side(lanes: list[Lanes]) -> Lanes:
    """The lanes of several seeds as one."""
    return Lanes(
        lanes[0].points,
        np.concatenate([one.seeds for one in lanes]),
        {
            name: np.concatenate([one.metrics[name] for one in lanes], axis=1)
            for name in lanes[0].metrics
        },
        jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *[o.params for o in lanes]),
    )


def _with_round(
    lanes: Lanes | None, chain: Chain, number: int, strength: float, seed: int, metrics, params
) -> Lanes:
    """The lanes so far, and one more point."""
    points = {
        "strength": strength,
        "round": number,
        "tolerance": chain.tolerance,
        "learning_rate": chain.learning_rate,
    }
    new = Lanes(
        {name: np.array([value]) for name, value in points.items()},
        np.array([seed]),
        {name: value.reshape(1, 1) for name, value in metrics.items()},
        jax.tree.map(lambda leaf: leaf[None, None], params),
    )
    if lanes is None:
        return new
    return Lanes(
        {name: np.concatenate([lanes.points[name], new.points[name]]) for name in new.points},
        lanes.seeds,
        {name: np.concatenate([lanes.metrics[name], new.metrics[name]]) for name in new.metrics},
        jax.tree.map(lambda old, one: np.concatenate([old, one]), lanes.params, new.params),
    )
