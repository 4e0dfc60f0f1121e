"""Decode the files in `results/artifacts/` and recompute the numbers claimed for them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

from experiments.runner import registry
from experiments.runner.records import RESULTS, Claim, read_claims
from experiments.runner.subprocesses import FreshProcessError
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
        return Verdict(
            claim.id,
            status,
            claim.value,
            recomputed,
            claim.tolerance,
            claim.bytes,
            seconds,
            detail,
        )

    record_path = results / claim.record
    if not record_path.is_file():
        return verdict("FAILED", f"its record {claim.record} is missing")
    if claim.artifact is None:
        return verdict("skipped", "no file is part of this claim")
    artifact = results / "artifacts" / claim.artifact
    if not artifact.is_file():
        return verdict("FAILED", f"its file {claim.artifact} is missing")
    size = artifact.stat().st_size
    if size != claim.bytes:
        return verdict("FAILED", f"the file has {size} bytes, the claim says {claim.bytes}")
    record = json.loads(record_path.read_text())
    try:
        value = registry.get(record["experiment"]).recompute(claim, record, artifact, data_dir)
    except datasets.DataError as error:
        return verdict("skipped", str(error).splitlines()[0])
    except (FreshProcessError, ValueError) as error:
        return verdict("FAILED", str(error))
    allowed = claim.tolerance or 0.0
    if not abs(value - claim.value) <= allowed:
        return verdict("FAILED", f"differs by {value - claim.value:+.4g}, {allowed} allowed", value)
    return verdict("ok", f"differs by {value - claim.value:+.4g}, {allowed} allowed", value)


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
