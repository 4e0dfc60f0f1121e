"""Rate-distortion functions of the report's sources, certified, beside what is known exactly.

The report's grids and codebooks first; then the Gaussian, the Laplacian (absolute error) and a coin
on grids fine enough to be compared with closed forms. Every point has a lower bound, an upper bound
and their gap; a level that no encoder reaches is named as such, not drawn.

    python -m experiments rd_curves paper
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ratedist
from experiments.runner import plots
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table
from ratedist import closed_forms, sources


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    levels: int = 100
    """Of the report's 1-D Gaussian; its other curves have a half and an eighth of that."""
    dense: int = 397
    """Codewords of the fine codebook of the trimodal source."""
    tol_bits: float = 1e-6


PRESETS = {
    "paper": ("the report's grids and four known curves", Config()),
    "smoke": ("a tenth of the levels, a coarser codebook", Config(levels=10, dense=100)),
}


def run(config: Config, run: Run) -> None:
    """Solve every curve, record, claim the largest gap."""
    began = time.perf_counter()
    curves = {}
    for name, (p, d, levels, exact) in _problems(config).items():
        curves[name] = _curve(p, d, levels, exact, config.tol_bits)
        rows = curves[name]
        gaps = [row["gap_bits"] for row in rows if not row["infeasible"]]
        print(f"{name}: {len(rows)} levels, {len(rows) - len(gaps)} infeasible, "
              f"largest gap {max(gaps):.2g} bits", flush=True)  # fmt: skip
    largest = max(r["gap_bits"] for rows in curves.values() for r in rows if not r["infeasible"])
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=(),
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"curves": curves, "max_certified_gap_bits": largest},
        data="synthetic sources of the report",
        notes="closed forms belong to the continuous sources; the grids are close to them",
    )
    if run.preset == "paper":
        claim = Claim(
            id="ratedist.max_certified_gap_bits",
            value=largest,
            std=None,
            seeds=1,
            unit="bits",
            record=f"rd_curves/{record.name}",
            command=run.command,
        )
        write_claims(run, [claim])


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """One row per curve: how many points, the largest gap, the largest distance to theory."""
    if "paper" not in records:
        return []
    rows = []
    for name, points in records["paper"]["metrics"]["curves"].items():
        solved = [row for row in points if not row["infeasible"]]
        away = [row["rate_ub"] - row["exact"] for row in solved if row["exact"] is not None]
        rows.append(
            (
                name,
                len(points),
                len(points) - len(solved),
                f"{max(row['gap_bits'] for row in solved):.1e}",
                f"{max(map(abs, away)):.1e}" if away else "",
            )
        )
    return [
        Table(
            "Certified rate-distortion curves",
            ("source and codebook", "levels", "infeasible", "largest gap, bits", "from theory"),
            rows,
            "The gap is between certified bounds; the last column is the largest distance to the "
            "closed form of the continuous source.",
        )
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """The report's three curves, and the known ones on top of their closed forms."""
    if "paper" not in records:
        return {}
    curves = records["paper"]["metrics"]["curves"]
    figure, (left, right) = plots.subplots(2)
    for name, points in curves.items():
        solved = sorted(
            (row for row in points if not row["infeasible"]), key=lambda row: row["distortion"]
        )
        known = solved[0]["exact"] is not None
        axis = right if known else left
        x = [row["distortion"] for row in solved]
        axis.plot(x, [row["rate_ub"] for row in solved], "." if known else "-", label=name)
        if known:
            axis.plot(x, [row["exact"] for row in solved], color=plots.BASELINE, lw=0.8)
    for axis in (left, right):
        axis.set(xlabel="distortion", ylabel="rate, bits")
        axis.legend(fontsize=6)
    return {"curves": figure}


def _problems(config: Config) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, Any]]:
    """Name -> (p, d, levels, closed form or None)."""
    many, some, few = config.levels, max(config.levels // 2, 4), max(config.levels // 8, 4)
    gaussian, flat = sources.gaussian(50), sources.gaussian_2d()
    bumps, trimodal = sources.three_bumps(), sources.trimodal()
    grid = np.linspace(-3.0, 3.0, 4)
    corners = np.stack([a.ravel() for a in np.meshgrid(grid, grid, indexing="ij")], axis=1)
    fine, sharp = sources.gaussian(97, 6.0), sources.laplacian(161, 10.0)
    wide = sources.gaussian_2d(13, 4.2)
    square = sources.squared_error
    return {
        "Gaussian, 8 codewords (report)": (
            gaussian.p,
            square(gaussian.points, np.linspace(-3, 3, 8)),
            np.linspace(0.1, 3.0, many),
            None,
        ),
        "three bumps, 16 codewords (report)": (
            bumps.p,
            square(bumps.points, np.linspace(-3, 3, 16)),
            np.linspace(0.1, 3.0, some),
            None,
        ),
        "2-D Gaussian, 4 x 4 codewords (report)": (
            flat.p,
            square(flat.points, corners),
            np.linspace(0.2, 5.0, few),
            None,
        ),
        "trimodal, fine codebook": (
            trimodal.p,
            square(trimodal.points, np.linspace(-8, 8, config.dense)),
            np.append(np.linspace(0.2, 3.0, few), [0.417, 0.6]),
            None,
        ),
        "Gaussian, fine grid": (
            fine.p,
            square(fine.points, fine.points),
            np.linspace(0.05, 1.2, some),
            lambda level: closed_forms.gaussian_squared(1.0, level),
        ),
        "2-D Gaussian, fine grid": (
            wide.p,
            square(wide.points, wide.points),
            np.linspace(0.8, 2.2, few),
            lambda level: 2.0 * closed_forms.gaussian_squared(1.0, level / 2.0),
        ),
        "Laplacian, absolute error": (
            sharp.p,
            np.abs(sharp.points - sharp.points.T),
            np.linspace(0.3, 1.1, some),
            lambda level: closed_forms.laplacian_absolute(1.0, level),
        ),
        "coin, p = 0.3, Hamming": (
            np.array([0.3, 0.7]),
            1.0 - np.eye(2),
            np.linspace(0.01, 0.35, some),
            lambda level: closed_forms.bernoulli_hamming(0.3, level),
        ),
    }


def _curve(
    p: np.ndarray, d: np.ndarray, levels: np.ndarray, exact: Any, tol_bits: float
) -> list[dict[str, Any]]:
    points = ratedist.compiled(ratedist.curve)(p, d, levels, tol_bits=tol_bits)
    return [
        {
            "level": float(level),
            "distortion": float(points.distortion[i, 0]),
            "rate_lb": _finite(points.rate_lb[i]),
            "rate_ub": _finite(points.rate_ub[i]),
            "gap_bits": _finite(points.gap_bits[i]),
            "price_bits_per_unit": _finite(points.nu[i, 0]),
            "infeasible": bool(points.infeasible[i, 0]),
            "converged": bool(points.converged[i]),
            "exact": None if exact is None else float(exact(level)),
        }
        for i, level in enumerate(levels)
    ]


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
