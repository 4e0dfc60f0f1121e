"""Mode `auto` against trees and logistic regression, from exactly B bits on ten data sets.

Every data set is split at random; the fitted part is the same for both sides, and so is what they
choose on: `bitalloc.fit` with its defaults but for networks, which are left out to save time, and
the best of three usual ways (`bitalloc.fitting.rivals`), chosen on a random sixth of the fitted
part and then fitted to all of it. Messages are decoded from their bytes and the model's file.

Cost: goals: 60 min on 1 core; smoke: 30 s.
Data: mnist, fashion_mnist.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import numpy as np

import bitalloc
from bitalloc import api, inputs
from bitalloc.fitting import modes, rivals
from bitalloc.fitting.fit import FitConfig
from experiments.bit_allocation import bitalloc_sets
from experiments.runner import experiment as ex
from experiments.runner import rows as row_tools

SETTINGS = FitConfig(networks=False)


@dataclass(frozen=True)
class Config:
    sets: tuple[str, ...] = tuple(bitalloc_sets.KIND)
    budgets: tuple[int, ...] = (2, 4, 8, 16, 32, 160)
    splits: int = 20
    fewer_splits: tuple[tuple[str, int], ...] = (
        ("cover", 5), ("digits", 5), ("mnist", 5), ("fashion_mnist", 3),
    )  # fmt: skip
    """Of data sets whose trials take longest."""
    n_images: int = 500


class Trial(NamedTuple):
    """One split of one data set."""

    data_set: str
    split: int


class Row(NamedTuple):
    """Test accuracy from exactly B bits, mode `auto` and the best rival, mean over random splits.

    Networks were left out of mode `auto`.
    """

    data_set: Annotated[str, ex.Key]
    bits: Annotated[int, ex.Key, ex.Axis("bits per example", scale="log2")]
    auto_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Axis("test accuracy, %")]
    rival_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("best rival, %")]
    gain_points: Annotated[float, ex.MeanOverSeeds(""), ex.Column("gain, points", ".2f")]
    model_bytes: Annotated[int, ex.Over(np.median, "bytes"), ex.Column("model, bytes", ",.0f")]
    kind: str
    rival: str
    split: int


class Worst(NamedTuple):
    """The data set and budget where mode `auto` gains least over the best rival."""

    among: Annotated[str, ex.Key]
    data_set: Annotated[str, ex.Column("data set")]
    bits: Annotated[int, ex.Column("bits")]
    # Of one of up to twenty splits, which verify fits again, some decisions may fall otherwise.
    gain_points: Annotated[
        float, ex.Over(min, "points"), ex.Column("gain, points", ".2f"),
        ex.Claim("bitalloc.auto.worst_gain_points", 0.2, lambda row: row.among == "all"),
        ex.Claim("bitalloc.auto.worst_gain_images_points", 0.5, lambda row: row.among == "images"),
    ]  # fmt: skip
    gains: tuple[float, ...]
    """Of the splits, in order."""


def grid(config: Config) -> Iterator[Trial]:
    """Every data set with every split, in turn, so that a run cut short has some of all."""
    for split in range(config.splits):
        for name in config.sets:
            if split < dict(config.fewer_splits).get(name, config.splits):
                yield Trial(name, split)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    """Both sides on one split, all budgets."""
    (trial,) = trials
    drawn = bitalloc_sets.split(trial.data_set, trial.split, config.n_images, data)
    return compare(drawn, trial, config.budgets)


def compare(drawn: bitalloc_sets.Split, trial: Trial, budgets: tuple[int, ...]) -> list[Row]:
    """Rows of one split."""
    key = jax.random.key(trial.split)
    problem = api.problem(drawn.features, drawn.labels, key=key)
    tested, _ = inputs.as_features(drawn.test_features)
    truth = inputs.class_numbers(drawn.test_labels, problem.classes)
    models = modes.fit_budgets(key, problem, "auto", budgets, SETTINGS)
    others = rivals.best(problem.train, problem.validation, budgets, trial.split)
    rows = []
    for bits, model in zip(budgets, models, strict=True):
        content = bitalloc.to_bytes(model)
        received = bitalloc.from_bytes(content)
        messages = bitalloc.encode(model, tested)
        if len(messages) != -(-bits * len(truth) // 8):
            raise ValueError(f"{len(messages)} bytes for {len(truth)} messages of {bits} bits")
        decoded = bitalloc.decode(received, messages, len(truth))
        ours = 100 * float(np.mean(decoded == np.array(problem.classes)[truth]))
        theirs = 100 * float(np.mean(others[bits].predict(tested) == truth))
        kind = bitalloc_sets.KIND[trial.data_set]
        rows.append(
            Row(trial.data_set, bits, ours, theirs, ours - theirs, len(content), kind,
                others[bits].name, trial.split)
        )  # fmt: skip
    return rows


def derive(record: ex.Record) -> Sequence[Worst]:
    """The smallest mean gain over all data sets, and over each kind."""
    found = []
    for among in ("all", *dict.fromkeys(bitalloc_sets.KIND.values())):
        chosen = [row for row in record.of(Row) if among in ("all", row.kind)]
        groups = row_tools.grouped(chosen, lambda row: (row.data_set, row.bits))
        means = {key: np.mean([row.gain_points for row in rows]) for key, rows in groups.items()}
        if means:
            key = min(means, key=lambda one: means[one])
            gains = tuple(row.gain_points for row in groups[key])
            found.append(Worst(among, key[0], key[1], float(means[key]), gains))
    return found


def recompute(config: Config, row: Worst, data: ex.Data) -> float:
    """The first split of the worst data set and budget again."""
    drawn = bitalloc_sets.split(row.data_set, 0, config.n_images, data)
    (again,) = compare(drawn, Trial(row.data_set, 0), (row.bits,))
    return float(np.mean([again.gain_points, *row.gains[1:]]))


EXPERIMENT = ex.of_module(
    __name__,
    (Row, Worst),
    {
        "goals": Config(),
        "smoke": Config(("iris", "moons"), (1, 4), 1),
    },
    data="mnist,fashion_mnist",
    headline="bitalloc.auto.worst_gain_points",
    free=("sets", "splits", "fewer_splits"),
)
