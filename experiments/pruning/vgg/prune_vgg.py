"""VGG-16 within a point of its dense network: weights and file bytes.

The dense network, and three methods that prune iteratively, with mirrored and shifted images. What
is counted and written is the deployed network, whose normalisation is folded into scales and
shifts: kernels are rounded first and the normalisation is folded after that, so that it makes up
for what rounding has done to a channel. Training that is interrupted goes on from its last
checkpoint.

Cost: gpu: not run yet, made for 10 min a method on one H100; smoke: 1 min.
Data: cifar10_jpeg.
"""

from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.pruning import files, operating_points, runs
from experiments.pruning.files import File, Selected
from experiments.pruning.iterative import Iterative, PruningStep
from experiments.pruning.operating_points import Choice, published
from experiments.pruning.runs import Run, Training
from experiments.pruning.vgg import training
from experiments.pruning.vgg.training import DENSE, Config, as_arrays, network_for
from experiments.runner import experiment as ex
from experiments.runner import plots, rows
from fewbits.coding.weights.sparse import sparse_code
from fewbits.io.datasets import Images
from fewbits.training import trees
from fewbits.training.method import Params
from fewbits.training.models import vgg
from pruning.procedures.classifiers import Setting
from pruning.procedures.resumable import Trainer

KERNEL_BITS = (3, 4, 5, 6, 8)
"""Tried in this order; scales, shifts and biases have 8."""


PUBLISHED = [published("vgg16", "SNIP", 33, 8.0), published("vgg16", "BC-GHS", 18, 9.0)]
"""For VGG-like networks on CIFAR-10 itself."""


def grid(config: Config) -> list[tuple[str, tuple[int, ...]]]:
    """The dense network and each method, with all seeds."""
    return [(name, config.seeds) for name in (DENSE, *(p.method for p in config.iterative))]


def measure(
    config: Config, trials: list[tuple[str, tuple[int, ...]]], data: ex.Data
) -> ex.Measurement:
    """Train one of them, choose its files and write them."""
    ((method, seeds),) = trials
    parts = runs.parts_of(data, config.data, config.validation_images)
    trainer = training.trainer_for(config, parts, data)
    name = "vgg16" if (config.width, config.blocks) == (1, vgg.BLOCKS) else "narrow_vgg"
    size = _n_parameters(trainer)
    dense = as_arrays([training.dense(trainer, config, seed, data) for seed in seeds])
    if method == DENSE:
        setting = Setting(0.0, 0.0, config.training.fine_tune_rate)
        rows_of = runs.as_rows(name, method, [setting], seeds, dense, size)
        return ex.Measurement(rows_of, {"parameters": size})
    plan = next(each for each in config.iterative if each.method == method)
    each = [training.prune(trainer, plan, seed, data) for seed in seeds]
    trained = jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *each)
    measured = runs.as_rows(name, method, plan.settings(), seeds, trained["metrics"], size)
    limit = 100 * float(np.mean(dense["validation_error"])) + config.points_lost
    written = _files(config, trainer, measured, trained["params"], limit, parts, data)
    return ex.Measurement([*measured, *written], {"parameters": size})


def _target(config: Config) -> str:
    return f"{config.points_lost:g}-point loss"


def _n_parameters(trainer: Trainer) -> int:
    """Of the whole deployed network."""
    params = jax.eval_shape(trainer.network.init, jax.random.key(0))
    images = trainer.data["train"][0][: trainer.settings.calibration_images]
    return trees.size(jax.eval_shape(trainer.deployed.fold, params, images))


