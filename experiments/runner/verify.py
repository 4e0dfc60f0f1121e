"""Recompute what is claimed: from the records' rows, and from the files in `results/artifacts/`."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

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
    began = time.perf_counter()

    def verdict(status: str, detail: str, recomputed: float | None = None) -> Verdict:
        seconds = round(time.perf_counter() - began, 1)
        numbers = (claim.value, recomputed, claim.tolerance, claim.bytes, seconds)
        return Verdict(claim.id, status, *numbers, detail)

    record_path = results / claim.record
    if not record_path.is_file():
        return verdict("FAILED", f"its record {claim.record} is missing")
    record = json.loads(record_path.read_text())
    try:
        if claim.artifact is not None:
            _check_size(claim, results / "artifacts" / claim.artifact)
        value = _recompute(claim, record, results, data_dir)
    except datasets.DataError as error:
        return verdict("skipped", str(error).splitlines()[0])
    except (SubprocessFailedError, ValueError) as error:
        return verdict("FAILED", str(error))
    if value is None:
        return verdict("skipped", "nothing can be recomputed without running the experiment")
    allowed = claim.tolerance or 0.0
    if not abs(value - claim.value) <= allowed:
        return verdict("FAILED", f"differs by {value - claim.value:+.4g}, {allowed} allowed", value)
    return verdict("ok", f"differs by {value - claim.value:+.4g}, {allowed} allowed", value)


def _check_size(claim: Claim, artifact: Path) -> None:
    if not artifact.is_file():
        raise ValueError(f"its file {claim.artifact} is missing")
    size = artifact.stat().st_size
    if size != claim.bytes:
        raise ValueError(f"the file has {size} bytes, the claim says {claim.bytes}")


def _recompute(
    claim: Claim, content: dict[str, Any], results: Path, data_dir: str | None
) -> float | None:
    experiment: Experiment = registry.get(content["experiment"]).EXPERIMENT
    record = rows.record_from(experiment, Path(claim.record).stem, content)
    artifacts = results / "artifacts"
    stated = {c.id: c for c in claim_tools.of_record(experiment, record, artifacts)}
    if stated.get(claim.id) != claim:
        raise ValueError("its record's rows give another claim; publish the run again")
    with tempfile.TemporaryDirectory() as scratch:
        data = Data(Path(scratch), data_dir)
        return claim_tools.recomputed(experiment, record, claim.id, data, artifacts)


def main(*, only: str | None, as_json: bool, data_dir: str | None) -> int:
    """Check all claims (or one), print the verdicts; status 1 if one failed, 2 if none exists."""
    claims = read_claims()
    if only is not None and only not in claims:
        known = "\n  ".join(claims) or "none"
        print(f"error: no claim {only!r}; known ids:\n  {known}", file=sys.stderr)
        return 2
    chosen = [claims[only]] if only else list(claims.values())
    verdicts = []
    for claim in chosen:
        verdicts.append(check(claim, data_dir=data_dir))
        if not as_json:
            last = verdicts[-1]
            shown = "" if last.recomputed is None else f" recomputed {last.recomputed:.6g}"
            print(
                f"{last.status:8} {last.id}: claimed {last.claimed:.6g}{shown} "
                f"({last.detail}; {last.seconds} s)",
                flush=True,
            )
    if as_json:
        print(json.dumps([v._asdict() for v in verdicts], indent=1))
    failed = sum(v.status == "FAILED" for v in verdicts)
    if not as_json:
        done = sum(v.status == "ok" for v in verdicts)
        print(f"{done} ok, {failed} failed, {len(verdicts) - done - failed} skipped")
    return 1 if failed else 0
