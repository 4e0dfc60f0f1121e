"""VGG-16 within a point of its dense network: weights and file bytes.

The dense network, and three methods that prune iteratively, with mirrored and shifted images. What
is counted and written is the deployed network, whose normalisation is folded into scales and
shifts: kernels are rounded first and the normalisation is folded after that, so that it makes up
for what rounding has done to a channel. Training that is interrupted goes on from its last
checkpoint. As published, VGG-like networks on CIFAR-10 itself: SNIP 33x at 8.0 %, BC-GHS 18x at
9.0 % error.

Cost: gpu: not run yet, made for 10 min a method on one H100; smoke: 1 min.
Data: cifar10_jpeg.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.pruning import files, runs, training
from experiments.pruning.runs import File, Run, Selected
from experiments.pruning.training import Cached, Iterative, PruningStep, Training
from experiments.runner import experiment as ex
from fewbits.coding.weights.sparse import sparse_code
from fewbits.io.datasets import Images
from fewbits.training import trees
from fewbits.training.method import Params
from fewbits.training.models import vgg
from fewbits.training.models.vgg import Vgg
from pruning.procedures.classifiers import Setting
from pruning.procedures.resumable import Settings, Trainer

PRECISIONS = ((3, 8), (4, 8), (5, 8), (6, 8), (8, 8))
"""Bits of kernels, and of scales, shifts and biases."""
DENSE = "dense"
"""Beside the methods' names: the network without pruning."""


@dataclass(frozen=True)
class Config:
    data: str = "cifar10_jpeg"
    width: float = 1.0
    """Factor on VGG-16's channels."""
    blocks: tuple[tuple[int, ...], ...] = vgg.BLOCKS
    """Channels of its convolutions, block by block."""
    bfloat16: bool = False
    """Activations while training; everything is measured with float32."""
    iterative: tuple[Iterative, ...] = ()
    training: Training = Training()
    """Its epochs are the dense network's, its fine-tuning rate that of all plain training."""
    mirrored: bool = True
    """Whether each training image is seen from either side."""
    seeds: tuple[int, ...] = (0,)
    validation_images: int = 5_000
    points_lost: float = 1.0
    """Of accuracy against the dense networks of the same seeds, in percent."""

    def network(self, images: Images, **settings: Any) -> Vgg:
        """For the shape and the classes of these images."""
        shape, n_classes = images.pixels.shape[1:], len(images.label_names)
        return vgg.vgg16(shape, n_classes, width=self.width, blocks=self.blocks, **settings)

    @property
    def name(self) -> str:
        """Of the network."""
        return "vgg16" if self.blocks == vgg.BLOCKS else "narrow_vgg"


def measure(
    config: Config, trials: list[tuple[str, tuple[int, ...]]], data: ex.Data
) -> ex.Measurement:
    """Train the dense network or a method with all seeds, choose its files and write them."""
    ((method, seeds),) = trials
    parts = training.parts_of(data, config.data, config.validation_images)
    trainer = _trainer(config, parts, data)
    fold = jax.jit(trainer.deployed.fold)
    calibration = parts["train"].pixels[: trainer.settings.calibration_images]
    whole = jax.eval_shape(trainer.network.init, jax.random.key(0))
    size = trees.size(jax.eval_shape(fold, whole, calibration))
    dense = _dense(config, trainer, data)
    if method == DENSE:
        setting = Setting(0.0, 0.0, config.training.fine_tune_rate)
        measured = runs.as_rows(config.name, method, [setting], seeds, dense, size)
        return ex.Measurement(measured, {"parameters": size})
    plan = next(each for each in config.iterative if each.method == method)

    def encode(params: Params, bits: tuple[int, int]) -> bytes:
        widths = {"*/bias": bits[1], "*/scale": bits[1], "*": bits[0]}
        norms = {name: params[name] for name in params if name.startswith("norm")}
        deployed = fold({**sparse_code.quantise_sparse(params, widths), **norms}, calibration)
        return sparse_code.write_sparse(jax.tree.map(np.asarray, deployed), widths)

    limit = 100 * float(np.mean(dense["validation_error"])) + config.points_lost
    target = files.Target(
        f"{config.points_lost:g}-point loss", "loss", lambda one: one.errors.mean() <= limit,
        lambda one: (one.nonzeros.mean(), one.sizes.mean()),
    )  # fmt: skip
    error = files.errors_percent(trainer.deployed.apply_folded, parts, batch_size=250)
    return files.measured(
        (config.name, method), plan.settings(), seeds, _pruned(plan, trainer, seeds, data),
        PRECISIONS, [target], encode, error, size, data,
    )  # fmt: skip


