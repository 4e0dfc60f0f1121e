"""PMMP and its variants beside DRR over learning rates, penalty weights, sharpness and seeds.

Next checks that the authors of DRR name: training stability and final performance over seeds and
learning rates, and the interactions of DRR's alpha, beta and the threshold's tolerance. Each run
is one of three phases of LeNet-300-100; the spread over seeds and the runs that diverge or collapse
are part of the result.

Cost: digits: 20 min on 2 cores; smoke: 1 min.
Data: digits (embedded).
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

from experiments.pruning import training
from experiments.pruning.runs import Nonzeros, Run, TestError, as_rows
from experiments.pruning.training import Training
from experiments.runner import experiment as ex
from experiments.runner import rows
from fewbits.io.progress import Bar
from fewbits.training import trees
from pruning.procedures import classifiers
from pruning.procedures.classifiers import Grid

COLLAPSED_PERCENT = 50.0
"""A run with more than this test error has learned nothing to speak of."""


@dataclass(frozen=True)
class Config:
    methods: dict[str, tuple[float, ...]]
    """Penalty weights of each method, crossed with the learning rates."""
    data: str = "digits"
    learning_rates: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
    drr_penalty_weights: tuple[float, ...] = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
    """Crossed with sharpnesses and tolerances, for DRR's three coupled settings."""
    sharpnesses: tuple[float, ...] = (1.0, 5.0, 20.0)
    tolerances: tuple[float, ...] = (0.01, 0.1, 0.5)
    training: Training = Training(batch_size=100)
    seeds: tuple[int, ...] = (0, 1, 2)
    validation_images: int = 297


class Rate(NamedTuple):
    """Convergence over learning rates.

    Over all penalty weights and seeds of a method; lost runs diverged or ended above 50 % error,
    and are not in the other columns.
    """

    method: Annotated[str, ex.Key]
    learning_rate: Annotated[float, ex.Key, ex.Column(format="g"), ex.Axis("learning rate", "log")]
    test_error_percent: Annotated[TestError, ex.Axis("test error, %", "log")]
    nonzeros: Annotated[int | None, ex.Over(np.median), ex.Column("median nonzeros", ",.0f")]
    lost_percent: Annotated[
        float, ex.Over(np.mean, "%"), ex.Column("runs lost, %", ".0f"),
        # verify trains one run again, which may end otherwise where it is close to diverging
        ex.Claim("pruning.convergence.{method}.lost_percent", tolerance=2.3),
    ]  # fmt: skip
    run: Run
    seeds: int


class Coupled(NamedTuple):
    """DRR's alpha, beta and the threshold's tolerance."""

    tolerance: Annotated[float, ex.Key, ex.Panel]
    beta: Annotated[float, ex.Key]
    alpha: Annotated[float, ex.Key, ex.Axis("alpha", "log"), ex.Column(format="g")]
    nonzeros: Annotated[Nonzeros, ex.Axis("nonzeros", "log")]
    test_error_percent: Annotated[TestError, ex.Axis("test error, %", "log")]


def _grids(config: Config) -> dict[str, Grid]:
    """Each is one trial, and one program."""
    found = {
        method: Grid(method, weights, (0.1,), config.learning_rates)
        for method, weights in config.methods.items()
    }
    settings = (config.drr_penalty_weights, config.tolerances)
    return {**found, "settings": Grid("drr", *settings, sharpnesses=config.sharpnesses)}


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Run]:
    ((name,),) = trials
    return _train(config, _grids(config)[name], config.seeds, data)


def _train(config: Config, grid: Grid, seeds: tuple[int, ...], data: ex.Data) -> list[Run]:
    """All settings and seeds in one program."""
    parts, plan = training.parts_of(data, config.data, config.validation_images), config.training
    network = training.lenet("lenet300", parts["train"])
    lengths = plan.lengths(parts["train"], plan.epochs, plan.fine_tune_epochs)
    with Bar(grid.method) as bar:
        trained = classifiers.train_grid(
            grid, lengths, network, training.arrays(parts), seeds,
            simplify=training.remove_unreachable("lenet300", parts),
            fine_tune_rate=plan.fine_tune_rate, progress=bar,
        )  # fmt: skip
    labels = ("lenet300", grid.method, grid.settings(), seeds)
    return as_rows(*labels, trained["metrics"], trees.size(network.init(jax.random.key(0))))


def derive(record: ex.Record) -> list[Rate | Coupled]:
    """The runs over learning rates, lost or not, and those over DRR's coupled settings."""
    n_seeds = len(record.config.seeds)
    return [
        _rate(run, n_seeds)
        if run.sharpness is None
        else Coupled(
            run.tolerance, run.sharpness, run.penalty_weight, run.nonzeros, run.test_error_percent
        )
        for run in record.rows
    ]  # fmt: skip


def _rate(run: Run, n_seeds: int = 1) -> Rate:
    lost = not run.finite or run.test_error_percent > COLLAPSED_PERCENT
    error: Any = None if lost else run.test_error_percent
    nonzeros = None if lost else run.nonzeros
    return Rate(run.method, run.learning_rate, error, nonzeros, 100.0 * lost, run, n_seeds)


def recompute(config: Config, row: Rate, data: ex.Data) -> float:
    one = row.run
    grid = Grid(one.method, (one.penalty_weight,), (one.tolerance,), (one.learning_rate,))
    return _rate(_train(config, grid, (one.seed,), data)[0]).lost_percent


def tables(records: dict[str, ex.Record]) -> list[ex.Table]:
    """Not of every single run."""
    (record,) = records.values()
    return list(filter(None, (rows.table(kind, record.of(kind)) for kind in (Rate, Coupled))))


EXPERIMENT = ex.of_module(
    __name__,
    (Run, Rate, Coupled),
    {
        "digits": Config({
            "drr": (1e-4, 3e-4, 1e-3),
            "pmmp": (3e-3, 3e-2, 0.3),
            "fpp": (3e-3, 3e-2, 0.3),
            "pmmp_curvature": (1e-5, 1e-4, 1e-3),
            "pmmp_admm": (3e-2, 0.1, 0.3),
        }),
        "smoke": Config(
            {"pmmp_curvature": (1e-4,)}, learning_rates=(1e-3, 2e-3), drr_penalty_weights=(3e-4,),
            sharpnesses=(5.0, 20.0), tolerances=(0.1,),
            training=Training(epochs=10, fine_tune_epochs=5, batch_size=100), seeds=(0,),
        ),
    },
    grid=lambda config: [(name,) for name in _grids(config)],
    free=(),
)  # fmt: skip
