"""LeNet-300-100 and LeNet-5-Caffe pruned by every method, down to decoded files.

266,610 and 431,080 parameters, MNIST; all methods, equal epochs; choices on 5,000 validation
images, official test set. The CPU presets prune iteratively on shrunken networks, with images moved
by up to a pixel, which the publications did not. The GPU presets train all runs of a method,
penalty weights on a log grid, in one program.

Cost: cpu300, cpu5: 3 h on one core each; gpu300, gpu5: 10 min on one H100; smoke: 1 min.
Data: mnist.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.pruning import files, iterative, operating_points, runs
from experiments.pruning.files import File, Selected, Target
from experiments.pruning.iterative import FEWER_EPOCHS, FROM_WEAKER, Iterative, PruningStep
from experiments.pruning.operating_points import Choice, published
from experiments.pruning.runs import Problem, Run, Training
from experiments.runner import experiment as ex
from experiments.runner import plots
from fewbits.io import read_checkpoint, write_checkpoint
from pruning.methods import METHODS
from pruning.procedures.classifiers import Grid


@dataclass(frozen=True)
class Config:
    network: Literal["lenet300", "lenet5"] = "lenet300"
    data: str = "mnist"
    grids: tuple[Grid, ...] = ()
    """Trained all at once."""
    iterative: tuple[Iterative, ...] = ()
    training: Training = Training()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    validation_images: int = 5_000
    ratios: tuple[int, ...] = (150, 92)
    """Of weights, that files have to reach on average over seeds."""
    file_bytes: tuple[int, ...] = (3_000, 5_000)
    """That files may have on average."""
    compared_from_percent: float = 1.9
    """Least validation error at which the exact methods are compared with DRR."""

    def targets(self) -> list[Target]:
        """Of files."""
        return [*(Target("ratio", n) for n in self.ratios),
                *(Target("bytes", n) for n in self.file_bytes)]  # fmt: skip


class Comparison(NamedTuple):
    """Weights of the best exact method over those of the best DRR.

    At the least validation error, in steps of 0.1 %, that both keep.
    """

    network: Annotated[str, ex.Key]
    validation_percent: Annotated[float, ex.Column("validation error, %", ".1f")]
    ratio: Annotated[
        float, ex.Over(max), ex.Column("ratio of nonzeros", ".2f"),
        ex.Claim("pruning.{network}.pmmp_over_drr_nonzeros"),
    ]  # fmt: skip
    seeds: Annotated[int, ex.Column()]


Trial = tuple[str, tuple[int, ...]]
"""A method with all its seeds."""

_PUBLISHED = {
    "lenet300": (("Sparse VD", 68, 1.92), ("DNS", 56, 1.99), ("SWS", 23, 1.94), ("SNIP", 50, 2.4)),
    "lenet5": (
        ("Sparse VD", 280, 0.75),
        ("DNS", 111, 0.91),
        ("SWS", 200, 0.97),
        ("SNIP", 100, 1.1),
    ),
}
PUBLISHED = [published(name, *each) for name in _PUBLISHED for each in _PUBLISHED[name]]


def grid(config: Config) -> list[Trial]:
    return [
        *((each.method, config.seeds) for each in config.grids),
        *((each.method, config.seeds[: each.seeds]) for each in config.iterative),
    ]


def measure(config: Config, trials: list[Trial], data: ex.Data) -> ex.Measurement:
    """Train a method, choose its files and write them."""
    ((method, seeds),) = trials
    plan = next(each for each in (*config.grids, *config.iterative) if each.method == method)
    problem = _problem(config, data)
    trained = _train(plan, config.training, problem, seeds, data)
    settings, targets = plan.settings(), config.targets()
    metrics, size = trained["metrics"], problem.n_parameters
    measured = [
        *runs.as_rows(problem.name, method, settings, seeds, metrics, size),
        *files.of_method(problem, method, settings, seeds, trained, targets, data),
    ]
    return ex.Measurement(measured, {"parameters": size})


def _problem(config: Config, data: ex.Data) -> Problem:
    return runs.lenet(config.network, runs.parts_of(data, config.data, config.validation_images))


def _train(
    plan: Grid | Iterative,
    training: Training,
    problem: Problem,
    seeds: tuple[int, ...],
    data: ex.Data,
) -> dict[str, Any]:
    """Params and metrics [settings, seeds], from the run's folder where it has them."""
    if isinstance(plan, Iterative):
        each = [iterative.train(plan, training, problem, seed, data) for seed in seeds]
        return jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *each)

    def write(path: Path) -> None:
        write_checkpoint(path, runs.train_grid(plan, training, problem, seeds))

    name = "_".join([problem.name, plan.method, *map(str, seeds)])
    return read_checkpoint(data.cached_file(f"{name}.npz", write))


