"""VGG-16 pruned in rounds: the paper's three phases, again and again, each resumable.

A round regularises with its own strength, cuts at the threshold that the validation part allows,
with its own batches' statistics, and trains what is left. Every few epochs a checkpoint is
written, and every round ends with a network that is measured as it would be deployed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.pruning import prune_runs, prune_tables
from experiments.pruning.iterative import Chain
from experiments.pruning.prune_runs import Lanes, Training
from fewbits.io import datasets
from fewbits.io.progress import Bar
from fewbits.training import checkpoints, evaluation, gradient_descent, loop, losses, trees, vgg
from fewbits.training.method import Key, Loss, Params
from fewbits.training.vgg import Vgg
from pruning import _three_phase, reachability, thresholding
from pruning.methods import METHODS

DENSE = "dense"
"""Beside the methods' names: the network without pruning."""


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    data: str = "cifar10_jpeg"
    width: float = 1.0
    """Factor on VGG-16's channels."""
    blocks: tuple[tuple[int, ...], ...] = vgg.BLOCKS
    """Its convolutions' channels, block by block."""
    bfloat16: bool = False
    """Activations while training; everything is measured with float32."""
    dense: bool = True
    """Whether the dense network is trained too."""
    chains: tuple[Chain, ...] = ()
    training: Training = Training()
    """Its epochs are the dense network's, its fine-tuning rate that of all plain training."""
    mirrored: bool = True
    """Whether each training image is seen from either side."""
    seeds: tuple[int, ...] = (0,)
    validation_images: int = 5_000
    calibration_images: int = 2_000
    """Training images that the deployed network's statistics are measured on."""
    train_images: int | None = None
    """The first so many training images; all if not given."""
    checkpoint_epochs: int = 5
    lanes: str | None = None
    """Folder of networks trained before; nothing is trained then."""
    write_files: bool = True
    """Whether the chosen networks become files, which needs the coder."""


def network_for(config: Config, parts: dict[str, datasets.Images], **settings: Any) -> Vgg:
    """The network of a run, for the shape and the classes of its images."""
    train = parts["train"]
    return vgg.vgg16(
        train.pixels.shape[1:],
        len(train.label_names),
        width=config.width,
        blocks=config.blocks,
        **settings,
    )


def mirrored(loss: Loss) -> Loss:
    """The loss on images of which every other one, at random, is seen from its other side."""

    def on_mirrored(key: Key, params: Params, batch: Any):
        images, labels = batch
        key_side, key_loss = jax.random.split(key)
        other = jax.random.bernoulli(key_side, 0.5, (images.shape[0], 1, 1, 1))
        images = jnp.where(other, images[:, :, ::-1], images)
        return loss(key_loss, params, (images, labels))

    return on_mirrored


class Trainer:
    """The programs of one configuration, each compiled once; their runs go on from checkpoints."""

    def __init__(self, config: Config, parts: dict[str, datasets.Images]):
        dtype = jnp.bfloat16 if config.bfloat16 else jnp.float32
        self.config = config
        self.network = network_for(config, parts, activation_dtype=dtype)
        self.data = jax.device_put({k: (part.pixels, part.labels) for k, part in parts.items()})
        self.image_shape = parts["train"].pixels.shape[1:]
        n_train = len(parts["train"].labels)
        self.batch_size = min(config.training.batch_size, n_train)
        self.per_epoch = n_train // self.batch_size
        loss = mirrored(self._loss) if config.mirrored else self._loss
        self.loss = losses.shifted(loss, config.training.shift_pixels)
        deployed = network_for(config, parts)
        self.cut = jax.jit(self._cut)
        self.measure = jax.jit(functools.partial(_measure, deployed, config.calibration_images))
        self._programs: dict[Any, Any] = {}

    def _loss(self, key: Key, params: Params, batch: Any):
        """Cross-entropy in nats per example, with dropout."""

        def with_dropout(params: Params, x: jax.Array) -> jax.Array:
            return self.network.apply(params, x, key)

        return losses.cross_entropy(with_dropout)(key, params, batch)

    def _plan(self, epochs: int) -> loop.Plan:
        return loop.Plan(epochs * self.per_epoch, self.batch_size, log_points=20)

    def _cut(self, key: Key, params: Params, tolerance: jax.Array, held: Any):
        """Phase 2: (parameters, whether they are finite), as in `three_phase.run`."""
        key_before, key_after = jax.random.split(key)
        shape = jax.ShapeDtypeStruct((64, *self.image_shape), jnp.float32)
        # Normalised by its own statistics, every live channel fires on some random image.
        simplify = functools.partial(
            reachability.random_gradient, apply=self.network.apply, inputs=shape
        )

        def objective(candidate: Params) -> jax.Array:
            return evaluation.mean_cross_entropy(self.network.apply, candidate, *held)

        params = simplify(key_before, params=params)
        limit = thresholding.tolerated(objective(params), tolerance)
        threshold = thresholding.by_rank(objective, params, limit, probes=1)
        params = simplify(key_after, params=thresholding.pruned(params, threshold.magnitude))
        return params, jnp.isfinite(limit)

    def regularise(self, chain: Chain, strength: float, epochs: int, *run: Any) -> loop.Result:
        """Phase 1; `run` is (key, params, folder)."""
        named, plan = METHODS[chain.method], self._plan(epochs)
        method = named.build(self.loss, plan.steps)
        program = self._program(
            (chain.method, epochs),
            lambda carry, data, first, last: loop.advance(method, plan, carry, data, first, last),
        )
        hyperparameters = named.hyperparameters(chain.learning_rate, jnp.float32(strength))
        return self._run(method, plan, program, hyperparameters, *run)

    def tune(self, mask: Params, epochs: int, *run: Any) -> loop.Result:
        """Phase 3, and with a mask that holds all weights the dense network's whole training."""
        plan, config = self._plan(epochs), gradient_descent.GradientDescentConfig()

        def optimizer(rate: Any) -> optax.GradientTransformation:
            fall = optax.cosine_decay_schedule(1.0, plan.steps)
            return optax.chain(optax.adam(rate), optax.scale_by_schedule(fall))

        def method_for(mask: Params):
            loss = _three_phase.masked_loss(self.loss, mask)
            return gradient_descent.build(config, loss, optimizer)

        program = self._program(
            (DENSE, epochs),
            lambda mask, carry, data, first, last: loop.advance(
                method_for(mask), plan, carry, data, first, last
            ),
        )
        hyperparameters = gradient_descent.Hyperparameters(self.config.training.fine_tune_rate)
        result = self._run(
            method_for(mask), plan, functools.partial(program, mask), hyperparameters, *run
        )
        return result._replace(params=trees.masked(result.params, mask))

    def _program(self, name: Any, function: Callable[..., Any]) -> Any:
        return self._programs.setdefault(name, jax.jit(function))

    def _run(self, method, plan, program, hyperparameters, key, params, folder) -> loop.Result:
        data = self.data["train"]
        with Bar(folder.name) as bar:
            carry = checkpoints.run_resumable(
                folder,
                lambda: loop.start(method, plan, key, params, data, hyperparameters),
                lambda carry, first, last: program(carry, data, first, last),
                steps=plan.steps,
                chunk_steps=self.config.checkpoint_epochs * self.per_epoch,
                keep=1,
                progress=lambda done, total, _: bar(done, total),
            )
        return loop.finish(method, carry)


