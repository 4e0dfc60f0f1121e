"""What follows from the declaration of a row: JSON and back, groups, statistics, its table."""

import dataclasses
import functools
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from experiments.runner import experiment as ex
from experiments.runner.tables import Table, number
from fewbits.io.json_files import plain, restore

T = TypeVar("T")


class OverSeeds(NamedTuple):
    """Mean, sample standard deviation (None of fewer than two seeds) and number of seeds."""

    mean: float
    std: float | None
    count: int


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a row with its marks."""

    name: str
    hint: Any
    """Its type."""
    marks: tuple[Any, ...]

    def mark(self, kind: type[T]) -> T | None:
        """Its mark of one kind."""
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)

    @property
    def key(self) -> bool:
        """Whether it names a condition."""
        return self.mark(ex.Key) is not None

    @property
    def axis(self) -> ex.Axis | None:
        """Of the default figure."""
        return self.mark(ex.Axis)

    @property
    def over(self) -> ex.Over | None:
        """Its statistic."""
        return self.mark(ex.Over)

    @property
    def artifact(self) -> ex.Artifact | None:
        """Whether it is a file's path."""
        return self.mark(ex.Artifact)

    @property
    def column(self) -> ex.Column:
        """How the table has it, if at all."""
        return self.mark(ex.Column) or ex.Column(shown=self.key or self.over is not None)

    @property
    def heading(self) -> str:
        """Of the column."""
        unit = f", {self.over.unit}" if self.over and self.over.unit else ""
        other = self.axis.label if self.axis else self.name.replace("_", " ") + unit
        return other if self.column.heading is None else self.column.heading


@functools.cache
def fields(row_type: type) -> dict[str, Field]:
    """The fields of a row's type in their order, with the marks of their annotations."""
    # Functions inside the marks see the module's names only if these are given as globals.
    names = vars(sys.modules[row_type.__module__])
    hints = typing.get_type_hints(row_type, names, dict(vars(row_type)), include_extras=True)
    found = {}
    for name, hint in hints.items():
        marks = tuple(m() if isinstance(m, type) else m for m in getattr(hint, "__metadata__", ()))
        found[name] = Field(name, typing.get_args(hint)[0] if marks else hint, marks)
    return found


def to_json(experiment: ex.Experiment, row: Any) -> dict[str, Any]:
    """A row for the record; with several row types, `row` says of which it is.

    Raises:
      TypeError: the experiment did not declare it.
    """
    if type(row) not in experiment.row_types:
        raise TypeError(f"{experiment.identifier} measured {row!r}, which is no declared row")
    names = {"row": type(row).__name__} if len(experiment.row_types) > 1 else {}
    # Where a run's files lie is the machine's business.
    values = {n: v.name if isinstance(v, Path) else v for n, v in row._asdict().items()}
    return {**names, **plain(values)}


def from_json(experiment: ex.Experiment, content: Mapping[str, Any]) -> Any:
    """The typed row that `to_json` wrote; fields that it lacks are None."""
    kind = content.get("row", experiment.row_types[0].__name__)
    row_type = next(each for each in experiment.row_types if each.__name__ == kind)
    wanted = fields(row_type)
    return row_type(**{name: restore(f.hint, content.get(name)) for name, f in wanted.items()})


def record_from(experiment: ex.Experiment, name: str, content: Mapping[str, Any]) -> ex.Record:
    """The record of a JSON file of version 2, with its derived rows.

    Raises:
      ValueError: it is of another version.
    """
    if content.get("schema") != 2:
        raise ValueError(f"the record {name} of {experiment.identifier} has not been migrated")
    config_type = type(next(iter(experiment.presets.values())))
    config = restore(config_type, content["config"])
    measured = tuple(from_json(experiment, row) for row in content["rows"])
    record = ex.Record(name, content["preset"], config, measured, content["extras"], content)
    if experiment.derive is None:
        return record
    return dataclasses.replace(record, rows=(*measured, *experiment.derive(record)))


def key_of(row: Any) -> tuple[Any, ...]:
    """The values of the key fields."""
    return tuple(getattr(row, f.name) for f in fields(type(row)).values() if f.key)


