"""A convolutional network with BatchNorm through one call of `pruning.prune`.

Three blocks of conv 3 x 3, BatchNorm, ReLU, max-pool 2, then one dense layer: 80,458 parameters and
384 running statistics at width 64, trained on 10,000 images. The file is decoded in a subprocess
and put back into the network; its statistics travel in the file.

Cost: fashion: 30 min on 1 core; smoke: 1 min.
Data: Fashion-MNIST; smoke: digits (embedded).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import pruning
from experiments.common import decoded_networks
from experiments.runner import experiment as ex
from fewbits import coding
from fewbits.training import evaluation, gradient_descent, losses, trees
from fewbits.training.models import batchnorm
from fewbits.training.models.batchnorm import StatefulNetwork


@dataclass(frozen=True)
class Config:
    data: str = "fashion_mnist"
    width: int = 64
    train_images: int = 10_000
    validation_images: int = 1_000
    """Beside the training images."""
    train_steps: int = 800
    steps: int = 1_200
    fine_tune_steps: int = 600
    batch_size: int = 64
    strengths: tuple[float, ...] = (9e-5, 1.2e-4)
    """Chosen on the validation images of seeds 0 and 1."""
    max_loss: float = 0.75
    """Points of validation accuracy, below the one point of test accuracy that is aimed at."""
    seeds: tuple[int, ...] = (2,)


class Row(NamedTuple):
    """One network as a file, against its parameters and statistics in float32."""

    data: Annotated[str, ex.Key]
    seed: int
    bytes: Annotated[int, ex.MeanOverSeeds(), ex.Column("bytes on disk", ",.0f")]
    ratio: Annotated[
        float, ex.MeanOverSeeds("x"), ex.Column("times smaller than float32", ".1f"),
        ex.Claim("pruning.cnn_batchnorm.ratio", tolerance=0.1),
    ]  # fmt: skip
    nonzeros: Annotated[int, ex.MeanOverSeeds(), ex.Column("weights left", ",.0f")]
    accuracy_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Column("test accuracy of the file, %", ".2f"),
        ex.Claim("pruning.cnn_batchnorm.accuracy_percent", tolerance=0.1),
    ]  # fmt: skip
    given_accuracy_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Column("before, %", ".2f"),
        ex.Claim("pruning.cnn_batchnorm.given_accuracy_percent", tolerance=0.1),
    ]  # fmt: skip
    validation_loss_points: Annotated[
        float, ex.MeanOverSeeds(), ex.Column("points lost on validation", ".2f")
    ]
    file: Annotated[Path, ex.Artifact]


def network_for(config: Config, pixels: Any) -> StatefulNetwork:
    """Of these images' shape."""
    return batchnorm.convnet(pixels.shape[1:], 10, config.width)


def trained(config: Config, seed: int, images: Any) -> tuple[Any, Any]:
    """A network as a user's: Adam on cross entropy, running statistics of the last batches."""
    key = jax.random.fold_in(jax.random.key(seed), 1)
    network = network_for(config, images[0])
    params, state = network.init(key)
    loss = losses.cross_entropy(lambda p, x: network.apply(p, state, x, train=True)[0])
    params = gradient_descent.train(
        key, params, images, loss, steps=config.train_steps, batch_size=config.batch_size,
        learning_rate=2e-3, optimizer=gradient_descent.falling_adam(config.train_steps),
    )  # fmt: skip
    return params, batchnorm.settled(network, params, state, images[0], config.batch_size)


def percent(network: StatefulNetwork, params: Any, state: Any, images: Any) -> float:
    """Accuracy on these images."""
    right = evaluation.accuracy(
        lambda p, x: network.apply(p, state, x), params, *images, batch_size=500
    )
    return 100 * float(right)


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> list[Row]:
    """One network, trained and given to `prune`."""
    ((seed,),) = trials
    part, test = (_arrays(data.images(config.data, split)) for split in ("train", "test"))
    order = np.random.default_rng(seed).permutation(len(part[1]))
    ends = np.cumsum([config.train_images, config.validation_images])
    train, held = ((part[0][rows], part[1][rows]) for rows in np.split(order, ends)[:2])
    params, state = trained(config, seed, train)
    network = network_for(config, train[0])
    pruned = pruning.prune(
        network.apply, params, train, held, state=state, max_loss=config.max_loss,
        strengths=config.strengths, steps=config.steps, fine_tune_steps=config.fine_tune_steps,
        batch_size=config.batch_size, key=jax.random.key(seed),
    )  # fmt: skip
    path = data.path(f"cnn_batchnorm_{config.data}_{seed}.fwb")
    coding.save(path, pruned.file)
    point = next(point for point in pruned.points if point.file == pruned.file)
    given, held_percent = (percent(network, params, state, part) for part in (test, held))
    accuracy, n = _decoded(config, path, test)
    lost = held_percent - (100 - point.error_percent)
    sizes = (path.stat().st_size, 4 * n / path.stat().st_size, point.nonzeros)
    return [Row(config.data, seed, *sizes, accuracy, given, lost, path)]


def _decoded(config: Config, path: Path, test: Any) -> tuple[float, int]:
    """Accuracy of the network that a subprocess decodes, and its parameters and statistics."""
    tree = jax.tree.map(jnp.asarray, decoded_networks.decode(path))
    network = network_for(config, test[0])
    return percent(network, tree["params"], tree["state"], test), trees.size(tree)


def recompute(config: Config, row: Row, data: ex.Data) -> dict[str, float]:
    accuracy, n = _decoded(config, row.file, _arrays(data.images(config.data, "test")))
    return {
        "accuracy_percent": accuracy,
        "ratio": 4 * n / row.file.stat().st_size,
        "given_accuracy_percent": row.given_accuracy_percent,
    }


def _arrays(images: Any) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(images.pixels, jnp.float32) / 255, jnp.asarray(images.labels)


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "fashion": Config(),
        "smoke": Config(
            data="digits", width=4, train_images=400, validation_images=200, train_steps=100,
            steps=60, fine_tune_steps=30, strengths=(1e-3,), max_loss=20.0,
        ),
    },
)  # fmt: skip
