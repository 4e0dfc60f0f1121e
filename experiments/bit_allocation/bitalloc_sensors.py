"""Which quadrant gets how many bits as the budget grows, and which pixels at which thresholds.

Pixel mode on Fashion-MNIST's T-shirts, dresses and coats, one cut of the training images. The
joint selection of `bitalloc_curves` is compared with the two-level knapsack, which adds up what
pixels tell separately. Ten minutes on two cores.

    python -m experiments bitalloc_sensors all
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from bitalloc.encoders import thresholds
from bitalloc.encoders.encoder import PixelEncoder
from bitalloc.fitting import allocation, modes, proposals
from experiments.bit_allocation import bitalloc_data
from experiments.runner import plots
from experiments.runner.records import Run, Seconds, write_record
from experiments.runner.registry import Table
from fewbits.io import datasets

TARGETS = (0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    budgets: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32)
    n_levels: int = 17
    n_train: int = 15_000
    n_validation: int = 3_000
    restarts: int = 2
    seed: int = 0


PRESETS = {
    "all": ("eleven budgets to 32 bits", Config()),
    "smoke": ("two budgets, 300 images", Config((1, 2), 9, 300, 100, 0)),
}


def run(config: Config, run: Run) -> None:
    """Fit every budget by quadrants and record the bits, pixels and thresholds chosen."""
    began = time.perf_counter()
    train = bitalloc_data.three_classes("train", run.data_dir)
    problem = bitalloc_data.problem(
        train,
        config.seed,
        "quadrants",
        n_train=config.n_train,
        n_validation=config.n_validation,
    )
    settings = replace(
        bitalloc_data.RECORDED,
        n_levels=config.n_levels,
        restarts=config.restarts,
        networks=False,
    )
    rows = []
    for bits in config.budgets:
        model = modes.fit(jax.random.key(config.seed), problem, "pixel", bits, settings)
        assert isinstance(model.encoder, PixelEncoder)
        rows.append(
            {
                "bits": bits,
                "sensor_bits": model.sensor_bits.tolist(),
                "validation_percent": bitalloc_data.accuracy_percent(model, problem.validation),
                "pixel": model.encoder.feature.tolist(),
                "threshold": model.encoder.thresholds[:, 0].tolist(),
            }
        )
    accuracy = np.full(max(config.budgets) + 1, np.nan)
    accuracy[list(config.budgets)] = [row["validation_percent"] / 100 for row in rows]
    write_record(
        run,
        run.preset,
        config=config,
        seeds=(config.seed,),
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={
            "rows": rows,
            "separable_sensor_bits": _separable_split(problem, config),
            "fewest_bits": {
                f"{target:.0%}": allocation.fewest_bits(accuracy, target) for target in TARGETS
            },
            "mean_image": np.mean(problem.train.features, axis=0).reshape(28, 28).round(1),
        },
        data=datasets.SOURCES["fashion_mnist"].note,
        notes="accuracies are on the validation part; test accuracies are bitalloc_curves'",
    )
    for row in rows:
        print(f"{row['bits']:3} bits: {row['sensor_bits']}  {row['validation_percent']:.2f} %")


def _separable_split(problem, config: Config) -> np.ndarray:
    """Bits per quadrant by the two-level knapsack, for every budget; Int[B+1, 4]."""
    candidates = proposals.find_candidates(problem, config.n_levels)
    histogram = thresholds.class_histograms(
        candidates.level, problem.train.labels, config.n_levels, len(problem.classes)
    )
    gain = jax.jit(thresholds.best_quantisers, static_argnums=1)(
        jnp.asarray(histogram), 4
    ).gain_bits
    gains = [gain[problem.sensor_of == sensor] for sensor in range(4)]
    return np.asarray(allocation.two_level_knapsack(gains, max(config.budgets)).sensor_bits)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Bits of each quadrant."""
    if "all" not in records:
        return []
    metrics = records["all"]["metrics"]
    rows = [
        (
            str(row["bits"]),
            *map(str, row["sensor_bits"]),
            "+".join(map(str, metrics["separable_sensor_bits"][row["bits"]])),
            f"{row['validation_percent']:.2f}",
        )
        for row in metrics["rows"]
    ]
    fewest = ", ".join(f"{target}: {bits}" for target, bits in metrics["fewest_bits"].items())
    return [
        Table(
            "Bits per quadrant, chosen together",
            (
                "bits",
                "top left",
                "top right",
                "bottom left",
                "bottom right",
                "added up separately",
                "validation, %",
            ),
            rows,
            f"Fewest bits tried for a validation accuracy of {fewest}.",
        )
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Shares of the quadrants, and the chosen pixels on the mean image."""
    if "all" not in records:
        return {}
    metrics = records["all"]["metrics"]
    rows = metrics["rows"]
    figure, (left, right) = plots.subplots(2)
    names = ("top left", "top right", "bottom left", "bottom right")
    shares = np.array([row["sensor_bits"] for row in rows]).T
    left.stackplot([row["bits"] for row in rows], shares, labels=names, alpha=0.8)
    left.set(xlabel="budget, bits", ylabel="bits of each quadrant")
    left.legend(loc="upper left")
    shown = max((row for row in rows if row["bits"] <= 16), key=lambda row: row["bits"])
    right.imshow(np.array(metrics["mean_image"]), cmap="gray")
    row, column = np.divmod(shown["pixel"], 28)
    marks = right.scatter(column, row, c=shown["threshold"], cmap="autumn", s=26, vmin=0, vmax=255)
    figure.colorbar(marks, ax=right, label="threshold, of 255")
    right.axhline(13.5, color="white", lw=0.6)
    right.axvline(13.5, color="white", lw=0.6)
    right.grid(visible=False)
    right.set_title(f"the {shown['bits']} chosen pixels on the mean image", loc="left")
    return {"sensors": figure}
