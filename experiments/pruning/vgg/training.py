"""VGG-16 pruned iteratively: the three phases again and again, each resumable.

A step regularises with its own penalty weight, cuts at the threshold that the validation part
allows, with its own batches' statistics, and trains what is left. Every few epochs a checkpoint is
written, and every step ends with a network that is measured as it would be deployed.
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

from experiments.pruning import iterative
from experiments.pruning.iterative import Iterative
from experiments.pruning.runs import Training
from experiments.runner import experiment as ex
from fewbits.io import datasets, read_checkpoint, write_checkpoint
from fewbits.io.progress import Bar
from fewbits.training import checkpoints, evaluation, gradient_descent, loop, losses, trees, vgg
from fewbits.training.method import Key, Params
from fewbits.training.vgg import Vgg
from pruning.graphs import reachability
from pruning.methods import METHODS
from pruning.procedures import _three_phase, thresholding

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


class Trainer:
    """The programs of one configuration, each compiled once; their runs go on from checkpoints."""

    def __init__(self, config: Config, parts: dict[str, datasets.Images], data: ex.Data):
        dtype = jnp.bfloat16 if config.bfloat16 else jnp.float32
        self.config, self.data = config, data
        self.network = network_for(config, parts["train"], activation_dtype=dtype)
        self.deployed = network_for(config, parts["train"])
        self.arrays = jax.device_put({k: (part.pixels, part.labels) for k, part in parts.items()})
        n_train = len(parts["train"].labels)
        self.batch_size = min(config.training.batch_size, n_train)
        self.per_epoch = n_train // self.batch_size
        loss = losses.mirrored(self._loss) if config.mirrored else self._loss
        self.loss = losses.shifted(loss, config.training.shift_pixels)
        self._cut_program, self._measure_program = jax.jit(self._cut), jax.jit(self._measure)
        self._programs: dict[Any, Any] = {}

    def dense(self, seed: int) -> dict[str, Any]:
        """Metrics of the dense network of a seed, from the run's folder where it has them."""
        folder = self.data.folder / "checkpoints" / f"{DENSE}_{seed}"

        def train() -> dict[str, Any]:
            key_params, key_run = jax.random.split(jax.random.key(seed))
            params = self.network.init(key_params)
            mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
            result = self._tune(mask, self.config.training.epochs, key_run, params, folder)
            return {**self._measure_program(result.params, self.arrays), "finite": result.finite}

        found = self.data.cached(f"{DENSE}_{seed}", train)
        checkpoints.discard(folder)
        return found

    def prune(self, plan: Iterative, seed: int) -> dict[str, Any]:
        """`params` and `metrics` of all steps with one seed, leaves [steps, ...]."""
        key_params, key_steps = jax.random.split(jax.random.key(seed))
        name, named = f"{plan.method}_{seed}", METHODS[plan.method]

        def step(number: int, params: Params) -> dict[str, Any]:
            folder = self.data.folder / "checkpoints" / f"{name}_{number}"
            keys = jax.random.split(jax.random.fold_in(key_steps, number), 3)
            weight, epochs = plan.settings()[number].penalty_weight, plan.steps[number]
            hyperparameters = named.hyperparameters(plan.learning_rate, jnp.float32(weight))
            params = jax.tree.map(jnp.asarray, params)
            result = self._regularise(
                plan.method, epochs.epochs, hyperparameters, keys[0], params, folder / "regularise"
            )

            def cut(path: Path) -> None:
                found = self._cut_program(
                    keys[1], result.params, jnp.float32(plan.tolerance), self.arrays["validation"]
                )
                write_checkpoint(path, {"params": found[0], "finite": found[1]})

            # What the threshold has left must not depend on when a run was interrupted.
            left = read_checkpoint(self.data.cached_file(f"{name}_{number}_cut.npz", cut))
            params, finite = jax.tree.map(jnp.asarray, left["params"]), left["finite"]
            finite &= result.finite
            if epochs.fine_tune_epochs:
                mask = trees.mask_above(params, 0.0)
                tuned = self._tune(
                    mask, epochs.fine_tune_epochs, keys[2], params, folder / "fine_tune"
                )
                params, finite = tuned.params, finite & tuned.finite
            metrics = {
                **self._measure_program(params, self.arrays),
                "nonzeros_regularised": trees.nonzeros(result.params),
                "finite": finite,
            }
            return {"params": params, "metrics": metrics}

        found = iterative.steps(
            name, len(plan.steps), self.network.init(key_params), step, self.data
        )
        for number in range(len(plan.steps)):
            checkpoints.discard(self.data.folder / "checkpoints" / f"{name}_{number}")
        return found

    def _loss(self, key: Key, params: Params, batch: Any):
        """Cross-entropy in nats per example, with dropout."""

        def with_dropout(params: Params, x: jax.Array) -> jax.Array:
            return self.network.apply(params, x, key)

        return losses.cross_entropy(with_dropout)(key, params, batch)

    def _cut(self, key: Key, params: Params, tolerance: jax.Array, held: Any):
        """Phase 2: (parameters, whether they are finite), as in `three_phase.run`."""
        key_before, key_after = jax.random.split(key)
        shape = (64, *self.arrays["train"][0].shape[1:])
        # Normalised by its own statistics, every live channel fires on some random image.
        simplify = functools.partial(
            reachability.random_gradient,
            apply=self.network.apply,
            inputs=jax.ShapeDtypeStruct(shape, jnp.float32),
        )

        def objective(candidate: Params) -> jax.Array:
            return evaluation.mean_cross_entropy(self.network.apply, candidate, *held)

        params = simplify(key_before, params=params)
        limit = thresholding.tolerated(objective(params), tolerance)
        threshold = thresholding.by_rank(objective, params, limit, probes=1)
        params = simplify(key_after, params=thresholding.pruned(params, threshold.magnitude))
        return params, jnp.isfinite(limit)

    def _measure(self, params: Params, data: Any) -> dict[str, jax.Array]:
        """What is known of trained parameters, by the deployed network's own arithmetic."""
        calibration = data["train"][0][: self.config.calibration_images]
        folded, apply = self.deployed.fold(params, calibration), self.deployed.apply_folded

        def error(held: Any) -> jax.Array:
            return 1 - evaluation.accuracy(apply, folded, *held, batch_size=250)

        held = data["validation"]
        loss = evaluation.mean_cross_entropy(apply, folded, *held, batch_size=250)
        return {
            "nonzeros": trees.nonzeros(folded),
            "validation_error": error(held),
            "validation_loss_nats": loss,
            "test_error": error(data["test"]),
        }

    def _plan(self, epochs: int) -> loop.Plan:
        return loop.Plan(epochs * self.per_epoch, self.batch_size, log_points=20)

    def _regularise(
        self, method_name: str, epochs: int, hyperparameters: Any, *run: Any
    ) -> loop.Result:
        """Phase 1; `run` is (key, params, folder)."""
        plan = self._plan(epochs)
        method = METHODS[method_name].build(self.loss, plan.steps)
        program = self._program(
            (method_name, epochs),
            lambda carry, data, first, last: loop.advance(method, plan, carry, data, first, last),
        )
        return self._run(method, plan, program, hyperparameters, *run)

    def _tune(self, mask: Params, epochs: int, *run: Any) -> loop.Result:
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
        rate = gradient_descent.Hyperparameters(self.config.training.fine_tune_rate)
        result = self._run(method_for(mask), plan, functools.partial(program, mask), rate, *run)
        return result._replace(params=trees.masked(result.params, mask))

    def _program(self, name: Any, function: Callable[..., Any]) -> Any:
        return self._programs.setdefault(name, jax.jit(function))

    def _run(self, method, plan, program, hyperparameters, key, params, folder) -> loop.Result:
        data = self.arrays["train"]
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


def as_arrays(several: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Metrics of the dense networks of several seeds: name -> [1, seeds]."""
    return {name: np.array([[one[name] for one in several]]) for name in several[0]}
