"""From trained lanes to files: the precision chosen on validation, each file decoded by a stranger.

A target is a ratio of weights or a number of bytes. For every method and target, of all points at
all precisions that meet it on average over seeds, the one with the least validation error is
written for every seed. A fresh process decodes each file before its test error is measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.pruning import prune_choices, prune_runs
from experiments.pruning.prune_choices import PARAMETERS, RATIOS
from experiments.pruning.prune_runs import Lanes
from experiments.runner import subprocesses
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from fewbits.coding import container
from fewbits.coding.weights import sparse_code
from fewbits.io import datasets
from fewbits.training import evaluation, trees
from fewbits.training.method import Params
from fewbits.training.networks import Network

PRECISIONS: tuple[tuple[int, int], ...] = ((3, 5), (4, 6), (5, 8), (6, 8), (8, 10))
"""Bits of kernels and of biases."""


class Target(NamedTuple):
    """What the files of a method have to keep, on average over seeds.

    Attributes:
      kind: `ratio`, at least so many times fewer weights, or `bytes`, at most so many.
      value: the number.
    """

    kind: str
    value: int

    def title(self) -> str:
        """For tables: "150x" or "3,000 bytes"."""
        return f"{self.value}x" if self.kind == "ratio" else f"{self.value:,} bytes"


BYTES = {"lenet300": (3_000, 5_000), "lenet5": (1_200, 3_000)}

TARGETS = {
    name: (
        *(Target("ratio", ratio) for ratio in RATIOS[name]),
        *(Target("bytes", size) for size in BYTES[name]),
    )
    for name in PARAMETERS
}
"""The more demanding of each kind first."""

CLAIMED_ERROR_PERCENT = {
    "lenet300": {"ratio": 1.9, "bytes": 2.0},
    "lenet5": {"ratio": 1.0, "bytes": 0.9},
}
"""Mean test error up to which a target counts as met."""


class Candidate(NamedTuple):
    """A point of a method at one precision.

    Attributes:
      point: number of the point.
      bits: of kernels and of biases.
      mean_bytes: over seeds.
      mean_nonzeros: over seeds.
      validation_error_percent: mean over seeds, quantised.
    """

    point: int
    bits: tuple[int, int]
    mean_bytes: float
    mean_nonzeros: float
    validation_error_percent: float


def bits_of(precision: tuple[int, int]) -> dict[str, int]:
    """The coder's word for a precision."""
    return {"*/bias": precision[1], "*": precision[0]}


def write(
    run: Run,
    name: str,
    trained: dict[str, Lanes],
    network: Network,
    parts: dict[str, datasets.Images],
    config: Any,
) -> None:
    """Write, decode and record the files of every method for every target, and the claims.

    Args:
      run: where to.
      name: `lenet300` or `lenet5`.
      trained: lanes by method.
      network: what the parameters belong to.
      parts: `validation` to choose on, `test` to report.
      config: of the experiment, for the record.
    """
    error = _error_percent(network)
    rows: list[dict[str, Any]] = []
    for method, lanes in trained.items():
        candidates = _candidates(lanes, error, parts["validation"])
        for target in TARGETS[name]:
            candidate = _choose(candidates, target, PARAMETERS[name])
            if candidate is None:
                continue
            for seed in range(len(lanes.seeds)):
                number = int(lanes.seeds[seed])
                path = run.artifacts / f"{name}_{method}_{target.kind}{target.value}_{number}.fb"
                container.save(path, _encode(lanes, candidate.point, candidate.bits, seed))
                decoded = decode(path, run.folder)
                rows.append(
                    {
                        "method": method,
                        "target": target.title(),
                        "seed": number,
                        "strength": float(lanes.points["strength"][candidate.point]),
                        "tolerance": float(lanes.points["tolerance"][candidate.point]),
                        "bits": candidate.bits[0],
                        "bias_bits": candidate.bits[1],
                        "bytes": path.stat().st_size,
                        "nonzeros": int(trees.nonzeros(decoded)),
                        "test_error_percent": error(decoded, parts["test"]),
                        "validation_error_percent": error(decoded, parts["validation"]),
                        "file": path.name,
                    }
                )
    record = write_record(
        run,
        f"{name}_files",
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, 0.0),
        metrics={"network": name, "files": rows},
        data=datasets.SOURCES[config.data].note,
        notes="bytes are the file's size; test error of what a fresh process decoded; bits are "
        "those of kernels and of biases",
    )
    write_claims(run, _claims(run, name, trained, rows, record))


