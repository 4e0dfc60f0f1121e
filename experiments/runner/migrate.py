"""Rewrite an experiment's published records to version 2, once.

    python -m experiments.runner.migrate NAME module:function

`function(records)` is given the JSON of all old records by name, and returns a `Migrated` for each
new one, by its name, which is that of its preset. Claims of the new records replace the old ones in
`results/claims.json`; what differs is printed.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.runner import claims, registry, rows
from experiments.runner.experiment import Experiment
from experiments.runner.folder import plain, write_json
from experiments.runner.records import RESULTS, Claim, read_claims, write_claims_file
from experiments.runner.run import SCHEMA, published_files


class Migrated(NamedTuple):
    """What a record becomes."""

    rows: Sequence[Any]
    """Typed, as `measure` would give them; paths of artefacts need only their names."""
    extras: Mapping[str, Any] = {}
    config: Any = None
    """The configuration (dataclass or mapping) in today's fields; the old one if None."""
    of: str | None = None
    """The old record whose seeds, time, data and environment it takes; that of its name if None."""
    preset: str | None = None
    """As before if None."""
    command: str | None = None
    """The line that would make it today; as before if None."""
    notes: str | None = None


Convert = Callable[[dict[str, dict[str, Any]]], Mapping[str, Migrated]]


def migrate(experiment: Experiment, convert: Convert, results: Path = RESULTS) -> list[str]:
    """Rewrite `results/<experiment>/*.json` and its claims; returns what differs in the claims."""
    folder = results / experiment.identifier
    before = read_claims(results / "claims.json")
    mine = {i: c for i, c in before.items() if c.record.startswith(f"{experiment.identifier}/")}
    found: list[Claim] = []
    records: dict[str, dict[str, Any]] = {}
    old = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    if all(content.get("schema") == SCHEMA for content in old.values()):
        return ["nothing to migrate"]
    for name, migrated in convert(old).items():
        new = of_old(experiment, old[migrated.of or name], migrated)
        record = rows.record_from(experiment, name, new)
        files = published_files(experiment, record)
        new["artifacts"] = {each: (results / "artifacts" / each).stat().st_size for each in files}
        records[name] = new
        found += claims.of_record(experiment, record, results / "artifacts")
    for name in old.keys() - records.keys():
        (folder / f"{name}.json").unlink()
    for name, content in records.items():
        write_json(folder / f"{name}.json", content)
    others = [claim for i, claim in before.items() if i not in mine]
    write_claims_file(results / "claims.json", [*others, *found])
    return differences(mine, {claim.id: claim for claim in found})


def of_old(experiment: Experiment, old: dict[str, Any], migrated: Migrated) -> dict[str, Any]:
    """The JSON of version 2 that takes over what an old record says of its run."""
    seconds = old["seconds"]
    return {
        "schema": SCHEMA,
        "experiment": experiment.identifier,
        "preset": migrated.preset or old["preset"],
        "command": migrated.command or old["command"],
        "config": old["config"] if migrated.config is None else plain(migrated.config),
        "seeds": old["seeds"],
        "seconds": seconds["compile"] + seconds["run"],
        "rows": [rows.to_json(experiment, row) for row in migrated.rows],
        "extras": plain(migrated.extras),
        "data": old["data"],
        "notes": old["notes"] if migrated.notes is None else migrated.notes,
        "artifacts": {},
        "environment": old["environment"],
    }


def differences(before: Mapping[str, Claim], after: Mapping[str, Claim]) -> list[str]:
    """One line for every claim that is gone, new or another number; last digits may differ."""
    lines = [f"{identifier}: gone" for identifier in before.keys() - after.keys()]
    lines += [f"{identifier}: new" for identifier in after.keys() - before.keys()]
    for identifier in before.keys() & after.keys():
        old, new = before[identifier], after[identifier]
        for field in ("value", "std", "seeds", "unit", "bytes", "artifact", "tolerance"):
            one, other = getattr(old, field), getattr(new, field)
            if not _same(one, other):
                lines.append(f"{identifier}: {field} {one} -> {other}")
    return sorted(lines)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= 1e-12 * max(abs(one), abs(other))
    return one == other


if __name__ == "__main__":
    _name, _function = sys.argv[1:]
    _module, _, _attribute = _function.partition(":")
    _convert = getattr(importlib.import_module(_module), _attribute)
    print("\n".join(migrate(registry.get(_name).EXPERIMENT, _convert)) or "every claim is the same")
