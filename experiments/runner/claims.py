"""Claims: the published numbers that follow from a record's rows, and the same recomputed."""

import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.runner import rows as row_tools
from experiments.runner.experiment import Claim, Data, Experiment, Over, Record, artifact_path
from experiments.runner.records import Claim as ClaimedNumber


class _Attributes(string.Formatter):
    """Fills a template with fields and properties of a row."""

    def get_value(self, key: Any, args: Sequence[Any], kwargs: Any) -> Any:
        return getattr(args[0], str(key))


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
        """The row whose file is the claim's: that which attains the statistic, or the first."""
        target = self.found.mean
        same = (r for r in self.rows if getattr(r, self.field.name) == target)
        return self.rows[0] if self._is_mean else next(same, self.rows[0])

    @property
    def _is_mean(self) -> bool:
        return self.field.over is None or self.field.over.statistic is np.mean

    def files(self) -> dict[str, Path]:
        """Field -> published file of the first row; the claim's own leads."""
        found: dict[str, Path] = {}
        row = self.first
        for name, field in row_tools.fields(type(row)).items():
            path, mark = getattr(row, name), field.artifact
            if mark and path is not None and (mark.publish is None or mark.publish(row)):
                found[name] = path
        own = self.mark.artifact
        return {own: found[own], **found} if own is not None and own in found else found


def groups(experiment: Experiment, record: Record) -> Iterator[Group]:
    """The rows of every claim of a record; none of a preset that claims nothing."""
    if record.preset in experiment.unclaimed:
        return
    for row_type in experiment.row_types:
        for field in row_tools.fields(row_type).values():
            for mark in field.claims:
                chosen = [r for r in record.of(row_type) if mark.when is None or mark.when(r)]
                chosen = [row for row in chosen if getattr(row, field.name) is not None]
                by_id = row_tools.grouped(
                    chosen, lambda row, m=mark: _Attributes().format(m.id, row)
                )
                for identifier, same in by_id.items():
                    yield Group(identifier, mark, field, same)


def of_record(experiment: Experiment, record: Record, files: Path) -> list[ClaimedNumber]:
    """The claims of a record.

    Args:
      experiment: with the marks.
      record: the rows.
      files: folder of the artefacts; their sizes are read from disk.

    Raises:
      FileNotFoundError: an artefact is missing.
    """
    claims = []
    for group in groups(experiment, record):
        found, first = group.found, group.first
        artifact = next(iter(group.files().values()), None)
        path = artifact_path(artifact, files)
        several = group.field.over is not None and group.field.over.spread
        claims.append(
            ClaimedNumber(
                id=group.id,
                value=found.mean,
                std=found.std,
                # A row that is itself made of several seeds has a field that says of how many.
                seeds=getattr(first, "seeds", found.count if several else 1),
                unit=group.field.over.unit if group.field.over else "",
                tolerance=group.mark.tolerance,
                bytes=None if path is None else path.stat().st_size,
                artifact=None if path is None else path.name,
                record=f"{experiment.identifier}/{record.name}.json",
                command=record.content["command"],
            )
        )
    return claims


def recomputed(
    experiment: Experiment, record: Record, identifier: str, data: Data, files: Path
) -> float | None:
    """A claimed number with its first row's value computed again; None where nothing can be.

    Args:
      experiment: with `recompute`.
      record: the claim's.
      identifier: of the claim.
      data: for `recompute`.
      files: folder of the artefacts.

    Raises:
      ValueError: the record has no such claim.
    """
    group = next((g for g in groups(experiment, record) if g.id == identifier), None)
    if group is None:
        raise ValueError(f"the record {record.name} has no rows for {identifier}")
    wanted = any(f.artifact for f in row_tools.fields(type(group.first)).values())
    if experiment.recompute is None or (wanted and not group.files()):
        return None
    first = group.first
    there = {name: artifact_path(path, files) for name, path in group.files().items()}
    again = experiment.recompute(record.config, first._replace(**there), data)
    if again is None:
        return None
    value = again if isinstance(again, int | float) else again[group.field.name]
    values = [value if row is first else getattr(row, group.field.name) for row in group.rows]
    return row_tools.summary(group.field.over or Over(np.mean), values).mean
