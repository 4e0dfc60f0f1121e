"""Claims: the published numbers that follow from a record's rows, and the same recomputed."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.runner import rows as row_tools
from experiments.runner.experiment import Claim, Data, Experiment, Measurement, Over, Record
from experiments.runner.records import Claim as ClaimedNumber


class Group(NamedTuple):
    """All rows that one claim rests on."""

    id: str
    mark: Claim
    field: row_tools.Field
    rows: list[Any]

    @property
    def found(self) -> row_tools.OverSeeds:
        """The claimed number."""
        return row_tools.of_rows(self.field, self.rows)

    @property
    def first(self) -> Any:
        """The row whose files are the claim's: that which attains it, of a mean the first."""
        if self.field.over is None or self.field.over.statistic is np.mean:
            return self.rows[0]
        target = self.found.mean
        same = (row for row in self.rows if getattr(row, self.field.name) == target)
        return next(same, self.rows[0])

    def files(self) -> dict[str, Path]:
        """Field -> published file of the first row; the first is the claim's."""
        found: dict[str, Path] = {}
        for name, field in row_tools.fields(type(self.first)).items():
            path, mark = getattr(self.first, name), field.artifact
            if mark and path is not None and (mark.publish is None or mark.publish(self.first)):
                found[name] = path
        return found


def groups(experiment: Experiment, record: Record) -> Iterator[Group]:
    """The rows of every claim of a record; `smoke` claims nothing."""
    if record.preset == "smoke":
        return
    for row_type in experiment.row_types:
        for field in row_tools.fields(row_type).values():
            for mark in (mark for mark in field.marks if isinstance(mark, Claim)):
                chosen = [row for row in record.of(row_type) if mark.when is None or mark.when(row)]
                chosen = [row for row in chosen if getattr(row, field.name) is not None]
                by_id = row_tools.grouped(chosen, lambda row, m=mark: _filled(m.id, row))
                for identifier, same in by_id.items():
                    yield Group(identifier, mark, field, same)


def _filled(template: str, row: Any) -> str:
    """With fields and properties of a row in place of their names in braces."""
    return template.format_map(
        {name: getattr(row, name) for name in re.findall(r"{(\w+)", template)}
    )


def of_record(experiment: Experiment, record: Record, files: Path) -> list[ClaimedNumber]:
    """The claims of a record; sizes of the artefacts are those of the files in a folder.

    Raises:
      FileNotFoundError: an artefact is missing.
    """
    claims = []
    for group in groups(experiment, record):
        found, over = group.found, group.field.over or Over(np.mean)
        name = next((path.name for path in group.files().values()), None)
        claims.append(
            ClaimedNumber(
                id=group.id,
                value=found.mean,
                std=found.std,
                # A row that is itself made of several seeds has a field that says of how many.
                seeds=getattr(group.first, "seeds", found.count if over.spread else 1),
                unit=over.unit,
                tolerance=group.mark.tolerance,
                bytes=None if name is None else (files / name).stat().st_size,
                artifact=name,
                record=f"{experiment.identifier}/{record.name}.json",
                command=record.content["command"],
            )
        )
    return claims


def recomputed(
    experiment: Experiment, record: Record, identifier: str, data: Data, files: Path
) -> float | None:
    """A claimed number with its first row's value computed again; None where nothing can be.

    Raises:
      ValueError: the record has no such claim.
    """
    group = next((g for g in groups(experiment, record) if g.id == identifier), None)
    if group is None:
        raise ValueError(f"the record {record.name} has no rows for {identifier}")
    first, name = group.first, group.field.name
    wanted = any(field.artifact for field in row_tools.fields(type(first)).values())
    if experiment.recompute is None or (wanted and not group.files()):
        return None
    there = {field: files / path.name for field, path in group.files().items()}
    again = experiment.recompute(record.config, first._replace(**there), data)
    if isinstance(again, Measurement | Sequence):
        measured = again.rows if isinstance(again, Measurement) else again
        key = row_tools.key_of(first)
        again = next(row for row in measured if row_tools.key_of(row) == key)._asdict()
    if again is None:
        return None
    value = again if isinstance(again, int | float) else again[name]
    same = [first._replace(**{name: value}) if row is first else row for row in group.rows]
    return row_tools.of_rows(group.field, same).mean
