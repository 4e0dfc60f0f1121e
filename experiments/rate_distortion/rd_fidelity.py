"""Prices of fidelity constraints, and which of the published ones bind.

"Convex Relaxations for Entropy-Constrained Compression" (Moussa Nasser) plots the prices of a
global and a subset constraint. Here are both again with certificates, the three meanings that the
subset has there (sum over it, mean within it, every letter), and the published settings: most of
their subset constraints cost nothing, because the global one already implies them.

Cost: paper: 1 min on 1 core; smoke: 30 s.
Data: none.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

import ratedist
from experiments.runner import experiment as ex
from experiments.runner import plots
from ratedist import sources


@dataclass(frozen=True)
class Config:
    levels: int = 30
    """Of the published price curve."""
    subset_sum: float = 0.015
    """D' of the published price curve: a sum over |x| < 0.1, not divided by its probability."""
    clusters_side: int = 40
    """Side of the grid of the published four clusters."""


class Kind(NamedTuple):
    """Kinds of fidelity on the published Gaussian (50 letters, 8 codewords).

    The certificate is computed in NumPy, apart from the solver. Prices are in bits per unit of
    distortion; both letters have the same.
    """

    kind: str
    constraint: Annotated[str, ex.Key]
    level: Annotated[float, ex.Key, ex.Column("D", "g")]
    rate_lb: Annotated[float, ex.Column("rate, bits", ".7f")]
    rate_ub: float
    gap_bits: Annotated[float, ex.Column("gap", ".1e")]
    certificate_bits: Annotated[
        float, ex.Over(max, "bits"), ex.Column("certificate (NumPy)", ".7f"),
        ex.Claim("ratedist.fidelity.{kind}.at_{level:g}", tolerance=1e-6),
    ]  # fmt: skip
    price: Annotated[float, ex.Column("price of D", ".4g")]
    fidelity_price: Annotated[float | None, ex.Column("price of the fidelity", ".4g")]
    prices: tuple[float, ...]
    vacuous: tuple[bool, ...]


class Setting(NamedTuple):
    """The published settings.

    D' bounds the sum over the subset, as the published code does.
    """

    experiment: Annotated[str, ex.Key]
    level: Annotated[float, ex.Column("D", "g")]
    subset_level: Annotated[float, ex.Column("D'", "g")]
    rate_lb: float
    rate_ub: Annotated[float, ex.Column("rate, bits", ".4f")]
    gap_bits: float
    subset_reached: Annotated[float, ex.Column("subset sum reached", ".4g")]
    subset_price: float
    subset_vacuous: Annotated[bool, ex.Column("D' costs nothing")]


class Price(NamedTuple):
    """Prices at one level of the published curve."""

    level: float
    rate_lb: float
    rate_ub: float
    gap_bits: float
    price_global: float
    price_subset: float
    rate_without: float
    """Upper bound on the rate without the subset's constraint."""


_X, _P = sources.gaussian(50).points[:, 0], sources.gaussian(50).p
_D = sources.squared_error(_X, np.linspace(-3, 3, 8))
_NEAR = np.abs(_X) < 0.1


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list:
    """Solve, and certify apart from the solver."""
    ((part,),) = trials
    if part == "kinds":
        return [_kind(kind, level) for kind, level in _KINDS]
    return _price_curve(config) if part == "price curve" else _settings(config)


def _price_curve(config: Config) -> list[Price]:
    def both(level: jax.Array) -> tuple[ratedist.RDPoint, ratedist.RDPoint]:
        mean = ratedist.mean_distortion(_P, level)
        inner = ratedist.subset_sum(_P, _NEAR, config.subset_sum)
        return ratedist.solve_fixed(_P, _D, (mean, inner)), ratedist.solve_fixed(_P, _D, mean)

    levels = np.linspace(0.5, 3.0, config.levels)
    point, without = ratedist.compiled(jax.vmap(both))(levels)
    columns = (levels, point.rate_lb, point.rate_ub, point.gap_bits, *point.nu.T, without.rate_ub)
    return [Price(*map(float, row)) for row in zip(*columns, strict=True)]


_KINDS = (
    ("global", 0.5), ("subset_sum", 0.5), ("subset_mean", 0.5), ("every_letter", 0.5),
    ("subset_sum", 1.0), ("subset_sum", 2.0),
)  # fmt: skip


def _rules(kind: str, level: float) -> tuple[str, tuple[ratedist.Constraint, ...]]:
    """The words for a kind of fidelity, and its constraints with the global one first."""
    letters = [ratedist.per_symbol(int(i), _X.size, 0.2) for i in np.flatnonzero(_NEAR)]
    words, rules = {
        "global": ("global alone", ()),
        "subset_sum": ("sum over the subset <= 0.015", [ratedist.subset_sum(_P, _NEAR, 0.015)]),
        "subset_mean": (
            "mean within it <= 0.015 / P(S)",
            [ratedist.subset_mean(_P, _NEAR, 0.015 / _P[_NEAR].sum())],
        ),
        "every_letter": ("both letters <= 0.20", letters),
    }[kind]
    return words, (ratedist.mean_distortion(_P, level), *rules)


def _kind(kind: str, level: float) -> Kind:
    words, rules = _rules(kind, level)
    point = ratedist.compiled(ratedist.solve_fixed)(_P, _D, rules)
    prices = tuple(np.asarray(point.nu).tolist())
    proved = ratedist.certificate(_P, _D, rules, point.dual, point.q)
    return Kind(
        kind, words, level, *_bounds(point), proved, prices[0], (*prices, None)[1], prices,
        tuple(np.asarray(point.vacuous).tolist()),
    )  # fmt: skip


def _bounds(point: ratedist.RDPoint) -> tuple[float, float, float]:
    return float(point.rate_lb), float(point.rate_ub), float(point.gap_bits)


def _settings(config: Config) -> list[Setting]:
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
        reached, price = float(point.distortion[1]), float(point.nu[1])
        row = Setting(name, level, inner, *_bounds(point), reached, price, bool(point.vacuous[1]))
        found.append(row)
    return found


def recompute(config: Config, row: Kind, data: ex.Data) -> float:
    """The certificate of the prices in the record, with a marginal that is solved for again."""
    _, rules = _rules(row.kind, row.level)
    point = ratedist.solve_fixed(_P, _D, rules)
    return ratedist.certificate(_P, _D, rules, row.prices, point.q)


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Both prices against the global distortion, and what the subset adds to the rate."""
    rows = records["paper"].of(Price)
    figure, (left, right) = plots.subplots(2)
    x = [row.level for row in rows]
    left.plot(x, [row.price_subset for row in rows], color=plots.OURS, label="subset")
    left.plot(x, [row.price_global for row in rows], "--", label="global")
    left.set(xlabel="global distortion D", ylabel="price, bits per unit", yscale="symlog")
    right.plot(x, [row.rate_ub for row in rows], color=plots.OURS, label="with the subset")
    right.plot(x, [row.rate_without for row in rows], "--", label="without")
    right.set(xlabel="global distortion D", ylabel="rate, bits")
    for axis in (left, right):
        axis.legend()
    return {"prices": figure}


EXPERIMENT = ex.of_module(
    __name__,
    (Kind, Setting, Price),
    {"paper": Config(), "smoke": Config(levels=4, clusters_side=16)},
    grid=lambda config: (("price curve",), ("kinds",), ("settings",)),
    data="synthetic sources",
    notes="prices are published in nats per unit of distortion; these are in bits",
)
