"""Is L2 compression? Files of LeNet-300-100 trained with L2, L1, DRR and nothing, decoded.

Every network is rounded to the coarsest step that costs at most 0.1 points of validation accuracy
(and to two coarser ones), coded under a Gaussian, a Laplace, a spike-and-slab and an empirical
prior and as a sparse file, and each file is decoded in a fresh process. 125 networks train in one
compiled program, three quarters of an hour on one core, seed by seed; then they are coded:

    python -m experiments.weight_coding.penalised_lenets runs/penalised_lenets
    python -m experiments l2_is_compression paper --from-checkpoints runs/penalised_lenets
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_networks
from experiments.runner import plots
from experiments.runner.records import Claim, Run, Seconds, kept, write_claims, write_record
from experiments.runner.registry import Table
from experiments.runner.statistics import over_seeds
from experiments.weight_coding import penalised_lenets
from experiments.weight_coding.penalised_files import CODERS, Parts, Steps, measure
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.training import evaluation, trees

TARGETS_PERCENT = (98.0, 97.5)


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    training: penalised_lenets.Config = field(default_factory=penalised_lenets.Config)
    from_checkpoints: str | None = None
    """Folder written by `experiments.weight_coding.penalised_lenets`; trained here if not given."""
    steps: Steps = Steps()
    seeds_coded: int = 5
    """Seeds whose networks are coded, the first ones."""


FREE_FIELDS = ("seeds_coded",)
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "smoke": (
        "digits, a few networks",
        Config(penalised_lenets.SMOKE, steps=Steps(coarser=(1,), probe_images=200), seeds_coded=2),
    ),
    "paper": ("MNIST, 25 networks for each of five seeds", Config()),
}


def run(config: Config, run: Run) -> None:
    """Train or load; per network choose steps, write files, decode them, test them."""
    began = time.perf_counter()
    folder = Path(config.from_checkpoints or run.folder / "networks")
    if config.from_checkpoints is None:
        penalised_lenets.run(config.training, folder, run.data_dir)
    training = penalised_lenets.trained_config(folder)
    trained = time.perf_counter()
    net = penalised_lenets.network(training)
    train = datasets.load(training.data, "train", data_dir=run.data_dir)
    train, validation = datasets.split_validation(train, training.validation)
    test = datasets.load(training.data, "test", data_dir=run.data_dir)
    seeds = training.seeds[: config.seeds_coded]
    rows: list[dict[str, Any]] = []
    parts = Parts(train, validation, test)
    files = run.folder / "files"
    files.mkdir(exist_ok=True)

    def of_seed(seed: int) -> list[dict[str, Any]]:
        nets = penalised_lenets.load(folder, seed)
        return measure(config.steps, files, net, nets, seed, parts)

    for seed in seeds:
        measured = kept(run.folder / "seeds" / f"{seed}.json", partial(of_seed, seed))
        rows += measured
        print(f"seed {seed}: {len(measured)} files decoded", flush=True)
    best = {
        (name, target): _smallest(rows, name, target, seeds)
        for name in ("none", *penalised_lenets.PENALTIES)
        for target in TARGETS_PERCENT
    }
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=seeds,
        seconds=Seconds(0.0, time.perf_counter() - trained),
        metrics={
            "files": rows,
            "training": penalised_lenets.training_record(folder),
            "parameters": trees.size(jax.eval_shape(net.init, jax.random.key(0))),
        },
        data=datasets.SOURCES[training.data].note,
        notes=f"training or loading took {trained - began:.0f} s. bytes: a file that a fresh "
        "process decoded to the network that was tested; bits: whole files under each prior",
    )
    _publish(run, best, record, training.data)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Smallest files at fixed accuracies; every network at its own step."""
    if "paper" not in records:
        return []
    record = records["paper"]
    rows, seeds = record["metrics"]["files"], record["seeds"]
    fixed = []
    for target in TARGETS_PERCENT:
        for name in ("none", *penalised_lenets.PENALTIES):
            best = _smallest(rows, name, target, seeds)
            sizes = np.array([row["bytes"] for row in best], float)
            shown = "none reaches it" if not best else over_seeds(sizes).text(0)
            accuracy = over_seeds(row["test_percent"] for row in best).text() if best else ""
            fixed.append((f"{target:g}", name, shown, accuracy, len(best)))
    every = []
    main = [row for row in rows if row["coarser"] == 0]
    for name, strength in dict.fromkeys((row["penalty"], row["strength"]) for row in main):
        same = [row for row in main if (row["penalty"], row["strength"]) == (name, strength)]

        def mean(value: Callable[[dict[str, Any]], float], digits: int, same: Any = same) -> str:
            return over_seeds(value(row) for row in same).text(digits)

        every.append(
            (
                f"{name} {strength:g}" if strength else name,
                mean(lambda row: row["test_percent"], 2),
                mean(lambda row: row["squared_norm"], 0),
                mean(lambda row: np.log2(row["step"]), 1),
                *(mean(lambda row, c=c: row["coded_bytes"][c], 0) for c in CODERS),
                mean(lambda row: row["xz_bytes"], 0),
            )
        )
    return [
        Table(
            "Bytes of LeNet-300-100 at a given accuracy",
            ("validation accuracy, % at least", "penalty", "bytes", "test accuracy, %", "seeds"),
            fixed,
            "Smallest file over strengths and steps, chosen on validation; mean ± standard "
            "deviation over seeds.",
        ),
        Table(
            "Every network at the coarsest step that costs 0.1 points of validation accuracy",
            ("penalty", "test accuracy, %", "squared norm", "log2 step", *CODERS, "xz -9e"),
            every,
            "Bytes of whole files under each prior; mean ± standard deviation over seeds.",
        ),
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """File bytes against test accuracy; codelength at a fixed step against the strength."""
    if "paper" not in records:
        return {}
    rows = [row for row in records["paper"]["metrics"]["files"] if row["coarser"] == 0]
    curves, (axis,) = plots.subplots(width=5.4)
    lengths, (other,) = plots.subplots(width=5.4)
    for name in ("none", *penalised_lenets.PENALTIES):
        points = {row["strength"]: [] for row in rows if row["penalty"] == name}
        for row in rows:
            if row["penalty"] == name:
                points[row["strength"]].append(row)

        def column(
            value: Callable[[dict[str, Any]], float], points: Any = points
        ) -> tuple[np.ndarray, np.ndarray]:
            values = [[value(row) for row in same] for same in points.values()]
            return np.array([np.mean(v) for v in values]), np.array([np.std(v) for v in values])

        sizes, size_spread = column(lambda row: row["bytes"])
        accuracies, accuracy_spread = column(lambda row: row["test_percent"])
        axis.errorbar(
            sizes, accuracies, xerr=size_spread, yerr=accuracy_spread, marker="o", label=name
        )
        if name == "none":  # no strength to draw it over
            continue
        bits, spread = column(lambda row: row["fixed_step_bits"])
        expected, _ = column(lambda row: row["predicted_bits"])
        drawn = other.errorbar(
            list(points), bits / 8192, yerr=spread / 8192, marker="o", ls="", label=name
        )
        other.plot(list(points), expected / 8192, color=drawn[0].get_color())
    axis.set(xscale="log", xlabel="bytes of the file", ylabel="test accuracy, %", ylim=(95, 99))
    axis.legend()
    other.set(
        xscale="log",
        xlabel="strength of the penalty",
        ylabel="Gaussian code, KiB",
    )
    other.set_title("coded (dots), predicted from the norm (lines)", fontsize="medium")
    other.legend()
    return {"bytes_against_accuracy": curves, "codelength_against_strength": lengths}


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Decode the file in a fresh process, test it again; its bytes.

    Raises:
      ValueError: another accuracy than the record says.
    """
    name = artifact.name.removeprefix("l2_is_compression_")
    row = next(row for row in record["metrics"]["files"] if row["file"] == name)
    training = penalised_lenets.Config(data=record["metrics"]["training"]["config"]["data"])
    net = penalised_lenets.network(training)
    test = datasets.load(training.data, "test", data_dir=data_dir)
    params = decoded_networks.decode(artifact)
    data = (jnp.asarray(test.pixels), jnp.asarray(test.labels))
    accuracy = 100 * float(evaluation.accuracy(net.apply, params, *data))
    if abs(accuracy - row["test_percent"]) > 0.03:
        raise ValueError(f"accuracy {accuracy:.2f} %, the record says {row['test_percent']:.2f} %")
    return float(artifact.stat().st_size)


def _smallest(
    rows: list[dict[str, Any]], penalty: str, target_percent: float, seeds: Any
) -> list[dict[str, Any]]:
    """For each seed the smallest file whose validation accuracy reaches the target, if any."""
    found = []
    for seed in seeds:
        good = [
            row
            for row in rows
            if row["penalty"] == penalty
            and row["seed"] == seed
            and row["validation_percent"] >= target_percent
        ]
        if good:
            found.append(min(good, key=lambda row: row["bytes"]))
    return found


def _publish(run: Run, best: dict[tuple[str, float], Any], record: Path, data: str) -> None:
    """Claims and the first seed's files; digits carry no claim."""
    claims = []
    for (name, target), files in best.items():
        if not files:
            print(f"{name}: no file reaches {target} % on validation")
            continue
        sizes = np.array([row["bytes"] for row in files], float)
        print(f"{name} at {target} %: {over_seeds(sizes).text(0)} bytes, {len(files)} seeds")
        if data != "mnist":
            continue
        kept = files[0]
        artifact = f"l2_is_compression_{kept['file']}"
        container.save(run.artifacts / artifact, (run.folder / "files" / kept["file"]).read_bytes())
        claims.append(
            Claim(
                id=f"coding.l2_is_compression.file_bytes_at_{target}.{name}",
                value=over_seeds(sizes).mean,
                std=over_seeds(sizes).std,
                seeds=len(files),
                unit="bytes",
                record=f"{run.experiment}/{record.name}",
                command=run.command,
                # The file is the first seed's; the value is the mean.
                tolerance=abs(float(sizes[0] - sizes.mean())) + 0.5,
                bytes=kept["bytes"],
                artifact=artifact,
            )
        )
    if claims:
        write_claims(run, claims)