def _files(
    config: Config,
    trainer: Trainer,
    measured: list[Run],
    params: Params,
    limit: float,
    parts: dict[str, Images],
    data: ex.Data,
) -> list[File]:
    """The fewest weights, then the fewest bits, within the limit as decoded; none if none is."""
    error = files.error_percent(trainer.deployed.apply_folded, batch_size=250)
    fold = jax.jit(trainer.deployed.fold)
    calibration = parts["train"].pixels[: config.calibration_images]

    def deployed(run: Run, number: int, bits: dict[str, int]) -> Params:
        trained = jax.tree.map(lambda leaf: leaf[run.step, number], params)
        rounded = sparse_code.quantise_sparse(trained, bits)
        norms = {name: trained[name] for name in trained if name.startswith("norm")}
        return jax.tree.map(np.asarray, fold({**rounded, **norms}, calibration))

    def within_limit(point: list[Run]) -> list[File]:
        for kernel_bits in KERNEL_BITS:
            bits = {"*/bias": 8, "*/scale": 8, "*": kernel_bits}
            coded = [
                sparse_code.write_sparse(deployed(run, number, bits), bits)
                for number, run in enumerate(point)
            ]
            errors = [error(sparse_code.read_sparse(one), parts["validation"]) for one in coded]
            if np.mean(errors) <= limit:
                target = _target(config)
                return [
                    files.write(
                        data.path(f"{run.network}_{run.method}_seed{run.seed}.fb"), one,
                        (run.network, run.method, target, run.seed, *run[3:5]),
                        (kernel_bits, 8), error, parts,
                    )
                    for run, one in zip(point, coded, strict=True)
                ]  # fmt: skip
        return []

    points = operating_points.operating_points(measured)
    allowed = [p for p in points if operating_points.mean(p, "validation_error_percent") <= limit]
    allowed.sort(key=lambda point: operating_points.mean(point, "nonzeros"))
    written = next(filter(None, map(within_limit, allowed)), [])
    files.check([row.file for row in written])
    return written


def derive(record: ex.Record) -> list[Any]:
    """The dense network, each method's fewest weights within a point of it, the best method."""
    by_method = rows.grouped(record.of(Run), lambda run: run.method)
    dense, found = by_method.pop(DENSE), []
    limit = operating_points.mean(dense, "validation_error_percent") + record.config.points_lost
    for method, measured in {DENSE: dense, **by_method}.items():
        best = operating_points.fewest_weights(measured, limit)
        found += operating_points.choices(dense[0].network, method, _target(record.config), best)
    written = record.of(File)
    return [*found, *files.selected(written, lambda same: -operating_points.mean(same, "ratio"))]


def recompute(config: Config, row: Selected, data: ex.Data) -> dict[str, float]:
    test = data.images(config.data, "test")
    return files.recompute(row, network_for(config, test).apply_folded, test, batch_size=250)


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Nonzeros and test error of every method's steps, beside the dense network's error."""
    figure, (axis,) = plots.subplots(1)
    record = next(iter(records.values()))
    dense = [run for run in record.of(Run) if run.method == DENSE]
    error = operating_points.mean(dense, "test_error_percent")
    axis.axhline(error, color="black", lw=0.8, ls=":", label=DENSE)
    measured = [run for run in record.of(Run) if run.method != DENSE]
    operating_points.draw(axis, measured, PUBLISHED, record.extras["parameters"])
    axis.set_xscale("log")
    return {"vgg16_front": figure}


_STEPS = (PruningStep(1.0, 60), *(PruningStep(f, 20, 10) for f in (3.0, 6.0, 12.0, 24.0, 48.0)))
_FIRST_WEIGHTS = {"drr": 1e-6, "pmmp_curvature": 3e-7, "magnitude": 0.1}
_SMOKE_STEPS = (PruningStep(1.0, 4), PruningStep(10.0, 4, 4))

EXPERIMENT = ex.of_module(
    __name__,
    (Selected, Choice, File, Run),
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
            data="digits",
            width=1 / 8,
            blocks=((64,), (128,)),
            iterative=(Iterative("drr", 1e-4, _SMOKE_STEPS),),
            training=Training(epochs=4, batch_size=100),
            mirrored=False,
            validation_images=297,
            calibration_images=200,
            points_lost=60.0,
            checkpoint_epochs=2,
        ),
    },
    published=PUBLISHED,
    free=("seeds", "checkpoint_epochs"),
    notes="bits of files are those of kernels",
)
