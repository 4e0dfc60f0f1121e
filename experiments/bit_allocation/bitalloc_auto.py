"""Mode `auto` against trees and logistic regression, from exactly B bits on ten data sets.

Every data set is split at random; the fitted part is the same for both sides, and so is what they
choose on: `bitalloc.fit` with its defaults but for networks, which are left out to save time, and
the best of three usual ways (`bitalloc.fitting.rivals`), chosen on a random sixth of the fitted
part and then fitted to all of it. Messages are decoded from their bytes and the model's file.

Cost: goals: 60 min on 1 core; smoke: 30 s.
Data: mnist, fashion_mnist.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import jax
import numpy as np

import bitalloc
from bitalloc.fitting import modes, rivals
from bitalloc.fitting.fit import FitConfig
from bitalloc.model import accuracy
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


Trial = tuple[str, int]
"""Data set, split."""


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
                yield name, split


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    """Both sides on one split, all budgets."""
    ((name, seed),) = trials
    budgets = config.budgets
    problem, tested = bitalloc_sets.split(name, seed, config.n_images, data)
    models = modes.fit_budgets(jax.random.key(seed), problem, "auto", budgets, SETTINGS)
    others = rivals.best(problem.train, problem.validation, budgets, seed)
    rows = []
    for bits, model in zip(budgets, models, strict=True):
        content, rival = bitalloc.to_bytes(model), others[bits]
        ours = 100 * accuracy(bitalloc.from_bytes(content), *tested)
        theirs = 100 * float(np.mean(rival.predict(tested.features) == tested.labels))
        rows.append(Row(name, bits, ours, theirs, ours - theirs, len(content),
                        bitalloc_sets.KIND[name], rival.name, seed))  # fmt: skip
    return rows


def derive(record: ex.Record) -> Sequence[Worst]:
    """The smallest mean gain over all data sets, and over each kind."""
    found = []
    for among in ("all", *dict.fromkeys(bitalloc_sets.KIND.values())):
        groups = row_tools.grouped(row for row in record.of(Row) if among in ("all", row.kind))
        gains = {key: [row.gain_points for row in rows] for key, rows in groups.items()}
        if gains:
            found.append(Worst._make([among, *bitalloc_sets.extreme(gains, min)]))
    return found


def recompute(config: Config, row: Worst, data: ex.Data) -> float:
    """The first split of the worst data set and budget again."""
    (again,) = measure(replace(config, budgets=(row.bits,)), [(row.data_set, 0)], data)
    return float(np.mean([again.gain_points, *row.gains[1:]]))


EXPERIMENT = ex.of_module(
    __name__,
    (Row, Worst),
    {"goals": Config(), "smoke": Config(("iris", "moons"), (1, 4), 1)},
    data="mnist,fashion_mnist",
    headline="bitalloc.auto.worst_gain_points",
    free=("sets", "splits", "fewer_splits"),
)
