"""Records: one JSON for every run, and the claims that README and RESULTS take their numbers from.

A run writes into its own folder (`runs/<time>-<experiment>/`): `records/*.json`, `artifacts/*` and
`claims.json`. `publish` copies these into `results/`, which is committed; everything printed in
README.md and RESULTS.md is made from there and from nowhere else.
"""

import contextlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from experiments.runner.folder import RunError
from fewbits.io.json_files import write_json

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "results"
CLAIMS = RESULTS / "claims.json"

_VERSIONED = ("jax", "jaxlib", "flax", "optax", "numpy", "constriction", "scikit-learn")


class Claim(NamedTuple):
    """One headline number, a row of `results/claims.json`.

    Attributes:
      record: path of the record below `results/`.
      tolerance: how far a recomputed value may be from `value`.
      artifact: file below `results/artifacts/`; None where no file is part of the claim.
    """

    id: str
    value: float
    std: float | None
    seeds: int
    unit: str
    record: str
    command: str
    tolerance: float | None = None
    bytes: int | None = None
    artifact: str | None = None


def write_claims_file(path: Path, claims: Iterable[Claim]) -> None:
    """Write a claims file with these claims and no others, in the order of their ids."""
    rows = sorted((claim._asdict() for claim in claims), key=lambda row: row["id"])
    write_json(path, {"claims": rows})


def publish(folder: str | Path, results: Path = RESULTS) -> list[str]:
    """Put a run's records, artefacts and claims into `results/`; returns the published paths.

    What is published of the same experiment and presets is replaced: records, claims and artefacts
    that the new run does not have are removed (and named with a leading "removed").

    Raises:
      RunError: the folder holds no records.
    """
    folder = Path(folder)
    new = {path: json.loads(path.read_text()) for path in sorted(folder.glob("records/*.json"))}
    if not new:
        raise RunError(f"{folder} holds no records/*.json: is it the folder of a run?")
    owned, added = _artifacts(results), {}
    gone: set[str] = set()
    for path, record in new.items():
        name = record["experiment"]
        added[f"{name}/{path.name}"] = path
        old = read_records(name, results).items()
        gone |= {f"{name}/{each}.json" for each, o in old if o["preset"] == record["preset"]}
    # Claims of the replaced records go; the run brings those that it still makes.
    before = read_claims(results / "claims.json")
    claims = {i: claim for i, claim in before.items() if claim.record not in gone}
    claims |= read_claims(folder / "claims.json")
    files = {f"artifacts/{path.name}": path for path in sorted((folder / "artifacts").glob("*"))}
    for name, path in {**added, **files}.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, results / name)
    write_claims_file(results / "claims.json", claims.values())
    removed = gone - added.keys()
    for name in removed:
        (results / name).unlink()
    unused = owned - _artifacts(results)
    for name in unused:
        (results / name).unlink(missing_ok=True)
    return [*added, *files, *(f"removed {name}" for name in sorted(removed | unused))]


def _artifacts(results: Path) -> set[str]:
    """Paths below `results/` of the files that belong to its claims and records."""
    names = {claim.artifact for claim in read_claims(results / "claims.json").values()}
    for path in results.glob("*/*.json"):
        names |= json.loads(path.read_text()).get("artifacts", {}).keys()
    return {f"artifacts/{name}" for name in names if name}


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
        # A machine that only trains may lack the coder.
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "versions": versions,
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "backend": jax.default_backend(),
        "cpu_count": os.cpu_count(),
    }


def _git(*arguments: str) -> str:
    """What it says, nothing where there is none."""
    try:
        done = subprocess.run(
            ("git", *arguments), cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
