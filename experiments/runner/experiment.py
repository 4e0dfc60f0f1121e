"""An experiment: presets, a grid of trials, a measurement, and a row declared once.

From the declaration of a row follow its record, its table, its claims and its figure; see
docs/adding_an_experiment.md, which has a complete example.

The docstring's first line is the table's title, the rest its note. Fields without any mark are in
the record alone.
"""

import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.runner.folder import Data
from experiments.runner.tables import Table

__all__ = [
    "Across", "Artifact", "Axis", "Claim", "Column", "Data", "Experiment", "Key", "MeanOverSeeds",
    "Measurement", "Over", "Panel", "Record", "Table", "of_module",
]  # fmt: skip


class Key(NamedTuple):
    """Marks a field that names a condition; rows equal in all key fields differ in seed only."""


class Panel(NamedTuple):
    """Marks the key field each value of which has its own panel in the default figure."""


class Across(NamedTuple):
    """Marks the key field each value of which has columns of its own in the table."""


class Axis(NamedTuple):
    """Marks a field that the default figure shows: a key on x, a statistic on y.

    Statistics with the same label share a plot.
    """

    label: str
    """With the unit; also the column's heading."""
    scale: Literal["linear", "log", "log2", "symlog"] = "linear"
    x: bool = False
    """Of a statistic: it takes the place of the key, whose values run along the curve."""


class Column(NamedTuple):
    """Puts a field into the table, or says how; key and statistic fields are there anyhow."""

    heading: str | None = None
    """None takes the axis's label or the field's name."""
    format: str = ""
    """Of `format()`, such as `.4f` or `,.0f`; empty chooses by the value's type."""
    shown: bool = True


class Over(NamedTuple):
    """One number from the values of a group of rows; None among them is left out."""

    statistic: Callable[[Sequence[float]], float]
    """`max`, `np.median`, `len`, ..."""
    unit: str = ""
    spread: bool = False
    """Whether the sample standard deviation (ddof 1) of the values is given with it."""


def MeanOverSeeds(unit: str = "") -> Over:
    """Mean and sample standard deviation (ddof 1) over the rows of a group."""
    return Over(np.mean, unit, spread=True)


class Claim(NamedTuple):
    """A published number: the field's statistic over all rows with the same id."""

    id: str
    """A template such as `bitalloc.{mode}.{bits}`, filled from the row's fields and properties."""
    tolerance: float | None = None
    """How far a recomputed value may be from the claimed one."""
    when: Callable[[Any], bool] | None = None
    """Whether a row is part of the claim; all are if not given."""


class Artifact(NamedTuple):
    """Marks the path of a file, made with `Data.path`, that a claim about the row rests on.

    Of every claim the first row's files are published (that row's which attains it, for `max` and
    `min`), and read again by `recompute`.
    """

    publish: Callable[[Any], bool] | None = None
    """Whether a row's file is small enough for the repository; all are if not given."""


class Measurement(NamedTuple):
    """Rows, and what only a bespoke figure or table needs."""

    rows: Sequence[Any]
    extras: Mapping[str, Any] = {}
    """JSON; of several groups of trials, mappings are merged and lists are joined."""


@dataclass(frozen=True)
class Record:
    """A record read back: a JSON file in `results/<experiment>/`."""

    name: str
    """Of the file, without suffix: the preset."""
    preset: str
    config: Any
    """The experiment's configuration as it ran."""
    rows: tuple[Any, ...]
    """Typed; those that `derive` makes of the measured ones follow them."""
    extras: Mapping[str, Any]
    content: Mapping[str, Any]
    """The whole JSON."""

    def of(self, row_type: type) -> list[Any]:
        """The rows of one type."""
        return [row for row in self.rows if isinstance(row, row_type)]


def _by_seed(config: Any) -> Iterable[Any]:
    return ((seed,) for seed in config.seeds) if hasattr(config, "seeds") else ((),)


@dataclass(frozen=True)
class Experiment:
    """Everything that the runner has to know of an experiment.

    A module with one as `EXPERIMENT` is an experiment; its name is the module's. The module's
    docstring says in its first line what is reproduced, and has the lines `Cost:` and `Data:`.
    """

    rows: type | tuple[type, ...]
    """The `Row` (a NamedTuple with marks), or several, each with a table of its own."""
    presets: Mapping[str, Any]
    """Name -> frozen dataclass; the first is the default, `smoke` takes about a minute."""
    measure: Callable[[Any, list[Any], Data], Sequence[Any] | Measurement]
    """`measure(config, trials, data)`: the rows of trials that one compiled program can run."""
    grid: Callable[[Any], Iterable[Any]] = _by_seed
    """`grid(config)`: the trials, tuples or named tuples of plain values; if not given, one for
    each of `config.seeds`, or one where the configuration has none."""
    batch: Callable[[Any], Hashable] | None = None
    """`batch(trial)`: trials of equal value are measured in one call; else each alone."""
    derive: Callable[[Record], Sequence[Any]] | None = None
    """Rows that are made of a record's measured rows; computed, never stored."""
    recompute: Callable[[Any, Any, Data], Any] | None = None
    """`recompute(config, row, data)`: the claimed field again from the files of the row, whose
    paths are absolute; a mapping from field to value where several fields are claimed; what
    `measure` gives, of which the row with the same keys counts; None where it cannot be done
    now."""
    published: Sequence[Any] = ()
    """Rows of other people's results; they lead the table and are stars in the figure."""
    tables: Callable[[dict[str, Record]], list[Table]] | None = None
    """Instead of those that follow from the rows; records by name."""
    figures: Callable[[dict[str, Record]], dict[str, Any]] | None = None
    """Name -> matplotlib figure, instead of the one that follows from `Axis`."""
    report: Callable[[Record, Data], None] | None = None
    """Called when a run has ended, to show or write something of its own."""
    data: str | Callable[[Any], str] = lambda config: getattr(config, "data", "none")
    """What was measured on: names of data sets, separated by commas, or any text; the
    configuration's field `data` if not given."""
    notes: str = ""
    free: tuple[str, ...] = ("seeds",)
    """Configuration fields that only choose trials: a run's folder may be reused with others."""
    together: bool = False
    """One table and figure of the rows of all records, instead of one for each record."""
    headline: str = ""
    """Id of the claim that the index shows; the first if not given."""
    name: str = ""

    @property
    def row_types(self) -> tuple[type, ...]:
        """`rows` as a tuple."""
        return self.rows if isinstance(self.rows, tuple) else (self.rows,)

    @property
    def identifier(self) -> str:
        """The name on the command line and in `results/`."""
        return self.name or self.measure.__module__.rpartition(".")[2]


_FUNCTIONS = ("measure", "grid", "batch", "derive", "recompute", "tables", "figures", "report")


def of_module(
    module: str, rows: type | tuple[type, ...], presets: Mapping[str, Any], **others: Any
) -> Experiment:
    """The experiment of a module: its functions `measure`, `grid`, `derive`, ... by their names.

    `module` is its `__name__`; the other arguments are those of `Experiment`, and come first.
    """
    defined = vars(sys.modules[module])
    found = {each: defined[each] for each in _FUNCTIONS
             if getattr(defined.get(each), "__module__", None) == module}  # fmt: skip
    return Experiment(rows, presets, **{**found, **others})
