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
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

import bitalloc
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


Trial = tuple[str, str, int]
"""Data set, mode, split."""


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
    pairs = [(name, mode) for name in config.sets for mode in ("pixel", "auto")]
    return ((*pair, split) for split in range(config.splits) for pair in pairs)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    ((name, mode, seed),) = trials
    problem, tested = bitalloc_sets.split(name, seed, config.n_images, data)
    key = jax.random.key(seed)
    most = modes.features_total_bits(problem) if mode == "pixel" else max(config.budgets)
    budgets = [bits for bits in config.budgets if bits <= most]
    nested = modes.fit(key, problem, mode, budgets[-1], SETTINGS, nested=True)
    nested = bitalloc.from_bytes(bitalloc.to_bytes(nested))
    rows = []
    for bits, model in zip(
        budgets, modes.fit_budgets(key, problem, mode, budgets, SETTINGS), strict=True
    ):
        mine, first = 100 * accuracy(model, *tested), 100 * accuracy(nested, *tested, bits)
        right = accuracy(model, *problem.validation) if model.estimate is None else model.estimate
        rows.append(Row(name, mode, bits, mine, first, mine - first, 100 * right, seed))
    return rows


FALLS = {"validation": ("validation_percent", max), "test": ("alone_percent", np.mean)}
"""Where -> the field, and what counts of the splits: on validation no split may fall; on test a
single split is noise."""


def derive(record: ex.Record) -> Sequence[Worst | Fall]:
    """The largest mean loss of nested messages, and the largest falls of single models."""
    groups = row_tools.grouped(record.of(Row))
    losses = {key: [row.loss_points for row in same] for key, same in groups.items()}
    found: list[Worst | Fall] = [Worst._make(bitalloc_sets.extreme(losses, max))]
    for where, (name, size) in FALLS.items():
        falls = {key: _falls(*pair, name) for key, pair in _neighbours(groups).items()}
        most = Fall._make([where, *bitalloc_sets.extreme(falls, max, size)])
        found.append(most._replace(fall_points=max(0.0, most.fall_points)))
    return found


def _neighbours(groups: dict[Any, list[Row]]) -> dict[Any, tuple[list[Row], list[Row]]]:
    """(data set, mode, larger budget) -> the rows of the budget before, and its own."""
    pairs = pairwise(groups)
    return {key: (groups[one], groups[key]) for one, key in pairs if one[:2] == key[:2]}


def _falls(before: list[Row], after: list[Row], name: str) -> tuple[float, ...]:
    pairs = zip(before, after, strict=True)
    return tuple(getattr(one, name) - getattr(other, name) for one, other in pairs)


def recompute(config: Config, row: Worst | Fall, data: ex.Data) -> float:
    """The first split of that data set and mode again."""
    again = row_tools.grouped(measure(config, [(row.data_set, row.mode, 0)], data))
    key = (row.data_set, row.mode, row.bits)
    if isinstance(row, Worst):
        return float(np.mean([again[key][0].loss_points, *row.losses[1:]]))
    name, size = FALLS[row.where]
    fall = _falls(*_neighbours(again)[key], name)
    return max(0.0, float(size([*fall, *row.falls[1:]])))


EXPERIMENT = ex.of_module(
    __name__,
    (Row, Worst, Fall),
    {"goals": Config(), "smoke": Config(("iris",), (1, 2, 4), 1)},
    data="digits",
    headline="bitalloc.nested.worst_loss_points",
    free=("sets", "splits"),
)
