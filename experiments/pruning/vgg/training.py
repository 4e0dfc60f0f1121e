"""VGG-16 pruned iteratively: the three phases again and again, each resumable."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.pruning import iterative
from experiments.pruning.iterative import Iterative
from experiments.pruning.runs import Training
from experiments.runner import experiment as ex
from fewbits.io import datasets
from fewbits.training.models import vgg
from fewbits.training.models.vgg import Vgg
from pruning.procedures.resumable import Settings, Trainer

DENSE = "dense"
"""Beside the methods' names: the network without pruning."""


@dataclass(frozen=True)
class Config:
    data: str = "cifar10_jpeg"
    width: float = 1.0
    """Factor on VGG-16's channels."""
    blocks: tuple[tuple[int, ...], ...] = vgg.BLOCKS
    """Its convolutions' channels, block by block."""
    bfloat16: bool = False
    """Activations while training; everything is measured with float32."""
    iterative: tuple[Iterative, ...] = ()
    training: Training = Training()
    """Its epochs are the dense network's, its fine-tuning rate that of all plain training."""
    mirrored: bool = True
    """Whether each training image is seen from either side."""
    seeds: tuple[int, ...] = (0,)
    validation_images: int = 5_000
    calibration_images: int = 2_000
    """Training images that the deployed network's statistics are measured on."""
    points_lost: float = 1.0
    """Of accuracy against the dense networks of the same seeds, in percent."""
    checkpoint_epochs: int = 5


def network_for(config: Config, images: datasets.Images, **settings: Any) -> Vgg:
    """The network of a run, for the shape and the classes of its images."""
    shape, n_classes = images.pixels.shape[1:], len(images.label_names)
    return vgg.vgg16(shape, n_classes, width=config.width, blocks=config.blocks, **settings)


def trainer_for(config: Config, parts: dict[str, datasets.Images], data: ex.Data) -> Trainer:
    """The programs of a run, whose checkpoints are in its folder."""
    dtype = jnp.bfloat16 if config.bfloat16 else jnp.float32
    training = config.training
    settings = Settings(
        training.batch_size, training.fine_tune_rate, training.shift_pixels, config.mirrored,
        config.calibration_images, config.checkpoint_epochs,
    )  # fmt: skip
    return Trainer(
        network_for(config, parts["train"], activation_dtype=dtype),
        network_for(config, parts["train"]),
        {name: (part.pixels, part.labels) for name, part in parts.items()},
        settings,
        data.folder / "checkpoints",
    )


def dense(trainer: Trainer, config: Config, seed: int, data: ex.Data) -> dict[str, Any]:
    """Metrics of the dense network of a seed, from the run's folder where it has them."""
    name = f"{DENSE}_{seed}"
    epochs = config.training.epochs
    found = data.cached(name, lambda: trainer.dense(name, jax.random.key(seed), epochs))
    trainer.discard(name)
    return found


def prune(trainer: Trainer, plan: Iterative, seed: int, data: ex.Data) -> dict[str, Any]:
    """`params` and `metrics` of all steps with one seed, leaves [steps, ...]."""
    key_params, key_steps = jax.random.split(jax.random.key(seed))
    name, settings = f"{plan.method}_{seed}", plan.settings()
    found, params = [], trainer.network.init(key_params)
    with iterative.cached_steps(name, len(plan.steps), data) as cached:
        for number, each in enumerate(plan.steps):
            step = functools.partial(
                trainer.step, f"{name}_{number}", jax.random.fold_in(key_steps, number), params,
                plan.method, settings[number], each.epochs, each.fine_tune_epochs,
                data.cached_file,
            )  # fmt: skip
            found.append(cached(number, step))
            params = found[-1]["params"]
    for number in range(len(plan.steps)):
        trainer.discard(f"{name}_{number}")
    return iterative.stacked(found)


def as_arrays(several: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Metrics of the dense networks of several seeds: name -> [1, seeds]."""
    return {name: np.array([[one[name] for one in several]]) for name in several[0]}
