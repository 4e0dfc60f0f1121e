"""Records: one JSON for every run, and the claims that README and RESULTS take their numbers from.

A run writes into its own folder (`runs/<time>-<experiment>/`): `records/*.json`, `artifacts/*` and
`claims.json`. `publish` copies these into `results/`, which is committed; everything printed in
README.md and RESULTS.md is made from there and from nowhere else.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "results"
CLAIMS = RESULTS / "claims.json"

_VERSIONED = ("jax", "jaxlib", "flax", "optax", "numpy", "constriction", "scikit-learn")


class RunError(ValueError):
    """A run's folder that this run cannot go on in; the message is for the user."""


class Run(NamedTuple):
    """Where one run of an experiment writes, and how it was called."""

    experiment: str
    preset: str
    folder: Path
    command: str
    data_dir: str | None

    @property
    def artifacts(self) -> Path:
        """The folder for files that a claim rests on; made on first use."""
        folder = self.folder / "artifacts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Claim(NamedTuple):
    """One headline number, a row of `results/claims.json`."""

    id: str
    value: float
    std: float | None
    seeds: int
    unit: str
    record: str
    """Path of the record below `results/`."""
    command: str
    tolerance: float | None = None
    """How far a recomputed value may be from `value`."""
    bytes: int | None = None
    artifact: str | None = None
    """File below `results/artifacts/`; None where no file is part of the claim."""


class Seconds(NamedTuple):
    """Wall time of a run, apart from the time its programs took to compile."""

    compile: float
    run: float


def start_run(
    experiment: str, preset: str, command: str, *, out: str | None, data_dir: str | None
) -> Run:
    """Make the folder of a new run: `out`, or `runs/<time>-<experiment>` in the working folder."""
    if out is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        folder = Path("runs") / f"{stamp}-{experiment}"
    else:
        folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    return Run(experiment, preset, folder, command, data_dir)


def claim_folder(folder: Path, config: Any, free: Iterable[str] = ("seeds",)) -> Path:
    """The folder, made for these settings, or found to be of a run with the same.

    What a run keeps in its folder (`kept`) then never mixes two settings.

    Args:
      folder: of a run or a part of one.
      config: frozen dataclass, or mapping.
      free: top-level fields that may differ, since what is kept is kept apart by them.

    Raises:
      RunError: it holds another run.
    """
    settings = json.loads(json.dumps(_config(config), default=_plain))
    settings = {name: value for name, value in settings.items() if name not in set(free)}
    path = folder / "settings.json"
    if not path.is_file():
        write_json(path, settings)
        return folder
    before = json.loads(path.read_text())
    names = sorted((settings.keys() | before.keys()) - set(free))
    other = [name for name in names if settings.get(name) != before.get(name)]
    if other:
        raise RunError(
            f"{folder} holds a run with other settings ({', '.join(other)}); "
            "remove it or choose another folder"
        )
    return folder


def kept(path: Path, measure: Callable[[], Any]) -> Any:
    """What `measure` returned when this JSON file was first asked for; that is how runs resume."""
    if not path.is_file():
        write_json(path, measure())
    return json.loads(path.read_text())


def write_record(
    run: Run,
    name: str,
    *,
    config: Any,
    seeds: Sequence[int],
    seconds: Seconds,
    metrics: Mapping[str, Any],
    data: str,
    notes: str = "",
) -> Path:
    """Write one record into the run's folder; units stand in the metrics' names.

    Args:
      run: the run that measured it.
      name: file name without suffix; unique within the experiment's published results.
      config: frozen dataclass (or mapping) that shaped the run.
      seeds: every seed whose results are in `metrics`.
      seconds: compile and run time.
      metrics: numbers, lists and nested mappings of them; arrays become lists.
      data: what the numbers were measured on (`fewbits.io.datasets.Source.note`).
      notes: what a reader has to know besides.
    """
    content = {
        "experiment": run.experiment,
        "preset": run.preset,
        "command": run.command,
        "config": _config(config),
        "seeds": list(seeds),
        "seconds": seconds._asdict(),
        "metrics": metrics,
        "data": data,
        "notes": notes,
        "environment": environment(),
    }
    path = run.folder / "records" / f"{name}.json"
    write_json(path, content)
    return path


def write_claims(run: Run, claims: Iterable[Claim]) -> None:
    """Add claims to the run's own claims file, replacing rows of the same id."""
    _merge_claims(run.folder / "claims.json", [claim._asdict() for claim in claims])


def publish(folder: str | Path, results: Path = RESULTS) -> list[str]:
    """Copy a run's records, artefacts and claims into `results/`; returns the published paths.

    Raises:
      FileNotFoundError: the folder holds no records.
    """
    folder = Path(folder)
    records = sorted((folder / "records").glob("*.json"))
    if not records:
        raise FileNotFoundError(f"{folder} holds no records/*.json: is it the folder of a run?")
    published = []
    for path in records:
        target = results / json.loads(path.read_text())["experiment"] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        published.append(str(target.relative_to(results)))
    for path in sorted((folder / "artifacts").glob("*")):
        target = results / "artifacts" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        published.append(str(target.relative_to(results)))
    claims = folder / "claims.json"
    if claims.is_file():
        _merge_claims(results / "claims.json", json.loads(claims.read_text())["claims"])
    return published


def read_claims(path: Path = CLAIMS) -> dict[str, Claim]:
    """All claims by id."""
    if not path.is_file():
        return {}
    return {row["id"]: Claim(**row) for row in json.loads(path.read_text())["claims"]}


def read_records(experiment: str, results: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The published records of an experiment, by name."""
    paths = sorted((results / experiment).glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in paths}


def environment() -> dict[str, Any]:
    """Versions, commit and device: what a number may depend on besides config and seed."""
    import jax

    versions = {}
    for package in _VERSIONED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # a machine that only trains may lack the coder
    return {
        "python": platform.python_version(),
        "versions": versions,
        **_commit(),
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "backend": jax.default_backend(),
        "cpu_count": os.cpu_count(),
    }


def write_json(path: Path, content: Any) -> None:
    """Write JSON under a temporary name, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=False, default=_plain) + "\n")
    os.replace(temporary, path)


def _config(config: Any) -> Any:
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    return config


def _plain(value: Any) -> Any:
    """Arrays, NumPy scalars and named configs as JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    return np.asarray(value).tolist()


def _commit() -> dict[str, Any]:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ("git", *arguments), cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except OSError:  # no git on this machine
        return {"commit": "", "dirty": False}


def _merge_claims(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    known = {}
    if path.is_file():
        known = {row["id"]: row for row in json.loads(path.read_text())["claims"]}
    known.update({row["id"]: dict(row) for row in rows})
    write_json(path, {"claims": [known[key] for key in sorted(known)]})
