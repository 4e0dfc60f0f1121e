"""Networks that prune themselves to the size their data deserve: teacher and student.

Teacher [2, 5, 8, 1] and student [2, 25, 25, 1] with tanh, N = 30, 300 and 2000 noisy examples,
full batches, ten seeds (each its own teacher), the published penalty weights, here in bits for each
weight and divided by N. The loss is the Gaussian code length at the true noise; the authors learn
the noise too.

Cost: paper: 2 h on one core; smoke: 1 min.
Data: none.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.runner import experiment as ex
from experiments.runner import rows
from fewbits.coding import units
from fewbits.io.progress import Bar
from fewbits.training import sweep
from pruning import teacher_student
from pruning.methods import METHODS
from pruning.procedures import _three_phase


@dataclass(frozen=True)
class Config:
    setting: teacher_student.Setting = teacher_student.Setting()
    methods: tuple[str, ...] = ("drr", "pmmp_curvature")
    penalties_bits: tuple[float, ...] = (
        0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.5, 2, 5, 10,
    )  # fmt: skip
    """Of each weight, as published; divided by N, since losses are means over N examples."""
    n_examples: tuple[int, ...] = (30, 300, 2000)
    n_validation: int = 1000
    n_test: int = 5000
    seeds: tuple[int, ...] = tuple(range(10))
    steps: int = 20_000
    fine_tune_steps: int = 5_000
    batch_size: int = 300
    """Fewer examples are taken whole."""
    learning_rate: float = 5e-3
    """Ten times the published rate, and falling, for a fifth of the steps."""


class Run(NamedTuple):
    """One student; losses are mean squared errors."""

    method: Annotated[str, ex.Key, ex.Panel]
    n_examples: Annotated[int, ex.Key]
    penalty_bits: Annotated[float, ex.Key, ex.Axis("penalty, bits a weight", "symlog")]
    seed: int
    nonzeros: Annotated[int, ex.MeanOverSeeds(), ex.Axis("nonzeros", "log"), ex.Column(shown=False)]
    train_loss: float | None
    validation_loss: float | None
    test_loss: Annotated[float | None, ex.MeanOverSeeds(), ex.Axis("test loss", "log"),
                         ex.Column(shown=False)]  # fmt: skip
    finite: bool
    recovered: bool
    """Whether it equals the teacher: equal normal forms within a tenth of the largest weight."""


class Best(NamedTuple):
    """Teacher and student.

    The penalty weight was chosen on validation. Losses are in excess of the noise's variance; mean
    ± standard deviation over seeds. Teachers are recovered where normal forms are equal within a
    tenth of the largest weight.
    """

    method: Annotated[str, ex.Key]
    n_examples: Annotated[int, ex.Key, ex.Column("N")]
    penalty_bits: Annotated[float, ex.Column("best penalty, bits a weight", "g")]
    nonzeros: Annotated[
        int, ex.MeanOverSeeds(), ex.Column("nonzeros (teacher: 72, student: 751)", ".0f")
    ]
    excess: Annotated[float, ex.MeanOverSeeds(), ex.Column("excess test loss", ".1e")]
    unpenalised: Annotated[float, ex.MeanOverSeeds(), ex.Column("without a penalty", ".1e")]
    share: Annotated[
        float, ex.Over(lambda shares: shares[0], "of that without a penalty"),
        ex.Column("share of it", ".2f"),
        # verify trains again, and long training on few examples is chaotic
        ex.Claim("pruning.teacher_student.{method}.excess_at_{n_examples}", tolerance=0.15,
                 when=lambda row: row.n_examples == 30),
    ]  # fmt: skip
    """The ratio of the means over seeds, equal in all rows."""
    recovered: Annotated[int, ex.Over(max), ex.Column("teachers recovered, at the best penalty")]
    seeds: int


def measure(config: Config, trials: list[tuple[str, int]], data: ex.Data) -> list[Run]:
    """Draw teachers and examples, train and prune students: all penalties, seeds in one program."""
    ((method, n_examples),) = trials
    one_run = teacher_student.pruning_run(
        config.setting, method, (n_examples, config.n_validation, config.n_test),
        steps=config.steps, fine_tune_steps=config.fine_tune_steps,
        batch_size=config.batch_size if n_examples > config.batch_size else None,
    )  # fmt: skip
    weights = units.bits_to_nats(np.asarray(config.penalties_bits)) / n_examples
    rate = config.learning_rate
    hyperparameters = METHODS[method].hyperparameters(rate, jnp.asarray(weights, jnp.float32))
    point = _three_phase.Point(hyperparameters, fine_tune_rate=rate)
    with Bar(f"{method}, N = {n_examples}") as bar:
        found = sweep(lambda key, point, _: one_run(key, point), point, config.seeds, progress=bar)
    runs = []
    for (p, penalty), (s, seed) in product(
        enumerate(config.penalties_bits), enumerate(config.seeds)
    ):
        one = jax.tree.map(lambda leaf, at=(p, s): leaf[at], found)
        metrics = {name: value.item() for name, value in one["metrics"].items()}
        same = metrics["finite"] and teacher_student.recovered(one["student"], one["teacher"])
        runs.append(Run(method, n_examples, penalty, seed, **metrics, recovered=bool(same)))
    return runs


def derive(record: ex.Record) -> list[Best]:
    """The penalty with the least mean validation loss of every method and N."""
    variance, found = record.config.setting.noise**2, []
    for (method, n), mine in rows.grouped(record.rows, lambda r: (r.method, r.n_examples)).items():
        by_penalty = rows.grouped(mine, lambda run: run.penalty_bits)
        finite = {p: runs for p, runs in by_penalty.items() if all(run.finite for run in runs)}
        best = min(finite, key=lambda p: np.mean([run.validation_loss for run in finite[p]]))
        recovered = max(sum(run.recovered for run in runs) for runs in by_penalty.values())
        excess, unpenalised = (
            [run.test_loss - variance for run in by_penalty[p]] for p in (best, 0.0)
        )
        share = float(np.mean(excess) / np.mean(unpenalised))
        labels = (share, recovered, len(excess))
        found += [
            Best(method, n, best, run.nonzeros, one, other, *labels)
            for run, one, other in zip(by_penalty[best], excess, unpenalised, strict=True)
        ]
    return found


def recompute(config: Config, row: Best, data: ex.Data) -> float:
    """Train all students of the claim again, with the best penalty and with none."""
    config = replace(config, penalties_bits=(0.0, row.penalty_bits))
    again = measure(config, [(row.method, row.n_examples)], data)
    unpenalised, best = (
        rows.mean_over_seeds(again, "test_loss", penalty_bits=p).mean - config.setting.noise**2
        for p in config.penalties_bits
    )
    return best / unpenalised


EXPERIMENT = ex.of_module(
    __name__,
    (Run, Best),
    {
        "paper": Config(),
        "smoke": Config(
            penalties_bits=(0, 1, 10),
            n_examples=(30,),
            seeds=(0, 1),
            steps=400,
            fine_tune_steps=100,
        ),
    },
    grid=lambda config: product(config.methods, config.n_examples),
    data="synthetic: teacher networks drawn from each seed, 1,000 validation and 5,000 test",
    free=("methods", "n_examples"),
)  # fmt: skip
