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

import ratedist
from experiments.runner import experiment as ex
from ratedist import closed_forms, sources


@dataclass(frozen=True)
class Config:
    levels: int = 100
    """Of the published 1-D Gaussian; the other curves have a half and an eighth of that."""
    dense: int = 397
    """Codewords of the fine codebook of the trimodal source."""


class Point(NamedTuple):
    """Certified rate-distortion curves.

    The gap is between certified bounds; the last column is the largest distance to the closed form
    of the continuous source.
    """

    source: Annotated[str, ex.Key, ex.Column("source and codebook")]
    level: Annotated[float, ex.Key, ex.Axis("level"), ex.Column(shown=False)]
    converged: Annotated[bool, ex.Over(len), ex.Column("levels")]
    infeasible: Annotated[bool, ex.Over(sum), ex.Column("infeasible")]
    """Whether no encoder reaches the level; the distortion is then the least there is."""
    distortion: Annotated[float, ex.Axis("distortion", x=True)]
    rate_lb: float | None
    rate_ub: Annotated[float | None, ex.Axis("rate, bits")]
    gap_bits: Annotated[
        float | None, ex.Over(max, "bits"), ex.Column("largest gap, bits", ".1e"),
        ex.Claim("ratedist.max_certified_gap_bits", tolerance=1.5e-7),
    ]  # fmt: skip
    price_bits_per_unit: float | None
    exact: float | None
    """The closed form of the continuous source, bits."""
    from_theory_bits: Annotated[float | None, ex.Over(max), ex.Column("from theory", ".1e")]


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Point]:
    ((name,),) = trials
    p, d, levels, closed_form = _problems(config)[name]
    points = ratedist.curve(p, d, levels)
    found = []
    for i, level in enumerate(levels):
        infeasible, upper = bool(points.infeasible[i, 0]), float(points.rate_ub[i])
        gap = None if infeasible else float(points.gap_bits[i])
        exact = None if closed_form is None else float(closed_form(level))
        apart = None if exact is None or infeasible else abs(upper - exact)
        found.append(
            Point(name, float(level), bool(points.converged[i]), infeasible,
                  float(points.distortion[i, 0]), float(points.rate_lb[i]), upper, gap,
                  float(points.nu[i, 0]), exact, apart)
        )  # fmt: skip
    return found


def _problems(config: Config) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, Any]]:
    """Name -> (p, d, levels, closed form or None)."""
    many, some, few = config.levels, max(config.levels // 2, 4), max(config.levels // 8, 4)
    gaussian, flat = sources.gaussian(50), sources.gaussian_2d()
    bumps, trimodal = sources.three_bumps(), sources.trimodal()
    corners = sources.square_grid(4, 3.0)
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


EXPERIMENT = ex.of_module(
    __name__,
    Point,
    {"paper": Config(), "smoke": Config(levels=10, dense=100)},
    grid=lambda config: ((name,) for name in _problems(config)),
    recompute=lambda config, row, data: measure(config, [(row.source,)], data),
    data="synthetic sources",
    notes="closed forms belong to the continuous sources; the grids are close to them",
)
