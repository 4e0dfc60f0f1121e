"""Pruned VGGs as files that a fresh process has decoded.

A method's network is that of the fewest weights whose validation error is within a point of the
dense one's. Kernels are rounded first and the normalisation is folded after that, so that its
scales and shifts make up for what rounding has done to a channel; then all is one sparse file,
which a fresh process decodes before anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.pruning import prune_files
from experiments.pruning.prune_runs import Lanes, params_of
from experiments.pruning.vgg.prune_vgg_iterative import Config, network_for
from experiments.pruning.vgg.prune_vgg_tables import POINTS_LOST
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from fewbits.coding import container
from fewbits.coding.weights import sparse_code
from fewbits.io import datasets
from fewbits.training import evaluation, trees, vgg
from fewbits.training.method import Params
from fewbits.training.vgg import Vgg

KERNEL_BITS = (3, 4, 5, 6, 8)
"""Tried in this order; scales, shifts and biases have 8."""

Deploy = Callable[[Params, int], Params]
"""(trained parameters, bits of kernels) -> parameters of the deployed network."""


class Choice(NamedTuple):
    """A round of a method at one precision.

    Attributes:
      point: number of the round.
      bits: of kernels.
      deployed: the networks of all seeds.
    """

    point: int
    bits: int
    deployed: list[Params]


def bits_of(kernel_bits: int) -> dict[str, int]:
    """The coder's word for a precision."""
    return {"*/bias": 8, "*/scale": 8, "*": kernel_bits}


def write(
    run: Run,
    config: Config,
    name: str,
    dense: dict[str, list[float]],
    trained: dict[str, Lanes],
    parts: dict[str, datasets.Images],
) -> None:
    """Write, decode and record the file of every method and seed; claim the best ratio.

    Args:
      run: where to.
      config: of the experiment.
      name: what records and files begin with; only `vgg16` makes a claim.
      dense: metrics of the dense networks, name -> [seeds].
      trained: lanes by method.
      parts: `train` to calibrate on, `validation` to choose on, `test` to report.
    """
    network = network_for(config, parts)
    error, deploy = error_percent(network), _deploy(network, config, parts["train"])
    limit = 100 * float(np.mean(dense["validation_error"])) + POINTS_LOST
    rows = []
    for method, lanes in trained.items():
        choice = _choose(lanes, limit, deploy, error, parts["validation"])
        if choice is None:
            print(f"{method}: no round within {limit:.2f} % on validation")
            continue
        for seed, deployed in zip(lanes.seeds, choice.deployed, strict=True):
            path = run.artifacts / f"{name}_{method}_seed{int(seed)}.fb"
            container.save(path, sparse_code.write_sparse(deployed, bits_of(choice.bits)))
            decoded = prune_files.decode(path, run.folder)
            rows.append(
                {
                    "method": method,
                    "seed": int(seed),
                    "round": choice.point,
                    "strength": float(lanes.points["strength"][choice.point]),
                    "bits": choice.bits,
                    "bytes": path.stat().st_size,
                    "parameters": trees.size(decoded),
                    "nonzeros": int(trees.nonzeros(decoded)),
                    "validation_error_percent": error(decoded, parts["validation"]),
                    "test_error_percent": error(decoded, parts["test"]),
                    "file": path.name,
                }
            )
    record = write_record(
        run,
        f"{name}_files",
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, 0.0),
        metrics={
            "limit_percent": limit,
            "dense_test_error_percent": 100 * float(np.mean(dense["test_error"])),
            "files": rows,
        },
        data=datasets.SOURCES[config.data].note,
        notes="bytes are the file's size; errors are of what a fresh process decoded; bits are "
        "those of kernels",
    )
    if name == "vgg16" and rows:
        write_claims(run, [_claim(rows, f"{run.experiment}/{record.name}", run.command)])


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Decode a file in a fresh process; its ratio of weights, if its test error holds.

    Raises:
      ValueError: the decoded network's test error is not that of the record.
    """
    config = record["config"]
    test = datasets.load(config["data"], "test", data_dir=data_dir)
    network = vgg.vgg16(
        test.pixels.shape[1:],
        len(test.label_names),
        width=config["width"],
        blocks=config["blocks"],
    )
    decoded = prune_files.decode(artifact, artifact.parent)
    prune_files.check_error(record, artifact, error_percent(network)(decoded, test))
    return trees.size(decoded) / float(trees.nonzeros(decoded))


def error_percent(network: Vgg) -> Callable[[Params, datasets.Images], float]:
    """(deployed parameters, images) -> error in percent, compiled once for each part's shape."""
    accuracy = jax.jit(
        lambda params, x, y: evaluation.accuracy(network.apply_folded, params, x, y, batch_size=250)
    )
    return lambda params, images: 100 * (1 - float(accuracy(params, images.pixels, images.labels)))


def _deploy(network: Vgg, config: Config, train: datasets.Images) -> Deploy:
    """Rounds kernels, then folds the normalisation over the calibration images."""
    fold = jax.jit(network.fold)
    calibration = train.pixels[: config.calibration_images]

    def deploy(params: Params, kernel_bits: int) -> Params:
        rounded = sparse_code.quantise_sparse(params, bits_of(kernel_bits))
        norms = {name: params[name] for name in params if name.startswith("norm")}
        return jax.tree.map(np.asarray, fold({**rounded, **norms}, calibration))

    return deploy


def _choose(
    lanes: Lanes, limit_percent: float, deploy: Deploy, error: Any, validation: datasets.Images
) -> Choice | None:
    """The fewest weights, then the fewest bits, within the limit as decoded; None if none is."""
    means = 100 * lanes.metrics["validation_error"].mean(axis=1)
    means = np.where(lanes.metrics["finite"].all(axis=1), means, np.inf)
    nonzeros = lanes.metrics["nonzeros"].mean(axis=1)
    allowed = np.flatnonzero(means <= limit_percent)
    for point in allowed[np.argsort(nonzeros[allowed])]:
        for bits in KERNEL_BITS:
            deployed = [deploy(params_of(lanes, point, s), bits) for s in range(len(lanes.seeds))]
            decoded = [sparse_code.quantise_sparse(one, bits_of(bits)) for one in deployed]
            if np.mean([error(one, validation) for one in decoded]) <= limit_percent:
                return Choice(int(point), bits, deployed)
    return None


def _claim(rows: list[dict[str, Any]], record: str, command: str) -> Claim:
    """The largest mean ratio of a method; its file is that of the lowest validation error."""
    methods = sorted({row["method"] for row in rows})
    ratios = {
        method: [row["parameters"] / row["nonzeros"] for row in rows if row["method"] == method]
        for method in methods
    }
    best = max(methods, key=lambda method: float(np.mean(ratios[method])))
    mean = float(np.mean(ratios[best]))
    row = min(
        (row for row in rows if row["method"] == best),
        key=lambda row: row["validation_error_percent"],
    )
    return Claim(
        "pruning.vgg16.ratio",
        mean,
        float(np.std(ratios[best], ddof=1)) if len(ratios[best]) > 1 else None,
        len(ratios[best]),
        "x",
        record,
        command,
        tolerance=float(np.ptp(ratios[best])) + 1e-6 * mean,
        bytes=row["bytes"],
        artifact=row["file"],
    )
