"""Recompute what is claimed: from the records' rows, and from the files in `results/artifacts/`."""

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

from experiments.runner import claims as claim_tools
from experiments.runner import registry, rows
from experiments.runner.experiment import Data, Experiment
from experiments.runner.records import RESULTS, Claim, read_claims
from experiments.runner.subprocesses import SubprocessFailedError
from fewbits.io import datasets


class Verdict(NamedTuple):
    """What became of one claim."""

    id: str
    status: str
    """"ok", "FAILED" or "skipped"."""
    claimed: float
    recomputed: float | None
    tolerance: float | None
    bytes: int | None
    seconds: float
    detail: str


def check(claim: Claim, *, results: Path = RESULTS, data_dir: str | None = None) -> Verdict:
    """Recompute one claim from its artefact alone (and public data)."""
    began, value = time.perf_counter(), None
    try:
        value = _recompute(claim, results, data_dir)
        if value is None:
            status, detail = "skipped", "nothing can be recomputed without running the experiment"
        else:
            allowed = claim.tolerance or 0.0
            status = "ok" if abs(value - claim.value) <= allowed else "FAILED"
            detail = f"differs by {value - claim.value:+.4g}, {allowed} allowed"
    except datasets.DataError as error:
        status, detail = "skipped", str(error).splitlines()[0]
    except (SubprocessFailedError, ValueError) as error:
        status, detail = "FAILED", str(error)
    seconds = round(time.perf_counter() - began, 1)
    numbers = (claim.value, value, claim.tolerance, claim.bytes, seconds)
    return Verdict(claim.id, status, *numbers, detail)


def _recompute(claim: Claim, results: Path, data_dir: str | None) -> float | None:
    path, artifacts = results / claim.record, results / "artifacts"
    if not path.is_file():
        raise ValueError(f"its record {claim.record} is missing")
    if claim.artifact is not None:
        artifact = artifacts / claim.artifact
        if not artifact.is_file():
            raise ValueError(f"its file {claim.artifact} is missing")
        size = artifact.stat().st_size
        if size != claim.bytes:
            raise ValueError(f"the file has {size} bytes, the claim says {claim.bytes}")
    content = json.loads(path.read_text())
    experiment: Experiment = registry.get(content["experiment"]).EXPERIMENT
    record = rows.record_from(experiment, path.stem, content)
    if claim not in claim_tools.of_record(experiment, record, artifacts):
        raise ValueError("its record's rows give another claim; publish the run again")
    with tempfile.TemporaryDirectory() as scratch:
        data = Data(Path(scratch), data_dir)
        return claim_tools.recomputed(experiment, record, claim.id, data, artifacts)


def main(
    only: str | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
    data_dir: str | None = None,
) -> int:
    """Decode results/artifacts and recompute every claim: status 1 if one fails, 2 if none exists.

    Args:
      only: id of one claim.
      as_json: print JSON.
      data_dir: folder of prepared TFDS data sets.
    """
    claims = read_claims()
    if only is not None and only not in claims:
        known = "\n  ".join(claims) or "none"
        print(f"error: no claim {only!r}; known ids:\n  {known}", file=sys.stderr)
        return 2
    verdicts = []
    for claim in [claims[only]] if only else claims.values():
        verdicts.append(check(claim, data_dir=data_dir))
        if not as_json:
            last = verdicts[-1]
            again = "" if last.recomputed is None else f" recomputed {last.recomputed:.6g}"
            said = f"{last.status:8} {last.id}: claimed {last.claimed:.6g}{again}"
            print(f"{said} ({last.detail}; {last.seconds} s)", flush=True)
    count = Counter(verdict.status for verdict in verdicts)
    if as_json:
        print(json.dumps([verdict._asdict() for verdict in verdicts], indent=1))
    else:
        print(f"{count['ok']} ok, {count['FAILED']} failed, {count['skipped']} skipped")
    return 1 if count["FAILED"] else 0
