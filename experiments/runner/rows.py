"""What follows from the declaration of a row: JSON and back, groups, statistics, its table."""

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from experiments.runner import experiment as ex
from experiments.runner.folder import plain
from experiments.runner.tables import Table, number

T = TypeVar("T")


class OverSeeds(NamedTuple):
    """Mean, sample standard deviation (None of fewer than two seeds) and number of seeds."""

    mean: float
    std: float | None
    count: int


class Field(NamedTuple):
    """One field of a row with its marks."""

    name: str
    type: Any
    key: bool
    panel: bool
    across: bool
    axis: ex.Axis | None
    column: ex.Column | None
    over: ex.Over | None
    claims: tuple[ex.Claim, ...]
    artifact: ex.Artifact | None

    @property
    def heading(self) -> str:
        """Of the column."""
        if self.column and self.column.heading is not None:
            return self.column.heading
        if self.axis:
            return self.axis.label
        title = self.name.replace("_", " ")
        return f"{title}, {self.over.unit}" if self.over and self.over.unit else title

    @property
    def shown(self) -> bool:
        """Whether the table has it."""
        return self.column.shown if self.column else self.key or self.over is not None


@functools.cache
def fields(row_type: type) -> dict[str, Field]:
    """The fields of a row's type in their order, with the marks of their annotations."""
    found = {}
    # Functions inside the marks see the module's names only if these are given as globals.
    names = vars(sys.modules[row_type.__module__])
    hints = typing.get_type_hints(row_type, names, dict(vars(row_type)), include_extras=True)
    for name, hint in hints.items():
        marks = [m() if isinstance(m, type) else m for m in getattr(hint, "__metadata__", ())]
        bare = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        mean = _first(marks, ex.MeanOverSeeds)
        found[name] = Field(
            name,
            bare,
            _first(marks, ex.Key) is not None,
            _first(marks, ex.Panel) is not None,
            _first(marks, ex.Across) is not None,
            _first(marks, ex.Axis),
            _first(marks, ex.Column),
            ex.Over(np.mean, mean.unit, spread=True) if mean else _first(marks, ex.Over),
            tuple(m for m in marks if isinstance(m, ex.Claim)),
            _first(marks, ex.Artifact),
        )
    return found


def _first(marks: Iterable[Any], kind: type[T]) -> T | None:
    return next((mark for mark in marks if isinstance(mark, kind)), None)


def to_json(experiment: ex.Experiment, row: Any) -> dict[str, Any]:
    """A row for the record; with several row types, `row` says of which it is.

    Raises:
      TypeError: the experiment did not declare it.
    """
    if type(row) not in experiment.row_types:
        raise TypeError(f"{experiment.identifier} measured {row!r}, which is no declared row")
    names = {"row": type(row).__name__} if len(experiment.row_types) > 1 else {}
    return {**names, **plain(row)}


def from_json(experiment: ex.Experiment, content: Mapping[str, Any]) -> Any:
    """The typed row that `to_json` wrote; fields that it lacks are None."""
    kind = content.get("row", experiment.row_types[0].__name__)
    row_type = next(each for each in experiment.row_types if each.__name__ == kind)
    wanted = fields(row_type)
    return row_type(**{name: restore(f.type, content.get(name)) for name, f in wanted.items()})


def restore(hint: Any, value: Any) -> Any:
    """A JSON value as what its type says: dataclasses, named tuples, tuples and paths inside.

    Fields that a class does not have (any more) are left out, those that JSON lacks take their
    defaults.
    """
    if value is None:
        return None
    hint = getattr(hint, "__value__", hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return restore(arguments[0], value)
    if origin in (typing.Union, types.UnionType):
        several = [each for each in arguments if each is not type(None)]
        return restore(several[0], value) if len(several) == 1 else value
    if origin in (Literal, None) and not isinstance(hint, type):
        return value
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is ...:
            return tuple(restore(arguments[0], each) for each in value)
        return tuple(restore(h, each) for h, each in zip(arguments, value, strict=False))
    if origin is list:
        return [restore(arguments[0], each) for each in value]
    if origin is not None and isinstance(value, Mapping):
        return {name: restore(arguments[1], each) for name, each in value.items()}
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or hasattr(hint, "_fields")):
        hints = typing.get_type_hints(hint)
        if not isinstance(value, Mapping):  # a named tuple that was written as a list
            value = dict(zip(hints, value, strict=False))
        known = {name: each for name, each in value.items() if name in hints}
        return hint(**{name: restore(hints[name], each) for name, each in known.items()})
    return Path(value) if hint is Path else value


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


def table(row_type: type, rows: Sequence[Any], published: Sequence[Any] = ()) -> Table | None:
    """One line for each key, published rows first; None where the row shows no statistic.

    The title is the first line of the row's docstring, the note the rest of it.
    """
    columns = [field for field in fields(row_type).values() if field.shown]
    if not any(not field.key for field in columns):
        return None
    layout: list[tuple[Field, Any]] = [(field, None) for field in columns]
    keys = [field.name for field in fields(row_type).values() if field.key and not field.across]
    for across in (field for field in columns if field.across):
        values = grouped([*published, *rows], lambda row, name=across.name: getattr(row, name))
        several = sum(field.over is not None for field in columns) > 1
        layout = [
            (
                _titled(field, f"{field.heading}, {value}" if several else str(value)),
                (across, value),
            )
            if field.over
            else (field, None)
            for field, _ in layout
            if field is not across
            for value in (values if field.over else [None])
        ]
    lines = [
        tuple(_entry(field, _chosen(group, where)) for field, where in layout)
        for rows_of in (published, rows)
        for group in grouped(rows_of, lambda row: tuple(getattr(row, k) for k in keys)).values()
    ]
    title, _, note = inspect.cleandoc(row_type.__doc__ or row_type.__name__).partition("\n")
    note = "\n\n".join(" ".join(p.split()) for p in note.strip().split("\n\n"))
    return Table(title.rstrip("."), tuple(field.heading for field, _ in layout), lines, note)


def _titled(field: Field, heading: str) -> Field:
    return field._replace(column=(field.column or ex.Column())._replace(heading=heading))


def _chosen(rows: list[Any], where: tuple[Field, Any] | None) -> list[Any]:
    if where is None:
        return rows
    return [row for row in rows if getattr(row, where[0].name) == where[1]]


def _entry(field: Field, rows: Sequence[Any]) -> str:
    form = field.column.format if field.column else ""
    values = [value for value in (getattr(row, field.name) for row in rows) if value is not None]
    if not values:
        return ""
    if field.over:
        found = of_rows(field, rows)
        if field.over.spread and not form:
            form = ",.2f"
        spread = "" if found.std is None else f" ± {found.std:{form or ',.3g'}}"
        return (f"{found.mean:{form}}" if form else number(found.mean)) + spread
    different = list(dict.fromkeys(values))
    if len(different) > 1 and all(isinstance(v, int | float) for v in different):
        different = [float(np.mean(values))]
    return "/".join(sorted(_text(value, form) for value in different))


def _text(value: Any, form: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:{form}}" if form else number(value)
    return f"{value:{form}}" if form else str(value)
