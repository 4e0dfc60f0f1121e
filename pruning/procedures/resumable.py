"""The three phases of a large network with normalisation, resumable: a checkpoint every few epochs.

What `_three_phase` runs as one program is cut into pieces here, so that hours of training survive a
kill. The network is normalised by its batches' own statistics while it is trained, and measured as
it would be deployed, its normalisation folded into scales and shifts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fewbits.io import read_checkpoint, write_checkpoint
from fewbits.io.progress import Bar
from fewbits.training import checkpoints, evaluation, gradient_descent, loop, losses, trees
from fewbits.training.method import Key, Params
from fewbits.training.models.vgg import Vgg
from pruning.graphs import reachability
from pruning.methods import METHODS
from pruning.procedures import _three_phase, classifiers, thresholding
from pruning.procedures.classifiers import Setting

_DENSE = "dense"


@dataclass(frozen=True)
class Settings:
    """Static choices.

    Attributes:
      batch_size: examples per step, at most all.
      fine_tune_rate: learning rate of all training without a penalty.
      shift_pixels: training images are moved by up to this many pixels either way.
      mirrored: whether each training image is seen from either side.
      calibration_images: training images that the deployed network's statistics are measured on.
      checkpoint_epochs: epochs from one checkpoint to the next.
    """

    batch_size: int = 500
    fine_tune_rate: float = 2e-3
    shift_pixels: int = 0
    mirrored: bool = True
    calibration_images: int = 2_000
    checkpoint_epochs: int = 5


class Trainer:
    """The programs of one network and data set, each compiled once.

    Args:
      network: what is trained.
      deployed: the same with activations in float32, which is measured.
      data: pixels and labels of `train`, `validation` and `test`.
      settings: see `Settings`.
      folder: for checkpoints; runs that end are discarded with `discard`.
    """

    def __init__(
        self, network: Vgg, deployed: Vgg, data: dict[str, Any], settings: Settings, folder: Path
    ) -> None:
        self.network, self.deployed, self.settings = network, deployed, settings
        self.folder, self.data = folder, jax.device_put(data)
        n_train = len(data["train"][1])
        self.batch_size = min(settings.batch_size, n_train)
        self.per_epoch = n_train // self.batch_size
        loss = losses.mirrored(self._loss) if settings.mirrored else self._loss
        self.loss = losses.shifted(loss, settings.shift_pixels)
        self._cut_program, self._measure_program = jax.jit(self._cut), jax.jit(self._measure)
        self._programs: dict[Any, Any] = {}

    def dense(self, name: str, key: Key, epochs: int) -> dict[str, Any]:
        """Metrics of the network without pruning; `name` is of its checkpoints."""
        key_params, key_run = jax.random.split(key)
        params = self.network.init(key_params)
        mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
        result = self._tune(mask, epochs, key_run, params, self.folder / name)
        return {**self._measure_program(result.params, self.data), "finite": result.finite}

    def step(
        self,
        name: str,
        key: Key,
        params: Params,
        method: str,
        setting: Setting,
        epochs: int,
        fine_tune_epochs: int,
        cached_file: Callable[[str, Callable[[Path], Any]], Path],
    ) -> dict[str, Any]:
        """Regularise, cut, train what is left.

        Args:
          name: of its checkpoints.
          key: typed PRNG key.
          params: to start from.
          method: in `pruning.methods.METHODS`.
          setting: see `Setting`.
          epochs: of the first phase.
          fine_tune_epochs: of the last one; 0 for none.
          cached_file: (name, write(path)) -> the file, perhaps that of an earlier run: what the
            threshold leaves must not depend on when a run was interrupted.

        Returns:
          `params` and `metrics`.
        """
        folder, keys = self.folder / name, jax.random.split(key, 3)
        point = classifiers.point(method, setting, self.settings.fine_tune_rate)
        params = jax.tree.map(jnp.asarray, params)
        result = self._regularise(
            method, epochs, point.method, keys[0], params, folder / "regularise"
        )

        def cut(path: Path) -> None:
            found = self._cut_program(
                keys[1], result.params, point.tolerance, self.data["validation"]
            )
            write_checkpoint(path, {"params": found[0], "finite": found[1]})

        left = read_checkpoint(cached_file(f"{name}_cut.npz", cut))
        params, finite = jax.tree.map(jnp.asarray, left["params"]), left["finite"]
        finite &= result.finite
        if fine_tune_epochs:
            mask = trees.mask_above(params, 0.0)
            tuned = self._tune(mask, fine_tune_epochs, keys[2], params, folder / "fine_tune")
            params, finite = tuned.params, finite & tuned.finite
        metrics = {
            **self._measure_program(params, self.data),
            "nonzeros_regularised": trees.nonzeros(result.params),
            "finite": finite,
        }
        return {"params": params, "metrics": metrics}

    def discard(self, name: str) -> None:
        """Removes the checkpoints of a run that has ended."""
        checkpoints.discard(self.folder / name)

    def _loss(self, key: Key, params: Params, batch: Any):
        """Cross-entropy in nats per example, with dropout."""

        def with_dropout(params: Params, x: jax.Array) -> jax.Array:
            return self.network.apply(params, x, key)

        return losses.cross_entropy(with_dropout)(key, params, batch)

    def _cut(self, key: Key, params: Params, tolerance: jax.Array, held: Any):
        """Phase 2: (parameters, whether they are finite), as in `_three_phase.run`."""
        key_before, key_after = jax.random.split(key)
        shape = (64, *self.data["train"][0].shape[1:])
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
        calibration = data["train"][0][: self.settings.calibration_images]
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

        def method_for(mask: Params):
            loss = _three_phase.masked_loss(self.loss, mask)
            return gradient_descent.build(config, loss, gradient_descent.falling_adam(plan.steps))

        program = self._program(
            (_DENSE, epochs),
            lambda mask, carry, data, first, last: loop.advance(
                method_for(mask), plan, carry, data, first, last
            ),
        )
        rate = gradient_descent.Hyperparameters(self.settings.fine_tune_rate)
        result = self._run(method_for(mask), plan, functools.partial(program, mask), rate, *run)
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
                chunk_steps=self.settings.checkpoint_epochs * self.per_epoch,
                keep=1,
                progress=lambda done, total, _: bar(done, total),
            )
        return loop.finish(method, carry)