def derive(record: ex.Record) -> list[Any]:
    """Choices on validation: each method at each ratio, the best method for each size."""
    config, measured, found = record.config, record.of(Run), []
    for method in METHODS:
        mine = [run for run in measured if run.method == method]
        for ratio in config.ratios if mine else ():
            best = operating_points.least_error(mine, record.extras["parameters"] / ratio)
            found += operating_points.choices(config.network, method, f"{ratio}x", best)
    compared = operating_points.with_all_seeds(measured)
    against = operating_points.exact_over_drr(compared, config.compared_from_percent)
    if against is not None:
        found.append(Comparison(config.network, against[1], against[0], len(config.seeds)))
    return [*found, *files.selected(record.of(File))]


def recompute(config: Config, row: Any, data: ex.Data) -> dict[str, float] | None:
    """From the file of one seed; nothing where the claim is about trained networks."""
    if not isinstance(row, Selected):
        return None
    test = data.images(config.data, "test")
    network = runs.NETWORKS[config.network](test.pixels.shape[1:], len(test.label_names))
    return files.recompute(row, network.apply, test)


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Pareto fronts of nonzeros and test error, and bytes of files."""
    drawn = {}
    for record in records.values():
        network, top = record.config.network, 3 * record.config.compared_from_percent
        figure, (left, right) = plots.subplots(2)
        others = [each for each in PUBLISHED if each.network == network]
        operating_points.draw(left, record.of(Run), others, record.extras["parameters"])
        for row in record.of(File):
            colour = operating_points.colour(row.method)
            right.plot(row.bytes, row.test_error_percent, "o", color=colour)
        right.set(xlabel="bytes of the file", ylabel="test error, %")
        for axis in (left, right):
            axis.set_ylim(0.5, top)
            plots.logarithmic(axis)
        left.set_title(f"{network}, MNIST", loc="left")
        drawn[f"{network}_pareto"] = figure
    return drawn


SCALES = {
    "pmmp_curvature": (1e-5, 2e-4, 8), "drr": (3e-5, 1e-3, 8), "drr_proximal": (5e-2, 0.5, 8),
    "rl1_proximal": (0.1, 1.5, 8), "pmmp_admm": (2e-2, 0.4, 8), "magnitude": (3e-3, 2e-2, 6),
    "pmmp": (1e-3, 0.3, 6), "rl1": (2e-5, 1e-3, 8), "hard_concrete": (1e-6, 1e-4, 6),
    "fpp": (1e-3, 0.3, 6),
}  # fmt: skip
"""Lowest and highest penalty weight, and how many: found on short runs of LeNet-300-100."""

FIRST_WEIGHTS = {
    "pmmp_curvature": 5e-6, "drr": 1e-5, "drr_proximal": 0.01, "pmmp_admm": 0.01,
    "rl1_proximal": 0.03, "magnitude": 0.1,
}  # fmt: skip
"""Of the first step of iterative pruning of LeNet-300-100."""


def _grids(**settings: Any) -> tuple[Grid, ...]:
    """One grid for each method: penalty weights equally spaced in the logarithm."""
    return tuple(
        Grid(
            name,
            tuple(low * (high / low) ** (i / max(count - 1, 1)) for i in range(count)),
            **settings,
        )
        for name, (low, high, count) in SCALES.items()
    )


_LENET5: dict[str, Any] = {
    "network": "lenet5", "ratios": (500, 342), "file_bytes": (1_200, 3_000),
    "compared_from_percent": 1.0,
}  # fmt: skip

EXPERIMENT = ex.of_module(
    __name__,
    (Selected, Choice, Comparison, File, Run),
    {
        "cpu300": Config(
            iterative=tuple(
                Iterative(method, weight, seeds=None if method in ("drr", "pmmp_curvature") else 1)
                for method, weight in FIRST_WEIGHTS.items()
            ),
            training=Training(shift_pixels=1),
        ),
        "cpu5": Config(
            iterative=(
                Iterative("drr", 2e-5, FEWER_EPOCHS),
                Iterative("pmmp_curvature", 4e-6, FROM_WEAKER),
            ),
            training=Training(batch_size=125, shift_pixels=1),
            seeds=(0, 1, 2),
            **_LENET5,
        ),
        "gpu300": Config(grids=_grids()),
        "gpu5": Config(
            grids=_grids(tolerances=(0.3,)),
            training=Training(epochs=50, fine_tune_epochs=25),
            **_LENET5,
        ),
        "smoke": Config(
            data="digits",
            grids=(Grid("drr", (3e-4,), (0.1,)),),
            iterative=(Iterative("magnitude", 0.3, (PruningStep(1.0, 5), PruningStep(3.0, 5, 5))),),
            training=Training(epochs=10, fine_tune_epochs=5, batch_size=100),
            seeds=(0,),
            validation_images=297,
            ratios=(4,),
            file_bytes=(20_000,),
        ),
    },
    published=PUBLISHED,
    notes="bits of files are those of kernels and of biases",
    together=True,
)  # fmt: skip
