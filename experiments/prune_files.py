"""From trained lanes to files: the precision chosen on validation, each file decoded by a stranger.

For every method and error limit, points and precisions are tried from the fewest weights upwards;
the one whose files are smallest on average, at a mean validation error within the limit, is
written for every seed. A fresh process decodes each file before its test error is measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from coding import container, sparse_code
from experiments import datasets, fresh, prune_lanes, prune_tables
from experiments.prune_lanes import Lanes
from experiments.prune_tables import LIMITS_PERCENT, PARAMETERS, choose
from experiments.records import Claim, Run, Seconds, write_claims, write_record
from training import evaluation, trees
from training.method import Params
from training.networks import Network

FILE_LIMITS_PERCENT = {"lenet300": (2.0, 1.8), "lenet5": (0.9, 0.96)}
"""Validation errors that files are made for; the first is that of the claim."""

PRECISIONS: tuple[tuple[int, int], ...] = ((3, 5), (4, 6), (5, 8), (6, 8))
"""Bits of kernels and of biases."""

POINTS_TRIED = 4
"""Per method and limit: those with the fewest weights that keep the limit before quantisation."""


class Candidate(NamedTuple):
    """A point of a method at one precision.

    Attributes:
      point: number of the point.
      bits: of kernels and of biases.
      mean_bytes: over seeds.
      validation_error_percent: mean over seeds, quantised.
    """

    point: int
    bits: tuple[int, int]
    mean_bytes: float
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
    """Write, decode and record the files of every method at every limit, and the claims.

    Args:
      run: where to.
      name: `lenet300` or `lenet5`.
      trained: lanes by method.
      network: what the parameters belong to.
      parts: `validation` to choose on, `test` to report.
      config: of the experiment, for the record.
    """
    error = _error_percent(network)
    rows, chosen = [], {}
    for method, lanes in trained.items():
        for limit in FILE_LIMITS_PERCENT[name]:
            candidate = _choose(lanes, limit, error, parts["validation"])
            if candidate is None:
                continue
            chosen[method, limit] = candidate
            for seed in range(len(lanes.seeds)):
                path = run.artifacts / f"{name}_{method}_{limit:g}_seed{int(lanes.seeds[seed])}.fb"
                data = _encode(lanes, candidate, seed)
                container.save(path, data)
                decoded = decode(path, run.folder)
                rows.append(
                    {
                        "method": method,
                        "limit_percent": limit,
                        "seed": int(lanes.seeds[seed]),
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
        fresh.python("pruning", ["decompress", path, output])
        with np.load(output, allow_pickle=False) as stored:
            return trees.from_named({name: stored[name] for name in stored.files})
    finally:
        output.unlink(missing_ok=True)


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Decode a file in a fresh process; its size, or its ratio of weights, if its error holds.

    Raises:
      ValueError: the decoded network's test error is not that of the record.
    """
    from experiments.prune_lenet import NETWORKS

    config = record["config"]
    test = datasets.load(config["data"], "test", data_dir=data_dir)
    network = NETWORKS[config["network"]][0](test.pixels.shape[1:], len(test.label_names))
    params = decode(artifact, artifact.parent)
    error = _error_percent(network)(params, test)
    row = next(row for row in record["metrics"]["files"] if row["file"] == artifact.name)
    if abs(error - row["test_error_percent"]) > 0.05:
        raise ValueError(
            f"{artifact.name} has a test error of {error:.2f} %, "
            f"the record says {row['test_error_percent']:.2f} %"
        )
    if claim.unit == "bytes":
        return float(artifact.stat().st_size)
    return PARAMETERS[config["network"]] / float(trees.nonzeros(params))


