"""What fidelity of a few letters costs: dual prices, and which constraints bind at all.

The report plots the prices of its global and its subset constraint. Here are both again with
certificates, the three meanings that the word had (sum over the subset, mean within it, every
letter), and the report's own settings: most of its subset constraints cost nothing, because the
global one already implies them.

    python -m experiments rd_fidelity paper
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

import ratedist
from experiments.runner import plots
from experiments.runner.records import Run, Seconds, write_record
from experiments.runner.registry import Table
from ratedist import sources


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    levels: int = 30
    """Of the report's price curve."""
    subset_sum: float = 0.015
    """D' of the report's price curve: a sum over |x| < 0.1, not divided by its probability."""
    clusters_side: int = 40
    """Side of the grid of the report's four clusters."""


PRESETS = {
    "paper": ("the report's 30 levels and settings", Config()),
    "smoke": ("4 levels, a coarser grid of clusters", Config(levels=4, clusters_side=16)),
}


def run(config: Config, run: Run) -> None:
    """Solve, certify apart from the solver, record."""
    began = time.perf_counter()
    curve = _price_curve(config)
    kinds = _kinds()
    settings = _report_settings(config)
    write_record(
        run,
        run.preset,
        config=config,
        seeds=(),
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"price_curve": curve, "kinds": kinds, "report_settings": settings},
        data="synthetic sources of the report",
        notes="the report prints prices in nats per unit of distortion; these are in bits",
    )
    for row in settings:
        named = "vacuous" if row["subset_vacuous"] else "binds"
        print(f"{row['name']}: R = {row['rate_ub']:.4f} bits, subset constraint {named}")


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """The dual table, and what the report's constraints did."""
    if "paper" not in records:
        return []
    metrics = records["paper"]["metrics"]
    kinds = [
        (
            row["name"],
            f"{row['level']:g}",
            f"{row['rate_lb']:.7f}",
            f"{row['gap_bits']:.1e}",
            f"{row['certificate_bits']:.7f}",
            ", ".join(f"{price:.4g}" for price in row["prices"]),
        )
        for row in metrics["kinds"]
    ]
    settings = [
        (
            row["name"],
            f"{row['level']:g}",
            f"{row['subset_level']:g}",
            f"{row['rate_ub']:.4f}",
            f"{row['subset_reached']:.4g}",
            "costs nothing" if row["subset_vacuous"] else f"{row['subset_price']:.4g}",
        )
        for row in metrics["report_settings"]
    ]
    return [
        Table(
            "Kinds of fidelity on the report's Gaussian (50 letters, 8 codewords)",
            ("constraint", "D", "rate, bits", "gap", "certificate (NumPy)", "prices, bits/unit"),
            kinds,
        ),
        Table(
            "The report's own settings",
            ("experiment", "D", "D'", "rate, bits", "subset sum reached", "price of D'"),
            settings,
            "D' bounds the sum over the subset, as the report's code does.",
        ),
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Both prices against the global distortion, and what the subset adds to the rate."""
    if "paper" not in records:
        return {}
    rows = records["paper"]["metrics"]["price_curve"]
    figure, (left, right) = plots.subplots(2)
    x = [row["level"] for row in rows]
    left.plot(x, [row["price_subset"] for row in rows], color=plots.OURS, label="subset")
    left.plot(x, [row["price_global"] for row in rows], "--", label="global")
    left.set(xlabel="global distortion D", ylabel="price, bits per unit", yscale="symlog")
    right.plot(x, [row["rate_ub"] for row in rows], color=plots.OURS, label="with the subset")
    right.plot(x, [row["rate_without"] for row in rows], "--", label="without")
    right.set(xlabel="global distortion D", ylabel="rate, bits")
    for axis in (left, right):
        axis.legend()
    return {"prices": figure}


def _report_gaussian() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    source = sources.gaussian(50)
    x = source.points[:, 0]
    return x, source.p, sources.squared_error(x, np.linspace(-3, 3, 8)), np.abs(x) < 0.1


def _price_curve(config: Config) -> list[dict[str, float]]:
    _, p, d, near = _report_gaussian()

    def both(level: jax.Array) -> tuple[ratedist.RDPoint, ratedist.RDPoint]:
        mean = ratedist.mean_distortion(p, level)
        inner = ratedist.subset_sum(p, near, config.subset_sum)
        return ratedist.solve_fixed(p, d, (mean, inner)), ratedist.solve_fixed(p, d, mean)

    levels = np.linspace(0.5, 3.0, config.levels)
    with_subset, without = ratedist.compiled(jax.vmap(both))(levels)
    return [
        {
            "level": float(level),
            "rate_lb": float(with_subset.rate_lb[i]),
            "rate_ub": float(with_subset.rate_ub[i]),
            "gap_bits": float(with_subset.gap_bits[i]),
            "price_global": float(with_subset.nu[i, 0]),
            "price_subset": float(with_subset.nu[i, 1]),
            "rate_without": float(without.rate_ub[i]),
        }
        for i, level in enumerate(levels)
    ]


def _kinds() -> list[dict[str, Any]]:
    x, p, d, near = _report_gaussian()
    mass, size = p[near].sum(), x.size
    solve = ratedist.compiled(ratedist.solve_fixed)
    found = []
    for name, level, rules in (
        ("global alone", 0.5, ()),
        ("sum over the subset <= 0.015", 0.5, (ratedist.subset_sum(p, near, 0.015),)),
        ("mean within it <= 0.015 / P(S)", 0.5, (ratedist.subset_mean(p, near, 0.015 / mass),)),
        (
            "both letters <= 0.20",
            0.5,
            tuple(ratedist.per_symbol(int(i), size, 0.2) for i in np.flatnonzero(near)),
        ),
        ("sum over the subset <= 0.015", 1.0, (ratedist.subset_sum(p, near, 0.015),)),
        ("sum over the subset <= 0.015", 2.0, (ratedist.subset_sum(p, near, 0.015),)),
    ):
        every = (ratedist.mean_distortion(p, level), *rules)
        point = solve(p, d, every)
        found.append(
            {
                "name": name,
                "level": level,
                "rate_lb": float(point.rate_lb),
                "rate_ub": float(point.rate_ub),
                "gap_bits": float(point.gap_bits),
                "certificate_bits": ratedist.certificate(p, d, every, point.dual, point.q),
                "prices": np.asarray(point.nu),
                "vacuous": np.asarray(point.vacuous),
            }
        )
    return found


def _report_settings(config: Config) -> list[dict[str, Any]]:
    trimodal, spike = sources.trimodal(), sources.spike()
    clusters = sources.four_clusters(config.clusters_side)
    grid = np.linspace(-8.0, 8.0, 6)
    corners = np.stack([a.ravel() for a in np.meshgrid(grid, grid, indexing="ij")], axis=1)
    radius = np.linalg.norm(clusters.points, axis=1)
    found = []
    for name, source, code, inside, level, inner in (
        ("refinement, 1-D", trimodal, trimodal.points, np.abs(trimodal.points[:, 0]) < 1, 0.6, 0.6),
        ("spike, D = 30.5", spike, spike.points, np.abs(spike.points[:, 0]) < 0.1, 30.5, 0.2),
        ("spike against Lloyd", spike, spike.points, np.abs(spike.points[:, 0]) < 0.1, 1.6, 1.6),
        ("four clusters, 2-D", clusters, corners, radius < 2.0, 8.0, 1.0),
    ):
        d = sources.squared_error(source.points, code)
        rules = (
            ratedist.mean_distortion(source.p, level),
            ratedist.subset_sum(source.p, inside, inner),
        )
        point = ratedist.compiled(ratedist.solve_fixed)(source.p, d, rules)
        found.append(
            {
                "name": name,
                "level": level,
                "subset_level": inner,
                "rate_lb": float(point.rate_lb),
                "rate_ub": float(point.rate_ub),
                "gap_bits": float(point.gap_bits),
                "subset_reached": float(point.distortion[1]),
                "subset_price": float(point.nu[1]),
                "subset_vacuous": bool(point.vacuous[1]),
            }
        )
    return found