def _trainer(config: Config, parts: training.Parts, data: ex.Data) -> Trainer:
    """The programs of a run, whose checkpoints are in its folder."""
    plan, dtype = config.training, jnp.bfloat16 if config.bfloat16 else jnp.float32
    whole, images = config.network(parts["train"]), training.arrays(parts)
    trained = config.network(parts["train"], activation_dtype=dtype)
    settings = Settings(plan.batch_size, plan.fine_tune_rate, plan.shift_pixels, config.mirrored)
    return Trainer(trained, whole, images, settings, data.folder / "checkpoints")


def _dense(config: Config, trainer: Trainer, data: ex.Data) -> dict[str, np.ndarray]:
    """Metrics [1, seeds] of the dense networks, from the run's folder where it has them."""
    found = []
    for seed in config.seeds:
        name, epochs = f"{DENSE}_{seed}", config.training.epochs
        train = functools.partial(trainer.dense, name, jax.random.key(seed), epochs)
        found.append(data.cached(name, train))
        trainer.discard(name)
    return {name: np.array([[one[name] for one in found]]) for name in found[0]}


def _pruned(plan: Iterative, trainer: Trainer, seeds: Any, data: ex.Data) -> dict[str, Any]:
    """All steps with each seed."""

    def steps(seed: int, cached: Cached) -> list[dict[str, Any]]:
        key_params, key_steps = jax.random.split(jax.random.key(seed))
        found, params = [], trainer.network.init(key_params)
        for number, (each, setting) in enumerate(zip(plan.steps, plan.settings(), strict=True)):
            name, key = f"{plan.method}_{seed}_{number}", jax.random.fold_in(key_steps, number)
            step = functools.partial(
                trainer.step, name, key, params, plan.method, setting, *each[1:], data.cached_file
            )
            found.append(cached(number, step))
            params = found[-1]["params"]
            trainer.discard(name)
        return found

    return training.of_seeds(steps, plan.method, len(plan.steps), seeds, data)


def recompute(config: Config, row: Selected, data: ex.Data) -> dict[str, float]:
    test = data.images(config.data, "test")
    return files.recompute(row, config.network(test).apply_folded, test, batch_size=250)


_STEPS = (PruningStep(1.0, 60), *(PruningStep(f, 20, 10) for f in (3.0, 6.0, 12.0, 24.0, 48.0)))
_FIRST_WEIGHTS = {"drr": 1e-6, "pmmp_curvature": 3e-7, "magnitude": 0.1}

EXPERIMENT = ex.of_module(
    __name__,
    (Selected, File, Run),
    {
        "gpu": Config(
            bfloat16=True,
            iterative=tuple(
                Iterative(method, weight, _STEPS, learning_rate=1e-3)
                for method, weight in _FIRST_WEIGHTS.items()
            ),
            training=Training(epochs=120, fine_tune_rate=1e-3, shift_pixels=4),
        ),
        "smoke": Config(
            data="digits", width=1 / 8, blocks=((64,), (128,)),
            iterative=(Iterative("drr", 1e-4, (PruningStep(1.0, 4), PruningStep(10.0, 4, 4))),),
            training=Training(epochs=4, batch_size=100),
            mirrored=False, validation_images=297, points_lost=60.0,
        ),
    },
    grid=lambda config: [(n, config.seeds) for n in (DENSE, *(p.method for p in config.iterative))],
    derive=lambda record: runs.selected(record.of(File), lambda row: -row.ratio),
    notes="bits of files are those of kernels",
)  # fmt: skip
