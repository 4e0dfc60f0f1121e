"""Published rate-distortion curves and known ones, certified.

The grids and codebooks of "Convex Relaxations for Entropy-Constrained Compression" (Moussa Nasser)
first; then the Gaussian, the Laplacian (absolute error) and a coin on grids fine enough to be
compared with closed forms. Every point has a lower bound, an upper bound and their gap; a level
that no encoder reaches is named as such, not drawn.

Cost: paper: 2 min on 1 core; smoke: 1 min.
Data: none.
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ratedist
from experiments.runner import plots, rows
from experiments.runner.experiment import Claim, Column, Data, Key, Over, Record, of_module
from ratedist import closed_forms, sources


@dataclass(frozen=True)
class Config:
    levels: int = 100
    """Of the published 1-D Gaussian; the other curves have a half and an eighth of that."""
    dense: int = 397
    """Codewords of the fine codebook of the trimodal source."""
    tol_bits: float = 1e-6


class Point(NamedTuple):
    """Certified rate-distortion curves.

    The gap is between certified bounds; the last column is the largest distance to the closed form
    of the continuous source.
    """

    source: Annotated[str, Key, Column("source and codebook")]
    level: Annotated[float, Over(len), Column("levels")]
    infeasible: Annotated[bool, Over(sum), Column("infeasible")]
    """Whether no encoder reaches the level; the distortion is then the least there is."""
    distortion: float
    rate_lb: float | None
    rate_ub: float | None
    gap_bits: Annotated[
        float | None, Over(max, "bits"), Column("largest gap, bits", ".1e"),
        Claim("ratedist.max_certified_gap_bits", tolerance=1.5e-7),
    ]  # fmt: skip
    price_bits_per_unit: float | None
    converged: bool
    exact: float | None
    """The closed form of the continuous source, bits."""
    from_theory_bits: Annotated[float | None, Over(max), Column("from theory", ".1e")]


def measure(config: Config, trials: list[tuple[str]], data: Data) -> list[Point]:
    return [
        point
        for (name,) in trials
        for point in _curve(name, *_problems(config)[name], config.tol_bits)
    ]


def recompute(config: Config, row: Point, data: Data) -> float:
    points = measure(config, [(row.source,)], data)
    return max(point.gap_bits for point in points if point.gap_bits is not None)


def figures(records: dict[str, Record]) -> dict[str, Figure]:
    """The published curves, and the known ones on top of their closed forms."""
    figure, (left, right) = plots.subplots(2)
    solved = [row for row in records["paper"].rows if not row.infeasible]
    for name, points in rows.grouped(solved, lambda row: row.source).items():
        points = sorted(points, key=lambda row: row.distortion)
        known = points[0].exact is not None
        axis = right if known else left
        x = [row.distortion for row in points]
        axis.plot(x, [row.rate_ub for row in points], "." if known else "-", label=name)
        if known:
            axis.plot(x, [row.exact for row in points], color=plots.BASELINE, lw=0.8)
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
    wide, coin = sources.gaussian_2d(13, 4.2), np.array([0.3, 0.7])
    trimodal_levels = np.append(np.linspace(0.2, 3.0, few), [0.417, 0.6])

    def squared(source: sources.Source, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return source.p, sources.squared_error(source.points, code)

    # fmt: off
    return {
        "Gaussian, 8 codewords (report)": (
            *squared(gaussian, np.linspace(-3, 3, 8)), np.linspace(0.1, 3.0, many), None),
        "three bumps, 16 codewords (report)": (
            *squared(bumps, np.linspace(-3, 3, 16)), np.linspace(0.1, 3.0, some), None),
        "2-D Gaussian, 4 x 4 codewords (report)": (
            *squared(flat, corners), np.linspace(0.2, 5.0, few), None),
        "trimodal, fine codebook": (
            *squared(trimodal, np.linspace(-8, 8, config.dense)), trimodal_levels, None),
        "Gaussian, fine grid": (
            *squared(fine, fine.points), np.linspace(0.05, 1.2, some),
            lambda level: closed_forms.gaussian_squared(1.0, level)),
        "2-D Gaussian, fine grid": (
            *squared(wide, wide.points), np.linspace(0.8, 2.2, few),
            lambda level: 2.0 * closed_forms.gaussian_squared(1.0, level / 2.0)),
        "Laplacian, absolute error": (
            sharp.p, np.abs(sharp.points - sharp.points.T), np.linspace(0.3, 1.1, some),
            lambda level: closed_forms.laplacian_absolute(1.0, level)),
        "coin, p = 0.3, Hamming": (
            coin, 1.0 - np.eye(2), np.linspace(0.01, 0.35, some),
            lambda level: closed_forms.bernoulli_hamming(0.3, level)),
    }
    # fmt: on


def _curve(
    name: str, p: np.ndarray, d: np.ndarray, levels: np.ndarray, exact: Any, tol_bits: float
) -> list[Point]:
    points = ratedist.curve(p, d, levels, tol_bits=tol_bits)
    curve = []
    for i, level in enumerate(levels):
        infeasible = bool(points.infeasible[i, 0])
        lower, upper = float(points.rate_lb[i]), float(points.rate_ub[i])
        gap = None if infeasible else float(points.gap_bits[i])
        known = None if exact is None else float(exact(level))
        apart = None if known is None or infeasible else abs(upper - known)
        price, converged = float(points.nu[i, 0]), bool(points.converged[i])
        row = Point(name, float(level), infeasible, float(points.distortion[i, 0]), lower, upper,
                    gap, price, converged, known, apart)  # fmt: skip
        curve.append(row)
    return curve


EXPERIMENT = of_module(
    __name__,
    Point,
    {"paper": Config(), "smoke": Config(levels=10, dense=100)},
    grid=lambda config: ((name,) for name in _problems(config)),
    data="synthetic sources",
    notes="closed forms belong to the continuous sources; the grids are close to them",
)
