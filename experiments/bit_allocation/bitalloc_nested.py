"""More bits are never worse, and one nested message serves every budget.

For every budget a pixel model is fitted for it alone, with smaller budgets competing as they do by
default, and one nested pixel model of the largest budget sends its first bits. Falls of the
accuracy from one budget to the next are measured on the validation part and on test examples.
Mode `auto`, whose messages are nested by construction, is measured at the budgets below a class's
code, where a model fitted for a budget sends fewer classes.

Cost: goals: 45 min on 1 core; smoke: 30 s.
Data: wine, iris, breast cancer, moons, digits (embedded).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, NamedTuple

import jax
import numpy as np

import bitalloc
from bitalloc import api, inputs
from bitalloc.fitting import modes
from bitalloc.fitting.fit import FitConfig
from bitalloc.model import accuracy
from experiments.bit_allocation import bitalloc_sets
from experiments.runner import experiment as ex
from experiments.runner import rows as row_tools

SETTINGS = FitConfig(networks=False, restarts=1, swap_passes=1, fine_bits=0, lp_bits=0)
"""Without networks, the hinge program and the search on finer thresholds, to save time."""


@dataclass(frozen=True)
class Config:
    sets: tuple[str, ...] = ("wine", "iris", "breast_cancer", "moons", "digits")
    budgets: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    splits: int = 8
    n_images: int = 500


class Trial(NamedTuple):
    """One split of one data set in one mode."""

    data_set: str
    mode: str
    split: int


class Row(NamedTuple):
    """Accuracy of a nested message's first b bits, and of models fitted for b, over random splits.

    Networks and the hinge program were left out as decoders.
    """

    data_set: Annotated[str, ex.Key]
    mode: Annotated[str, ex.Key, ex.Panel]
    bits: Annotated[int, ex.Key, ex.Axis("bits sent", scale="log2")]
    alone_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("fitted for b, %")]
    nested_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Axis("test accuracy of a nested message, %")
    ]
    loss_points: Annotated[float, ex.MeanOverSeeds(""), ex.Column("loss, points", ".2f")]
    validation_percent: float
    split: int


class Worst(NamedTuple):
    """The data set, mode and budget where nested messages lose most."""

    data_set: Annotated[str, ex.Key]
    mode: Annotated[str, ex.Key]
    bits: Annotated[int, ex.Column("bits")]
    # One of the splits is fitted again by verify; some decisions may fall otherwise.
    loss_points: Annotated[
        float, ex.Over(max, "points"), ex.Column("loss, points", ".2f"),
        ex.Claim("bitalloc.nested.worst_loss_points", 0.5),
    ]  # fmt: skip
    losses: tuple[float, ...]
    """Of the splits, in order."""


class Fall(NamedTuple):
    """Where accuracy falls most from one budget to a larger one; models fitted for a budget."""

    where: Annotated[str, ex.Key]
    data_set: Annotated[str, ex.Column("data set")]
    mode: Annotated[str, ex.Column()]
    bits: Annotated[int, ex.Column("at bits")]
    fall_points: Annotated[
        float, ex.Over(max, "points"), ex.Column("fall, points", ".2f"),
        ex.Claim("bitalloc.monotone.worst_fall_points", 0.0, lambda row: row.where == "validation"),
        ex.Claim("bitalloc.monotone.worst_test_fall_points", 0.5, lambda row: row.where == "test"),
    ]  # fmt: skip
    falls: tuple[float, ...]
    """Of the splits, in order."""


def grid(config: Config) -> Iterator[Trial]:
    """Every data set and mode with every split, in turn."""
    for split in range(config.splits):
        for name in config.sets:
            for mode in ("pixel", "auto"):
                yield Trial(name, mode, split)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    (trial,) = trials
    key = jax.random.key(trial.split)
    drawn = bitalloc_sets.split(trial.data_set, trial.split, config.n_images, data)
    problem = api.problem(drawn.features, drawn.labels, key=key)
    (tested, _), truth = inputs.as_features(drawn.test_features), drawn.test_labels
    most = modes.features_total_bits(problem) if trial.mode == "pixel" else max(config.budgets)
    budgets = [bits for bits in config.budgets if bits <= most]
    nested = modes.fit(key, problem, trial.mode, budgets[-1], SETTINGS, nested=True)
    nested = bitalloc.from_bytes(bitalloc.to_bytes(nested))
    alone = modes.fit_budgets(key, problem, trial.mode, budgets, SETTINGS)
    rows = []
    for bits, model in zip(budgets, alone, strict=True):
        of_model = bitalloc.decode(model, bitalloc.encode(model, tested), len(truth))
        first = bitalloc.decode(nested, bitalloc.encode(nested, tested, bits), len(truth), bits)
        mine, shorter = (100 * float(np.mean(one == truth)) for one in (of_model, first))
        right = model.estimate
        if right is None:
            right = accuracy(model, *problem.validation)
        rows.append(
            Row(trial.data_set, trial.mode, bits, mine, shorter, mine - shorter, 100 * right,
                trial.split)
        )  # fmt: skip
    return rows


def derive(record: ex.Record) -> Sequence[Worst | Fall]:
    """The largest mean loss of nested messages, and the largest falls of single models."""
    rows = record.of(Row)
    groups = row_tools.grouped(rows, lambda row: (row.data_set, row.mode, row.bits))
    losses = {key: [row.loss_points for row in same] for key, same in groups.items()}
    worst = max(losses, key=lambda key: np.mean(losses[key]))
    found: list[Worst | Fall] = []
    found.append(
        Worst(worst[0], worst[1], worst[2], float(np.mean(losses[worst])), tuple(losses[worst]))
    )
    for where, name in (("validation", "validation_percent"), ("test", "alone_percent")):
        falls = {}
        for key, before, after in _neighbours(groups):
            pairs = zip(before, after, strict=True)
            falls[key] = [getattr(one, name) - getattr(other, name) for one, other in pairs]
        # On validation no split may fall; on test a single split is noise, and the mean counts.
        size = max if where == "validation" else np.mean
        key = max(falls, key=lambda one, s=size, f=falls: float(s(f[one])))
        most = max(0.0, float(size(falls[key])))
        found.append(Fall(where, key[0], key[1], key[2], most, tuple(falls[key])))
    return found


def _neighbours(groups):
    """(data set, mode, larger budget), its rows and those of the budget before."""
    for data_set, mode in dict.fromkeys(key[:2] for key in groups):
        budgets = sorted(key[2] for key in groups if key[:2] == (data_set, mode))
        for smaller, larger in pairwise(budgets):
            key = (data_set, mode, larger)
            yield key, groups[data_set, mode, smaller], groups[key]


def recompute(config: Config, row: Worst | Fall, data: ex.Data) -> float:
    """The first split of that data set and mode again."""
    again = measure(config, [Trial(row.data_set, row.mode, 0)], data)
    by_bits = {one.bits: one for one in again}
    if isinstance(row, Worst):
        return float(np.mean([by_bits[row.bits].loss_points, *row.losses[1:]]))
    before = max(bits for bits in by_bits if bits < row.bits)
    name = "validation_percent" if row.where == "validation" else "alone_percent"
    fall = getattr(by_bits[before], name) - getattr(by_bits[row.bits], name)
    falls = [fall, *row.falls[1:]]
    return max(0.0, max(falls) if row.where == "validation" else float(np.mean(falls)))


EXPERIMENT = ex.of_module(
    __name__,
    (Row, Worst, Fall),
    {
        "goals": Config(),
        "smoke": Config(("iris",), (1, 2, 4), 1),
    },
    data="digits",
    headline="bitalloc.nested.worst_loss_points",
    free=("sets", "splits"),
)
