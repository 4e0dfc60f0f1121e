"""From the convex optimum to a deterministic code: three information curves against temperature.

The report planned a decreasing temperature and never built it. Codewords start at random letters;
at each temperature I(X;Y), H(Y) and H(Y|X) are measured, and the certified R(D) at the distortion
of that moment, so that the gap of both rates to the bound is known all the way.

    python -m experiments rd_annealing paper
"""

from __future__ import annotations

import functools
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
from ratedist import quantizers, sources
from ratedist.codebooks import merging


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    prices: tuple[float, ...] = (0.7, 1.3)
    """s, bits per unit of distortion."""
    codewords: int = 48
    temperatures: int = 32
    coldest: float = 0.01
    steps: int = 60
    """Alternations at each temperature."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


PRESETS = {
    "paper": ("two sources, two prices, five seeds", Config()),
    "smoke": (
        "one price, two seeds, few temperatures",
        Config(prices=(0.7,), codewords=12, temperatures=5, steps=15, seeds=(0, 1)),
    ),
}


def run(config: Config, run: Run) -> None:
    """Anneal every seed, certify the path, record."""
    began = time.perf_counter()
    paths = []
    for name, source in (("trimodal", sources.trimodal()), ("Gaussian", sources.gaussian(64, 4.0))):
        for price in config.prices:
            # The same number of bits per standard deviation for both sources.
            scale = 1.0 if name == "trimodal" else 6.0
            paths.append(_path(config, name, source, scale * price))
            row = paths[-1]
            print(f"{name}, s = {row['price']:g}: gap of H(Y) to R(D) from "
                  f"{np.mean(row['output_gap_bits'], axis=0)[0]:.3f} to "
                  f"{np.mean(row['output_gap_bits'], axis=0)[-1]:.3f} bits")  # fmt: skip
    write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"temperatures": _temperatures(config), "paths": paths},
        data="synthetic sources of the report",
        notes="R(D) is over a codebook twice as fine as the letters, which codewords that move "
        "may pass by 1e-4 bits; lists are (seed, temperature)",
    )


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Start and end of every path, beside the optimal scalar code of the same price."""
    if "paper" not in records:
        return []
    rows = []
    for path in records["paper"]["metrics"]["paths"]:
        gap = np.array(path["output_gap_bits"])
        cost = np.array(path["final_cost_bits"]) - path["optimal_cost_bits"]
        rows.append(
            (
                path["source"],
                f"{path['price']:g}",
                f"{np.mean(path['mutual_information_gap_bits'], axis=0)[0]:.4f}",
                f"{gap[:, 0].mean():.3f}",
                f"{gap[:, -1].mean():.4f} +- {gap[:, -1].std(ddof=1):.4f}",
                f"{np.mean(path['codewords'], axis=0)[-1]:.1f}",
                f"{cost.mean():.4f} +- {cost.std(ddof=1):.4f}",
            )
        )
    return [
        Table(
            "Annealing to a deterministic code",
            (
                "source",
                "price s",
                "I above R(D), hot",
                "H(Y) above R(D), hot",
                "H(Y) above R(D), cold",
                "codewords left",
                "cost above the best scalar code",
            ),
            rows,
            "Bits; mean and deviation over seeds. Cost is H(Y) + s D, the best is by dynamic "
            "programming.",
        )
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """The three curves for one path, and both gaps."""
    if "paper" not in records:
        return {}
    metrics = records["paper"]["metrics"]
    figure, (left, right) = plots.subplots(2)
    path, t = metrics["paths"][0], metrics["temperatures"]
    for field, label in (
        ("output_entropy_bits", "H(Y)"),
        ("mutual_information_bits", "I(X;Y)"),
        ("conditional_entropy_bits", "H(Y|X)"),
        ("bound_bits", "certified R(D)"),
    ):
        dashes = "--" if field == "bound_bits" else "-"
        left.plot(t, np.mean(path[field], axis=0), dashes, label=label)
    for path in metrics["paths"]:
        label = f"{path['source']}, s = {path['price']:g}"
        right.plot(t, np.mean(path["output_gap_bits"], axis=0), label=label)
    for axis in (left, right):
        axis.set(xlabel="temperature", xscale="log")
        axis.invert_xaxis()
        axis.legend(fontsize=7)
    left.set(ylabel="bits")
    right.set(ylabel="H(Y) - R(D), bits")
    return {"annealing": figure}


def _temperatures(config: Config) -> np.ndarray:
    return np.append(np.geomspace(1.0, config.coldest, config.temperatures - 1), 0.0)


def _path(config: Config, name: str, source: sources.Source, price: float) -> dict[str, Any]:
    starts = np.stack(
        [
            np.random.default_rng(seed).choice(source.points[:, 0], config.codewords, p=source.p)
            for seed in config.seeds
        ]
    )
    one = functools.partial(
        ratedist.anneal,
        source.p,
        source.points,
        s=price,
        temperatures=_temperatures(config),
        steps=config.steps,
        least_distance=1e-2,
    )
    path = ratedist.compiled(jax.vmap(lambda y: one(merging.codebook(y))))(starts)
    x = source.points[:, 0]
    d = sources.squared_error(x, np.linspace(x[0], x[-1], 2 * x.size - 1))
    levels = np.asarray(path.distortion).reshape(-1)
    points = ratedist.curve(source.p, d, levels)
    bound = np.asarray(points.rate_lb).reshape(np.shape(path.distortion))
    best = quantizers.scalar_code(source.p, source.points[:, 0], price)
    return {
        "source": name,
        "price": price,
        "mutual_information_bits": path.mutual_information_bits,
        "output_entropy_bits": path.output_entropy_bits,
        "conditional_entropy_bits": path.conditional_entropy_bits,
        "distortion": path.distortion,
        "codewords": path.codewords,
        "bound_bits": bound,
        "max_certified_gap_bits": float(np.max(points.gap_bits)),
        "mutual_information_gap_bits": path.mutual_information_bits - bound,
        "output_gap_bits": path.output_entropy_bits - bound,
        "final_cost_bits": path.output_entropy_bits[:, -1] + price * path.distortion[:, -1],
        "optimal_cost_bits": float(best.rate_bits + price * best.distortion),
    }
