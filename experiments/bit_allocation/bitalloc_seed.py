"""The published system's own setting: 800 training, 200 validation and 500 test images.

Twenty random subsets of Fashion-MNIST's T-shirts, dresses and coats, the 500 test images drawn from
the official test set. Beside the published baseline, centralised and by quadrants with an equal
split, stands our pixel encoder fitted on the same 800 images and tested on the same 500, and,
for the goals, on all 3,000. The published points are one subset, which is not public.

    python -m experiments bitalloc_seed published
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from bitalloc import decoder as decoders
from bitalloc.encoders import encoder as encoders
from bitalloc.fitting import modes, published_baseline
from bitalloc.fitting.fit import Problem
from experiments.bit_allocation import bitalloc_data
from experiments.bit_allocation.bitalloc_curves import PUBLISHED, UNCOMPRESSED_PUBLISHED
from experiments.runner import plots
from experiments.runner.records import Claim, Run, Seconds, kept, write_claims, write_record
from experiments.runner.registry import Table, aligned
from experiments.runner.statistics import over_seeds
from fewbits.io import datasets


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    subsets: int = 20
    recipe_bits: tuple[int, ...] = (4, 8, 16, 32, 64, 160)
    pixel_bits: tuple[int, ...] = (2, 4, 8, 16, 32, 160)
    n_train: int = 800
    n_validation: int = 200
    n_test: int = 500
    importance_penalty: float = 3e-3
    retrain_penalty: float = 1e-3
    restarts: int = 10


FREE_FIELDS = ("subsets",)
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "published": ("twenty subsets", Config()),
    "smoke": (
        "one small subset",
        Config(1, (4,), (2,), 150, 50, 100, importance_penalty=3e-2, restarts=0),
    ),
}


def run(config: Config, run: Run) -> None:
    """Both systems on every subset; a run that was cut off goes on with the next subset."""
    train = bitalloc_data.three_classes("train", run.data_dir)
    test = bitalloc_data.three_classes("test", run.data_dir)
    rows, began = [], time.perf_counter()
    for seed in range(config.subsets):
        path = run.folder / "subsets" / f"{seed}.json"
        rows += kept(path, partial(_measure_subset, config, seed, train, test))
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=range(config.subsets),
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"rows": rows},
        data=datasets.SOURCES["fashion_mnist"].note,
        notes="seconds.run covers the subsets measured by the last start of the run",
    )
    if run.preset != "smoke":
        write_claims(run, _claims(run, rows, f"bitalloc_seed/{record.name}"))
    print(aligned([("system", "view", "bits", "500 images, %", "3,000, %"), *_summaries(rows)]))


def _measure_subset(config: Config, seed: int, train, test) -> list[dict[str, Any]]:
    chosen = np.random.default_rng(seed).permutation(len(test.labels))[: config.n_test]
    few = bitalloc_data.Sample(test.features[chosen], test.labels[chosen])
    rows = []

    def note(system: str, view: str, bits: int, predict) -> None:
        few_percent, all_percent = (
            100 * float(np.mean(predict(sample.features) == sample.labels))
            for sample in (few, test)
        )
        rows.append(
            {
                "system": system,
                "view": view,
                "bits": bits,
                "subset": seed,
                "few_test_percent": few_percent,
                "all_test_percent": all_percent,
            }
        )

    for view in ("central", "quadrants"):
        problem = bitalloc_data.problem(
            train, seed, view, n_train=config.n_train, n_validation=config.n_validation
        )
        for bits, predict in _recipe(config, problem):
            note("recipe", view, bits, predict)
    problem = bitalloc_data.problem(
        train, seed, "central", n_train=config.n_train, n_validation=config.n_validation
    )
    settings = replace(bitalloc_data.RECORDED, restarts=config.restarts, networks=False)
    for bits in config.pixel_bits:
        model = modes.fit(jax.random.key(seed), problem, "pixel", bits, settings)
        note("pixel", "central", bits, _reader(model.encoder, model.decoder, problem, 1.0))
    return rows


def _reader(encoder, decoder, problem: Problem, unit: float):
    """Classes of raw images, through the symbols."""
    depth = encoders.depth_bits(encoder)

    def predict(features: np.ndarray) -> np.ndarray:
        symbols = encoders.encode(encoder, features / unit, problem.sensor_of)
        return decoders.decode(decoder, symbols, depth)

    return predict


def _recipe(config: Config, problem: Problem):
    """(bits, predict) of the published baseline at every budget; importances are shared."""
    features, labels = problem.train.features / 255.0, problem.train.labels
    n_classes = len(problem.classes)
    importance = published_baseline.importances(
        features, labels, n_classes, problem.sensor_of, config.importance_penalty
    )
    for bits in config.recipe_bits:
        fitted = published_baseline.fit(
            features,
            labels,
            n_classes,
            problem.sensor_of,
            bits,
            importance,
            config.retrain_penalty,
        )
        yield bits, _reader(fitted.encoder, fitted.decoder, problem, 255.0)


def _claims(run: Run, rows: list[dict[str, Any]], record: str) -> list[Claim]:
    wanted = [
        ("recipe", view, bits, "few") for view in ("central", "quadrants") for bits in (4, 160)
    ]
    wanted += [
        ("pixel", "central", bits, "all")
        for bits in sorted({row["bits"] for row in rows if row["system"] == "pixel"})
    ]
    claims = []
    for system, view, bits, which in wanted:
        accuracy = over_seeds(_values(rows, (system, view, bits), f"{which}_test_percent"))
        name = "published_recipe" if system == "recipe" else "pixel800"
        claims.append(
            Claim(
                id=f"bitalloc.{name}.{view}.{bits}",
                value=accuracy.mean,
                std=accuracy.std,
                seeds=accuracy.count,
                unit="%",
                record=record,
                command=run.command,
            )
        )
    return claims


def _values(rows: list[dict[str, Any]], key: tuple[str, str, int], field: str) -> np.ndarray:
    return np.array([r[field] for r in rows if (r["system"], r["view"], r["bits"]) == key])


def _summaries(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    summaries = []
    for key in dict.fromkeys((row["system"], row["view"], row["bits"]) for row in rows):
        cells = [
            over_seeds(_values(rows, key, field)).text()
            for field in ("few_test_percent", "all_test_percent")
        ]
        summaries.append((key[0], key[1], str(key[2]), *cells))
    return summaries


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Baseline and pixel encoder over the subsets, the published points first."""
    if "published" not in records:
        return []
    points = [
        ("as published", view, str(bits), f"{v:.0f}", "")
        for (_, view, bits), v in PUBLISHED.items()
    ]
    return [
        Table(
            "800 training images: the published recipe, and ours",
            ("system", "view", "bits per image", "500 test images, %", "3,000 test images, %"),
            [*points, *_summaries(records["published"]["metrics"]["rows"])],
            "Mean ± standard deviation over twenty random subsets; the published points are one "
            "subset that is not public.",
        )
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Accuracy against bits with the spread over subsets; the published points as markers."""
    if "published" not in records:
        return {}
    rows = records["published"]["metrics"]["rows"]
    figure, (axis,) = plots.subplots(width=5.4)
    for system, view, colour in (
        ("pixel", "central", plots.OURS),
        ("recipe", "central", plots.BASELINE),
        ("recipe", "quadrants", "#c9a227"),
    ):
        budgets = sorted({r["bits"] for r in rows if (r["system"], r["view"]) == (system, view)})
        values = [_values(rows, (system, view, bits), "few_test_percent") for bits in budgets]
        axis.errorbar(
            budgets,
            [v.mean() for v in values],
            [v.std(ddof=1) for v in values],
            fmt="o-",
            color=colour,
            capsize=2,
            label=f"{system}, {view}",
        )
    for (_, view, bits), value in PUBLISHED.items():
        marker = "*" if view == "central" else "P"
        label = f"published, {view}" if bits == 160 else None
        axis.plot(bits, value, marker, color=plots.PUBLISHED, ms=9, ls="none", label=label)
    axis.axhline(UNCOMPRESSED_PUBLISHED, color=plots.PUBLISHED, lw=0.8, ls=":")
    axis.set(xlabel="bits per image", ylabel="accuracy on 500 test images, %")
    plots.doubling_axis(axis)
    axis.legend()
    return {"eight_hundred_images": figure}