def grouped(rows: Iterable[T], key: Callable[[T], Any] = key_of) -> dict[Any, list[T]]:
    """Rows by key, in the order in which the keys come."""
    groups: dict[Any, list[T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def summary(over: ex.Over, values: Sequence[float | None]) -> OverSeeds:
    """The statistic of the values that there are, their deviation if asked for, and their count."""
    found = np.array([value for value in values if value is not None], float)
    if not found.size:
        return OverSeeds(float("nan"), None, 0)
    spread = float(found.std(ddof=1)) if over.spread and found.size > 1 else None
    return OverSeeds(float(over.statistic(found)), spread, int(found.size))  # type: ignore


def of_rows(field: Field, rows: Sequence[Any]) -> OverSeeds:
    """`summary` of one field of a group; a field without a statistic takes the mean."""
    return summary(field.over or ex.Over(np.mean), [getattr(row, field.name) for row in rows])


def mean_over_seeds(rows: Iterable[Any], field: str, **keys: Any) -> OverSeeds:
    """Mean, deviation (ddof 1) and count of a field over the rows with these values of others."""
    same = (r for r in rows if all(getattr(r, name) == value for name, value in keys.items()))
    return summary(ex.Over(np.mean, spread=True), [getattr(row, field) for row in same])


def tables(experiment: ex.Experiment, record: ex.Record) -> list[Table]:
    """Those of all row types that show something."""
    found = []
    for row_type in experiment.row_types:
        published = [row for row in experiment.published if isinstance(row, row_type)]
        of_type = table(row_type, record.of(row_type), published)
        if of_type and of_type.rows:
            found.append(of_type)
    return found


def table(row_type: type, rows: Sequence[Any], published: Sequence[Any] = ()) -> Table | None:
    """One line for each key, published rows first; None where the row shows no statistic.

    Keys that only run along a figure's axis, and are no column, do not count.

    The title is the first line of the row's docstring, the note the rest of it.
    """
    columns = [field for field in fields(row_type).values() if field.column.shown]
    if all(field.key for field in columns):
        return None
    across = next((field for field in columns if field.mark(ex.Across) is not None), None)
    layout: list[tuple[str, Field, Any]] = []
    for field in columns:
        if across is None or not (field.over or field is across):
            layout.append((field.heading, field, None))
        elif field is not across:
            several = sum(field.over is not None for field in columns) > 1
            for value in grouped([*published, *rows], lambda row: getattr(row, across.name)):
                heading = f"{field.heading}, {value}" if several else str(value)
                layout.append((heading, field, value))

    def entry(same: list[Any], field: Field, value: Any) -> str:
        if value is not None and across is not None:
            same = [row for row in same if getattr(row, across.name) == value]
        return _entry(field, same)

    keys = [f.name for f in fields(row_type).values()
            if f.key and f is not across and (f.column.shown or not f.axis)]  # fmt: skip
    lines = [
        tuple(entry(same, field, value) for _, field, value in layout)
        for rows_of in (published, rows)
        for same in grouped(rows_of, lambda row: tuple(getattr(row, k) for k in keys)).values()
    ]
    title, _, note = inspect.cleandoc(row_type.__doc__ or row_type.__name__).partition("\n")
    note = "\n\n".join(" ".join(p.split()) for p in note.strip().split("\n\n"))
    return Table(title.rstrip("."), tuple(heading for heading, _, _ in layout), lines, note)


def _entry(field: Field, rows: Sequence[Any]) -> str:
    form = field.column.format
    values = [value for value in (getattr(row, field.name) for row in rows) if value is not None]
    if not values:
        return ""
    if field.over:
        found = of_rows(field, rows)
        form = form or (",.2f" if field.over.spread else "")
        spread = "" if found.std is None else f" ± {found.std:{form}}"
        return _text(found.mean, form) + spread
    different = list(dict.fromkeys(values))
    if len(different) > 1 and all(isinstance(v, int | float) for v in different):
        different = [float(np.mean(values))]
    first, *others = sorted(_text(value, form) for value in different)
    return "/".join([first, *others]) if len(others) < 4 else f"{first} and {len(others)} more"


def _text(value: Any, form: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if form:
        return f"{value:{form}}"
    return number(value) if isinstance(value, int | float) else str(value)