def _measure(deployed: Vgg, n_calibration: int, params: Params, data: Any) -> dict[str, jax.Array]:
    """What is known of trained parameters, by the deployed network's own arithmetic."""
    folded = deployed.fold(params, data["train"][0][:n_calibration])

    def error(held: Any) -> jax.Array:
        return 1 - evaluation.accuracy(deployed.apply_folded, folded, *held, batch_size=250)

    held = data["validation"]
    return {
        "nonzeros": trees.nonzeros(folded),
        "validation_error": error(held),
        "validation_loss_nats": evaluation.mean_cross_entropy(
            deployed.apply_folded, folded, *held, batch_size=250
        ),
        "test_error": error(data["test"]),
    }


def train_dense(trainer: Trainer, seed: int, folder: Path) -> dict[str, Any]:
    """Metrics of the dense network of a seed."""
    key_params, key_run = jax.random.split(jax.random.key(seed))
    params = trainer.network.init(key_params)
    mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
    epochs = trainer.config.training.epochs
    result = trainer.tune(mask, epochs, key_run, params, folder / DENSE)
    return {**trainer.measure(result.params, trainer.data), "finite": result.finite}


def train_round(
    trainer: Trainer, chain: Chain, number: int, seed: int, params: Params, folder: Path
) -> Lanes:
    """One round of a chain, from the parameters of the round before: Lanes [1, 1]."""
    settings, named = chain.rounds[number], METHODS[chain.method]
    key = jax.random.fold_in(jax.random.split(jax.random.key(seed))[1], number)
    key_regularise, key_cut, key_tune = jax.random.split(key, 3)
    share = named.strength_is_share
    strength = chain.strength / settings.factor if share else chain.strength * settings.factor
    result = trainer.regularise(
        chain, strength, settings.epochs, key_regularise, params, folder / "regularise"
    )
    cut, finite = trainer.cut(
        key_cut, result.params, jnp.float32(chain.tolerance), trainer.data["validation"]
    )
    finite &= result.finite
    if settings.fine_tune_epochs:
        # What the threshold has left must not depend on when a run was interrupted.
        stored = folder / "cut"
        if stored.is_dir():
            cut = checkpoints.load_tree(stored, cut)
        else:
            checkpoints.save_tree(stored, cut)
        mask = trees.mask_above(cut, 0.0)
        tuned = trainer.tune(mask, settings.fine_tune_epochs, key_tune, cut, folder / "tune")
        cut, finite = tuned.params, finite & tuned.finite
    metrics = {
        **trainer.measure(cut, trainer.data),
        "nonzeros_regularised": trees.nonzeros(result.params),
        "finite": finite,
    }
    points = {
        "strength": strength,
        "round": number,
        "tolerance": chain.tolerance,
        "learning_rate": chain.learning_rate,
    }
    return Lanes(
        {name: np.array([value]) for name, value in points.items()},
        np.array([seed]),
        {name: np.asarray(value).reshape(1, 1) for name, value in metrics.items()},
        jax.tree.map(lambda leaf: np.asarray(leaf)[None, None], cut),
    )


def train_chain(trainer: Trainer, chain: Chain, seed: int, lanes: Path, folder: Path) -> None:
    """All rounds of a chain, each stored when it ends; rounds found there are not run again."""
    key_params, _ = jax.random.split(jax.random.key(seed))
    params = trainer.network.init(key_params)
    for number in range(len(chain.rounds)):
        path = lanes / f"{chain.method}_{seed}_{number}.npz"
        if not path.is_file():
            part = folder / str(number)
            prune_runs.save(path, train_round(trainer, chain, number, seed, params, part))
            checkpoints.discard(part)
        found = prune_runs.load(path)
        params = jax.tree.map(jnp.asarray, prune_runs.params_of(found, 0, 0))
        print(
            prune_tables.best_line(f"{chain.method}, seed {seed}, round {number}", found),
            flush=True,
        )
