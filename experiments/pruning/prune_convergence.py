"""How robust is each method: PMMP and its variants beside DRR, over rates, strengths and beta.

The paper's own next checks: training stability and final performance over seeds and learning
rates, and the interactions of DRR's alpha, beta and the threshold's tolerance. Each lane is a
complete run of three phases of LeNet-300-100; the spread over seeds and the lanes that diverge or
collapse are part of the result.

    python -m experiments prune_convergence digits
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.pruning import prune_lenet, prune_runs
from experiments.pruning.prune_lenet import Config as LenetConfig
from experiments.pruning.prune_runs import Grid, Training
from experiments.runner.records import Run
from experiments.runner.registry import Table
from pruning.methods import METHODS

COLLAPSED_ERROR = 0.5
"""A lane with more than this test error has learned nothing to speak of."""

RATES = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    data: str = "digits"
    methods: dict[str, tuple[float, ...]] = field(
        default_factory=lambda: {
            "drr": (1e-4, 3e-4, 1e-3),
            "pmmp": (3e-3, 3e-2, 0.3),
            "fpp": (3e-3, 3e-2, 0.3),
            "pmmp_curvature": (1e-5, 1e-4, 1e-3),
            "pmmp_admm": (3e-2, 0.1, 0.3),
        }
    )
    """Strengths of each method, crossed with the learning rates."""
    learning_rates: tuple[float, ...] = RATES
    drr_strengths: tuple[float, ...] = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
    """Crossed with sharpnesses and tolerances, for DRR's three coupled settings."""
    sharpnesses: tuple[float, ...] = (1.0, 5.0, 20.0)
    tolerances: tuple[float, ...] = (0.01, 0.1, 0.5)
    training: Training = field(
        default_factory=lambda: Training(epochs=100, fine_tune_epochs=50, batch_size=100)
    )
    seeds: tuple[int, ...] = (0, 1, 2)
    validation_images: int = 297


FREE_FIELDS = ()
"""Each record holds all strengths and seeds of a method; see `records.claim_folder`."""

PRESETS = {
    "digits": ("LeNet-300-100 on the embedded digits: about 20 minutes on 2 cores", Config()),
    "smoke": (
        "two methods, one seed, a few epochs: under a minute",
        Config(
            methods={"pmmp_curvature": (1e-4,)},
            learning_rates=(1e-3, 2e-3),
            drr_strengths=(3e-4,),
            sharpnesses=(5.0, 20.0),
            tolerances=(0.1,),
            training=Training(epochs=10, fine_tune_epochs=5, batch_size=100),
            seeds=(0,),
        ),
    ),
    "gpu": (
        "the same on MNIST, five seeds: under 10 minutes on one H100",
        Config(data="mnist", seeds=(0, 1, 2, 3, 4), training=Training(), validation_images=5_000),
    ),
}


def grids(config: Config) -> dict[str, Grid]:
    """The grids of a run, by the name of their record."""
    found = {
        f"rates_{method}": Grid(method, strengths, (0.1,), config.learning_rates)
        for method, strengths in config.methods.items()
    }
    found["drr_settings"] = Grid(
        "drr", config.drr_strengths, config.tolerances, sharpnesses=config.sharpnesses
    )
    return found


def run(config: Config, run: Run) -> None:
    """One program and one record for each grid; those that a cut-off run recorded stay."""
    lenet = LenetConfig(
        data=config.data,
        training=config.training,
        seeds=config.seeds,
        validation_images=config.validation_images,
        write_files=False,
    )
    parts = prune_lenet.load_parts(lenet, run.data_dir)
    for name, grid in grids(config).items():
        if (run.folder / "records" / f"{name}.json").is_file():
            continue
        lanes, seconds = prune_lenet.train_grid(lenet, grid, parts)
        prune_runs.save(run.folder / "lanes" / f"{name}.npz", lanes)
        prune_lenet.record(run, name, config, grid.method, lanes, seconds, config.data)
        means = 100 * lanes.metrics["test_error"].mean(axis=1)
        print(f"{name}: {len(means)} points, test error {means.min():.2f} to {means.max():.2f} %")


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Over learning rates: best and worst; how many lanes diverged or collapsed."""
    rows: list[tuple[Any, ...]] = []
    for name, record in records.items():
        if not name.startswith("rates_") or record["preset"] == "smoke":
            continue
        points, lanes = record["metrics"]["points"], record["metrics"]["lanes"]
        rates = np.asarray(points["learning_rate"])
        error, nonzeros = np.asarray(lanes["test_error"]), np.asarray(lanes["nonzeros"])
        lost = ~np.asarray(lanes["finite"]) | (error > COLLAPSED_ERROR)
        for rate in np.unique(rates):
            mine = rates == rate
            kept = error[mine][~lost[mine]]
            sizes = nonzeros[mine][~lost[mine]]
            rows.append(
                (
                    METHODS[record["metrics"]["method"]].title,
                    f"{rate:g}",
                    f"{100 * kept.mean():.2f} ± {100 * kept.std():.2f}" if kept.size else "-",
                    f"{np.median(sizes):,.0f}" if kept.size else "-",
                    f"{int(lost[mine].sum())} / {lost[mine].size}",
                )
            )
    if not rows:
        return []
    columns = ("method", "learning rate", "test error, %", "median nonzeros", "lanes lost")
    note = (
        "Over all strengths and seeds of a method; lost lanes diverged or ended above "
        f"{100 * COLLAPSED_ERROR:.0f} % error and are not in the means."
    )
    return [Table("Convergence over learning rates", columns, rows, note)]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """DRR's alpha x beta at each tolerance: heat maps of error and nonzeros."""
    record = records.get("drr_settings")
    if record is None or record["preset"] == "smoke":
        return {}
    from experiments.runner import plots  # drawing is not needed where lanes are trained

    points = {name: np.asarray(values) for name, values in record["metrics"]["points"].items()}
    lanes = record["metrics"]["lanes"]
    shown = {
        "test error, %": 100 * np.mean(lanes["test_error"], axis=1),
        "log10 of nonzeros": np.log10(np.maximum(np.mean(lanes["nonzeros"], axis=1), 1)),
    }
    tolerances = np.unique(points["tolerance"])
    drawn = {}
    for title, values in shown.items():
        figure, axes = plots.subplots(len(tolerances), width=3.2, height=2.8)
        for axis, tolerance in zip(axes, tolerances, strict=True):
            strengths, betas = np.unique(points["strength"]), np.unique(points["sharpness"])
            mine = np.isclose(points["tolerance"], tolerance)
            order = np.lexsort((points["strength"][mine], points["sharpness"][mine]))
            image = values[mine][order].reshape(len(betas), len(strengths))
            axis.imshow(image, aspect="auto", cmap="viridis", vmin=values.min(), vmax=values.max())
            for (row, column), value in np.ndenumerate(image):
                axis.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=7)
            axis.set_xticks(range(len(strengths)), [f"{s:.0e}" for s in strengths], fontsize=6)
            axis.set_yticks(range(len(betas)), [f"{b:g}" for b in betas])
            axis.set(xlabel="alpha", ylabel="beta", title=f"{title}, tolerance {tolerance:g}")
            axis.grid(visible=False)
        drawn["drr_" + ("error" if "error" in title else "nonzeros")] = figure
    return drawn
