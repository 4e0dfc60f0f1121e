"""Prices of fidelity constraints, and which of the published ones bind.

"Convex Relaxations for Entropy-Constrained Compression" (Moussa Nasser) plots the prices of a
global and a subset constraint. Here are both again with certificates, the three meanings that the
subset has there (sum over it, mean within it, every letter), and the published settings: most of
their subset constraints cost nothing, because the global one already implies them.

Cost: paper: 1 min on 1 core; smoke: 30 s.
Data: none.
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

import ratedist
from experiments.runner import experiment as ex
from ratedist import sources


@dataclass(frozen=True)
class Config:
    levels: int = 30
    """Of the published price curve."""
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
    gap_bits: Annotated[float, ex.Column("gap", ".1e")]
    certificate_bits: Annotated[
        float, ex.Over(max, "bits"), ex.Column("certificate (NumPy)", ".7f"),
        ex.Claim("ratedist.fidelity.{kind}.at_{level:g}", tolerance=1e-6),
    ]  # fmt: skip
    price: Annotated[float, ex.Column("price of D", ".4g")]
    fidelity_price: Annotated[float | None, ex.Column("price of the fidelity", ".4g")]
    prices: tuple[float, ...]


class Setting(NamedTuple):
    """The published settings.

    D' bounds the sum over the subset, as the published code does.
    """

    experiment: Annotated[str, ex.Key]
    level: Annotated[float, ex.Column("D", "g")]
    subset_level: Annotated[float, ex.Column("D'", "g")]
    rate_ub: Annotated[float, ex.Column("rate, bits", ".4f")]
    gap_bits: float
    subset_reached: Annotated[float, ex.Column("subset sum reached", ".4g")]
    subset_vacuous: Annotated[bool, ex.Column("D' costs nothing")]


PriceOf = Annotated[float, ex.Axis("price, bits per unit", "symlog")]
RateOf = Annotated[float, ex.Axis("rate, bits")]


class Price(NamedTuple):
    """Prices at one level of the published curve."""

    level: Annotated[float, ex.Key, ex.Axis("global distortion D")]
    rate_lb: float
    rate_ub: Annotated[RateOf, ex.Column("with the subset", shown=False)]
    gap_bits: float
    price_global: Annotated[PriceOf, ex.Column("global", shown=False)]
    price_subset: Annotated[PriceOf, ex.Column("subset", shown=False)]
    rate_without: Annotated[RateOf, ex.Column("without", shown=False)]
    """Upper bound on the rate without the subset's constraint."""


_GAUSSIAN = sources.gaussian(50)
_P, _D = _GAUSSIAN.p, sources.squared_error(_GAUSSIAN.points, np.linspace(-3, 3, 8))
_NEAR = np.abs(_GAUSSIAN.points[:, 0]) < 0.1
_SUM = 0.015
"""D' of the published price curve: a sum over |x| < 0.1, not divided by its probability."""

_FIDELITIES: dict[str, tuple[str, tuple[ratedist.Constraint, ...]]] = {
    "global": ("global alone", ()),
    "subset_sum": ("sum over the subset <= 0.015", (ratedist.subset_sum(_P, _NEAR, _SUM),)),
    "subset_mean": (
        "mean within it <= 0.015 / P(S)",
        (ratedist.subset_mean(_P, _NEAR, _SUM / _P[_NEAR].sum()),),
    ),
    "every_letter": (
        "both letters <= 0.20",
        tuple(ratedist.per_symbol(int(i), _P.size, 0.2) for i in np.flatnonzero(_NEAR)),
    ),
}
"""Kind -> its words, and the constraints beside the global one."""
_KINDS = (
    ("global", 0.5), ("subset_sum", 0.5), ("subset_mean", 0.5), ("every_letter", 0.5),
    ("subset_sum", 1.0), ("subset_sum", 2.0),
)  # fmt: skip


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list:
    """Solve, and certify apart from the solver."""
    ((part,),) = trials
    if part == "kinds":
        return [_kind(kind, level) for kind, level in _KINDS]
    return _price_curve(config) if part == "price curve" else _settings(config)


def _price_curve(config: Config) -> list[Price]:
    def both(level: jax.Array) -> tuple[ratedist.RDPoint, ratedist.RDPoint]:
        return (
            ratedist.solve_fixed(_P, _D, _rules("subset_sum", level)),
            ratedist.solve_fixed(_P, _D, _rules("global", level)),
        )

    levels = np.linspace(0.5, 3.0, config.levels)
    point, without = ratedist.compiled(jax.vmap(both))(levels)
    columns = (levels, point.rate_lb, point.rate_ub, point.gap_bits, *point.nu.T, without.rate_ub)
    return [Price(*map(float, row)) for row in zip(*columns, strict=True)]


def _rules(kind: str, level: Any) -> tuple[ratedist.Constraint, ...]:
    """The constraints of a kind of fidelity, the global one first."""
    return (ratedist.mean_distortion(_P, level), *_FIDELITIES[kind][1])


def _kind(kind: str, level: float) -> Kind:
    rules = _rules(kind, level)
    point = ratedist.compiled(ratedist.solve_fixed)(_P, _D, rules)
    prices = tuple(np.asarray(point.nu).tolist())
    proved = ratedist.certificate(_P, _D, rules, point.dual, point.q)
    fidelity_price = prices[1] if kind != "global" else None
    return Kind(kind, _FIDELITIES[kind][0], level, float(point.rate_lb), float(point.gap_bits),
                proved, float(point.nu[0]), fidelity_price, prices)  # fmt: skip


def _settings(config: Config) -> list[Setting]:
    trimodal, spike = sources.trimodal(), sources.spike()
    clusters = sources.four_clusters(config.clusters_side)
    corners = sources.square_grid(6, 8.0)
    found = []
    for name, source, code, radius, level, inner in (
        ("refinement, 1-D", trimodal, trimodal.points, 1.0, 0.6, 0.6),
        ("spike, D = 30.5", spike, spike.points, 0.1, 30.5, 0.2),
        ("spike against Lloyd", spike, spike.points, 0.1, 1.6, 1.6),
        ("four clusters, 2-D", clusters, corners, 2.0, 8.0, 1.0),
    ):
        inside = np.linalg.norm(source.points, axis=1) < radius
        d = sources.squared_error(source.points, code)
        rules = (
            ratedist.mean_distortion(source.p, level),
            ratedist.subset_sum(source.p, inside, inner),
        )
        point = ratedist.compiled(ratedist.solve_fixed)(source.p, d, rules)
        found.append(
            Setting(name, level, inner, float(point.rate_ub), float(point.gap_bits),
                    float(point.distortion[1]), bool(point.vacuous[1]))
        )  # fmt: skip
    return found


def recompute(config: Config, row: Kind, data: ex.Data) -> float:
    """The certificate of the prices in the record, with a marginal that is solved for again."""
    rules = _rules(row.kind, row.level)
    point = ratedist.solve_fixed(_P, _D, rules)
    return ratedist.certificate(_P, _D, rules, row.prices, point.q)


EXPERIMENT = ex.of_module(
    __name__,
    (Kind, Setting, Price),
    {"paper": Config(), "smoke": Config(levels=4, clusters_side=16)},
    grid=lambda config: (("price curve",), ("kinds",), ("settings",)),
    data="synthetic sources",
    notes="prices are published in nats per unit of distortion; these are in bits",
)