def _choose(
    lanes: Lanes, limit_percent: float, error: Any, validation: datasets.Images
) -> Candidate | None:
    """The candidate of the fewest bytes within the limit; None where there is none."""
    means = 100 * lanes.metrics["validation_error"].mean(axis=1)
    means = np.where(lanes.metrics["finite"].all(axis=1), means, np.inf)
    nonzeros = lanes.metrics["nonzeros"].mean(axis=1)
    allowed = np.flatnonzero(means <= limit_percent)
    candidates = []
    for point in allowed[np.argsort(nonzeros[allowed])][:POINTS_TRIED]:
        for bits in PRECISIONS:
            candidate = Candidate(int(point), bits, 0.0, 0.0)
            data = [_encode(lanes, candidate, seed) for seed in range(len(lanes.seeds))]
            found = np.mean([error(sparse_code.read_sparse(d), validation) for d in data])
            if found <= limit_percent:
                size = float(np.mean([len(d) for d in data]))
                candidates.append(
                    candidate._replace(mean_bytes=size, validation_error_percent=float(found))
                )
    return min(candidates, key=lambda c: c.mean_bytes, default=None)


def _encode(lanes: Lanes, candidate: Candidate, seed: int) -> bytes:
    params = prune_lanes.params_of(lanes, candidate.point, seed)
    return sparse_code.write_sparse(params, bits_of(candidate.bits))


def _error_percent(network: Network) -> Any:
    """(params, images) -> error in percent, compiled once for each part's shape."""
    accuracy = jax.jit(lambda params, x, y: evaluation.accuracy(network.apply, params, x, y))
    return lambda params, images: 100 * (1 - float(accuracy(params, images.pixels, images.labels)))


def _claims(
    run: Run, name: str, trained: dict[str, Lanes], rows: list[dict[str, Any]], record: Path
) -> list[Claim]:
    """Headline numbers: ratio at the floor's error, bytes at the file goal, PMMP over DRR."""
    published = f"{json.loads(record.read_text())['experiment']}/{record.name}"
    claims = []
    limit = LIMITS_PERCENT[name][1]
    choices = {method: choose(lanes.metrics, limit) for method, lanes in trained.items()}
    within = {method: choice for method, choice in choices.items() if choice is not None}
    if within:
        best = min(within, key=lambda method: within[method].nonzeros[0])
        lanes = trained[best]
        ratios = PARAMETERS[name] / lanes.metrics["nonzeros"][within[best].point]
        claims.append(
            Claim(
                f"pruning.{name}.ratio_at_{limit:.1f}",
                PARAMETERS[name] / within[best].nonzeros[0],
                float(np.std(ratios, ddof=1)) if len(ratios) > 1 else None,
                len(lanes.seeds),
                "x",
                published,
                run.command,
            )
        )
    ratio = prune_tables.exact_over_smooth(
        {method: lanes.metrics for method, lanes in trained.items()}, limit
    )
    if ratio is not None:
        claims.append(
            Claim(
                f"pruning.{name}.pmmp_over_drr_nonzeros",
                ratio.value,
                None,
                len(next(iter(trained.values())).seeds),
                "",
                published,
                run.command,
            )
        )
    limit = FILE_LIMITS_PERCENT[name][0]
    at_limit = [row for row in rows if row["limit_percent"] == limit]
    methods = {row["method"] for row in at_limit}
    if methods:
        sizes = {m: [r["bytes"] for r in at_limit if r["method"] == m] for m in methods}
        best = min(sorted(methods), key=lambda method: float(np.mean(sizes[method])))
        row = min(
            (r for r in at_limit if r["method"] == best),
            key=lambda r: r["validation_error_percent"],
        )
        claims.append(
            Claim(
                f"pruning.{name}.file_bytes_at_{100 - limit:.1f}",
                float(np.mean(sizes[best])),
                float(np.std(sizes[best], ddof=1)) if len(sizes[best]) > 1 else None,
                len(sizes[best]),
                "bytes",
                published,
                run.command,
                tolerance=float(np.ptp(sizes[best])) or 1.0,
                bytes=row["bytes"],
                artifact=row["file"],
            )
        )
    return claims