def decode(path: Path, folder: Path) -> Params:
    """The parameters in a file, as a fresh process reads them."""
    output = folder / "decoded.npz"
    try:
        subprocesses.python("pruning", ["decompress", path, output])
        with np.load(output, allow_pickle=False) as stored:
            return trees.from_named({name: stored[name] for name in stored.files})
    finally:
        output.unlink(missing_ok=True)


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Decode a file in a fresh process; its size, or its ratio of weights, if its error holds.

    Raises:
      ValueError: the decoded network's test error is not that of the record.
    """
    config = record["config"]
    test = datasets.load(config["data"], "test", data_dir=data_dir)
    network = prune_runs.NETWORKS[config["network"]][0](
        test.pixels.shape[1:], len(test.label_names)
    )
    params = decode(artifact, artifact.parent)
    error = _error_percent(network)(params, test)
    check_error(record, artifact, error)
    if claim.unit == "bytes":
        return float(artifact.stat().st_size)
    return PARAMETERS[config["network"]] / float(trees.nonzeros(params))


def check_error(record: dict[str, Any], artifact: Path, error_percent: float) -> None:
    """That a decoded file's test error is the one in its record.

    Raises:
      ValueError: it is not.
    """
    row = next(row for row in record["metrics"]["files"] if row["file"] == artifact.name)
    if abs(error_percent - row["test_error_percent"]) > 0.05:
        raise ValueError(
            f"{artifact.name} has a test error of {error_percent:.2f} %, "
            f"the record says {row['test_error_percent']:.2f} %"
        )


def _candidates(lanes: Lanes, error: Any, validation: datasets.Images) -> list[Candidate]:
    """Every finite point at every precision."""
    found = []
    for point in np.flatnonzero(lanes.metrics["finite"].all(axis=1)):
        for bits in PRECISIONS:
            files = [_encode(lanes, int(point), bits, seed) for seed in range(len(lanes.seeds))]
            decoded = [sparse_code.read_sparse(data) for data in files]
            found.append(
                Candidate(
                    int(point),
                    bits,
                    float(np.mean([len(data) for data in files])),
                    float(np.mean([int(trees.nonzeros(params)) for params in decoded])),
                    float(np.mean([error(params, validation) for params in decoded])),
                )
            )
    return found


def _choose(candidates: list[Candidate], target: Target, parameters: int) -> Candidate | None:
    """The least validation error among those that meet the target; None where none does."""
    if target.kind == "ratio":
        meet = [c for c in candidates if c.mean_nonzeros * target.value <= parameters]
    else:
        meet = [c for c in candidates if c.mean_bytes <= target.value]
    return min(meet, key=lambda c: c.validation_error_percent, default=None)


def _encode(lanes: Lanes, point: int, bits: tuple[int, int], seed: int) -> bytes:
    return sparse_code.write_sparse(prune_runs.params_of(lanes, point, seed), bits_of(bits))


def _error_percent(network: Network) -> Any:
    """(params, images) -> error in percent, compiled once for each part's shape."""
    accuracy = jax.jit(lambda params, x, y: evaluation.accuracy(network.apply, params, x, y))
    return lambda params, images: 100 * (1 - float(accuracy(params, images.pixels, images.labels)))


def _claims(
    run: Run, name: str, trained: dict[str, Lanes], rows: list[dict[str, Any]], record: Path
) -> list[Claim]:
    """Ratio and bytes at the goals' errors, and PMMP's weights over DRR's.

    Methods that ran with fewer seeds than others are left out: luck would favour them.
    """
    n_seeds = max(len(lanes.seeds) for lanes in trained.values())
    trained = {method: lanes for method, lanes in trained.items() if len(lanes.seeds) == n_seeds}
    rows = [row for row in rows if row["method"] in trained]
    published = f"{json.loads(record.read_text())['experiment']}/{record.name}"
    claims = []
    for kind, limit in CLAIMED_ERROR_PERCENT[name].items():
        mine = _claimed_rows(rows, [t for t in TARGETS[name] if t.kind == kind], limit)
        if not mine:
            continue
        values = [PARAMETERS[name] / r["nonzeros"] if kind == "ratio" else r["bytes"] for r in mine]
        kept = min(range(len(mine)), key=lambda i: mine[i]["validation_error_percent"])
        suffix = f"ratio_at_{limit:.1f}" if kind == "ratio" else f"file_bytes_at_{100 - limit:.1f}"
        claims.append(
            Claim(
                f"pruning.{name}.{suffix}",
                float(np.mean(values)),
                float(np.std(values, ddof=1)) if len(values) > 1 else None,
                len(values),
                "x" if kind == "ratio" else "bytes",
                published,
                run.command,
                # The file is one seed's, the value the mean over seeds.
                tolerance=abs(values[kept] - float(np.mean(values))) * 1.001 + 1e-6,
                bytes=mine[kept]["bytes"],
                artifact=mine[kept]["file"],
            )
        )
    ratio = prune_choices.exact_over_smooth(
        {method: lanes.metrics for method, lanes in trained.items()},
        CLAIMED_ERROR_PERCENT[name]["ratio"],
    )
    if ratio is not None:
        claims.append(
            Claim(
                f"pruning.{name}.pmmp_over_drr_nonzeros",
                ratio.value,
                None,
                n_seeds,
                "",
                published,
                run.command,
            )
        )
    return claims


def _claimed_rows(
    rows: list[dict[str, Any]], targets: list[Target], limit_percent: float
) -> list[dict[str, Any]]:
    """The files of the first target that some method meets within the error.

    Points and precisions were chosen on validation. Between methods that keep to the error, which
    is the test set's, the one with the least validation error speaks for a target.
    """
    for target in targets:
        mine = [row for row in rows if row["target"] == target.title()]
        methods = {row["method"] for row in mine}

        def mean(method: str, field: str, mine=mine) -> float:
            return float(np.mean([row[field] for row in mine if row["method"] == method]))

        met = [m for m in sorted(methods) if mean(m, "test_error_percent") <= limit_percent]
        if met:
            best = min(met, key=lambda method: mean(method, "validation_error_percent"))
            return [row for row in mine if row["method"] == best]
    return []
