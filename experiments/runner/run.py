"""Run an experiment: its trials with cache and resume, its record, files and claims."""

import hashlib
import json
import re
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from experiments.runner import claims, rows
from experiments.runner.experiment import Data, Experiment, Measurement, Record
from experiments.runner.folder import RunError, check_settings, locked
from experiments.runner.records import environment, write_claims_file
from experiments.runner.tables import aligned
from fewbits.io import datasets
from fewbits.io.json_files import file_digest, plain, read_checked, write_checked, write_json
from fewbits.training.parallel import processes

SCHEMA = 2
"""Version of the records' fields; see results/README.md."""


def run(
    experiment: Experiment,
    preset: str,
    config: Any = None,
    *,
    folder: Path,
    data_dir: str | None = None,
    command: str | None = None,
    distributed: str | None = None,
) -> Record | None:
    """Measure all trials that the folder does not hold yet, and write record, files and claims.

    Args:
      experiment: what to run.
      preset: name of the preset, and of the record.
      config: instead of the preset's own.
      folder: of the run; a run that was cut off goes on in its own.
      data_dir: folder of prepared TFDS data sets.
      command: the line that makes this record again.
      distributed: this is one of several processes; see `parallel.processes.joined`.

    Returns:
      The record; None in all but the first of several processes.

    Raises:
      RunError: the folder is in use, damaged, or of a run with other settings.
    """
    config = experiment.presets[preset] if config is None else config
    several = nullcontext(processes.ALONE)
    if distributed is not None:
        several = processes.joined(folder, distributed)
    with several as job, locked(folder) if job.is_first else nullcontext():
        name = experiment.identifier
        if job.is_first:
            settings = {"experiment": name, **plain(config)}
            check_settings(folder, settings, experiment.free)
        job.begin()
        data, trials = Data(folder, data_dir), list(experiment.grid(config))
        groups = [[trial] for trial in trials]
        if experiment.batch is not None:
            groups = list(rows.grouped(trials, experiment.batch).values())
        done = [_measured(experiment, config, group, data) for group in job.share(groups)]
        job.wait_for_others()
        if not job.is_first:
            return None
        if job.count > 1:
            done = [_measured(experiment, config, group, data) for group in groups]
        seed = [config.seed] if hasattr(config, "seed") else []
        content = {
            "schema": SCHEMA,
            "experiment": name,
            "preset": preset,
            "command": command or shlex.join(["python", "-m", "experiments", name, preset]),
            "config": plain(config),
            "seeds": list(getattr(config, "seeds", seed)),
            "seconds": sum(each["seconds"] for each in done),
            "rows": [row for each in done for row in each["rows"]],
            "extras": _merged([each["extras"] for each in done]),
            "data": data_note(experiment, config),
            "notes": experiment.notes,
            "artifacts": {},
            "environment": environment(),
        }
        return _finish(experiment, preset, content, data)


def data_note(experiment: Experiment, config: Any) -> str:
    """What was measured on, in words."""
    text = experiment.data(config) if callable(experiment.data) else experiment.data
    names = [name.strip() for name in text.split(",")]
    if all(name in datasets.SOURCES for name in names):
        return "; ".join(datasets.SOURCES[name].note for name in names)
    return text


def _finish(experiment: Experiment, preset: str, content: dict[str, Any], data: Data) -> Record:
    """Write the record, copy the files that claims rest on, write the claims, show the tables."""
    folder, files = data.folder, data.folder / "files"
    record = rows.record_from(experiment, preset, content)
    groups = claims.groups(experiment, record)
    names = sorted({path.name for group in groups for path in group.files().values()})
    content["artifacts"] = {name: (files / name).stat().st_size for name in names}
    # One folder holds one run: records of a preset it was used for before would be published.
    for old in ("artifacts", "records"):
        shutil.rmtree(folder / old, ignore_errors=True)
    for name in names:
        (folder / "artifacts").mkdir(exist_ok=True)
        shutil.copyfile(files / name, folder / "artifacts" / name)
    write_json(folder / "records" / f"{preset}.json", content)
    write_claims_file(folder / "claims.json", claims.of_record(experiment, record, files))
    for table in rows.tables(experiment, record):
        print(f"\n{table.title}\n{aligned([table.columns, *table.rows])}")
    if experiment.report:
        experiment.report(record, data)
    return record


def _measured(experiment: Experiment, config: Any, trials: list[Any], data: Data) -> dict[str, Any]:
    """What was measured for a group of trials, from the folder where it is whole."""
    first = trials[0] if isinstance(trials[0], tuple) else (trials[0],)
    more = f" and {len(trials) - 1} more" if len(trials) > 1 else ""
    title = " ".join(map(str, first)) + more if first else "all"
    # A file name that tells groups of trials apart and lets a reader guess which it is.
    digest = hashlib.sha256(json.dumps(plain(trials)).encode()).hexdigest()[:10]
    readable = re.sub("[^A-Za-z0-9.]+", "_", title).strip("_.")[:60]
    path = data.folder / "trials" / f"{readable}-{digest}.json"

    found = read_checked(path)
    if found is not None and found.get("trials") == json.loads(json.dumps(plain(trials))):
        files = found["files"].items()
        if all(file_digest(data.path(name)) == digest for name, digest in files):
            return found
    if path.exists():
        print(f"{path} or a file it names is damaged; it is measured again", flush=True)
    began = time.perf_counter()
    measured = experiment.measure(config, trials, data)
    if not isinstance(measured, Measurement):
        measured = Measurement(measured)
    seconds = time.perf_counter() - began
    content = {
        "trials": plain(trials),
        "rows": [rows.to_json(experiment, row) for row in measured.rows],
        "extras": plain(measured.extras),
        "seconds": seconds,
        "files": _files(measured.rows, data),
    }
    write_checked(path, content)
    print(f"{title}: {_values(measured.rows)} [{seconds:.0f} s]", flush=True)
    return read_checked(path)


def _files(measured: Sequence[Any], data: Data) -> dict[str, str]:
    """Name -> SHA-256 of every file that the rows name.

    Raises:
      RunError: a file is not where `Data.path` puts it.
    """
    found = {}
    for row in measured:
        for field in rows.fields(type(row)).values():
            value = getattr(row, field.name)
            if field.artifact and value is not None:
                path = data.path(Path(value).name)
                if not path.is_file():
                    raise RunError(f"a row names {value}, but there is no {path}: use Data.path")
                found[path.name] = file_digest(path)
    return found


def _values(measured: Sequence[Any]) -> str:
    """The first row's statistics, or how many rows there are."""
    if len(measured) != 1:
        return f"{len(measured)} rows"
    names = [field.name for field in rows.fields(type(measured[0])).values() if field.over]
    values = {name: getattr(measured[0], name) for name in names}
    shown = [f"{n} {v:.6g}" for n, v in values.items() if isinstance(v, int | float)]
    return ", ".join(shown) or "1 row"


def _merged(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One mapping of the extras of all groups.

    Raises:
      ValueError: two groups give one name different values.
    """
    merged: dict[str, Any] = {}
    for name, value in (item for extras in several for item in extras.items()):
        before = merged.setdefault(name, value)
        if before is value:
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            merged[name] = _merged([before, value])
        elif isinstance(value, list) and isinstance(before, list):
            merged[name] = [*before, *value]
        elif before != value:
            raise ValueError(f"two groups of trials have different extras {name!r}")
    return merged
