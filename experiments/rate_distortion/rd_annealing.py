"""I(X;Y), H(Y) and H(Y|X) against temperature; the gap to R(D) on the way.

From the convex optimum to a deterministic code, by a decreasing temperature. Codewords start at
random letters; at each temperature I(X;Y), H(Y) and H(Y|X) are measured, and the certified R(D) at
the distortion of that moment, so that the gap of both rates to the bound is known all the way.

Cost: paper: 3 min on 1 core; smoke: 1 min.
Data: none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

import ratedist
from experiments.runner import experiment as ex
from experiments.runner import plots, rows
from ratedist import quantizers, sources
from ratedist.codebooks import annealing, merging

SOURCES = {"trimodal": sources.trimodal(), "Gaussian": sources.gaussian(64, 4.0)}


@dataclass(frozen=True)
class Config:
    prices: tuple[float, ...] = (0.7, 1.3)
    """s, bits per unit of distortion; of the Gaussian, six times that."""
    codewords: int = 48
    temperatures: int = 32
    coldest: float = 0.01
    steps: int = 60
    """Alternations at each temperature."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


Trial = tuple[str, float, int]
"""Source, price, seed; seeds are annealed together."""


class Row(NamedTuple):
    """Annealing to a deterministic code.

    Bits; mean ± standard deviation over seeds. Cost is H(Y) + s D; the best scalar code of the same
    price is found by dynamic programming.
    """

    source: Annotated[str, ex.Key]
    price: Annotated[float, ex.Key, ex.Column("price s", "g")]
    seed: int
    hot_information_gap: Annotated[float, ex.Over(np.mean), ex.Column("I above R(D), hot", ".4f")]
    hot_output_gap: Annotated[float, ex.Over(np.mean), ex.Column("H(Y) above R(D), hot", ".3f")]
    cold_output_gap: Annotated[
        float, ex.MeanOverSeeds("bits"), ex.Column("H(Y) above R(D), cold", ".4f")
    ]
    codewords_left: Annotated[int, ex.Over(np.mean), ex.Column("codewords left", ".1f")]
    cost_above_best: Annotated[
        float, ex.MeanOverSeeds("bits"), ex.Column("cost above the best scalar code", ".4f"),
        # verify anneals the first seed again, alone
        ex.Claim("ratedist.annealing.gaussian_{price:.3g}.cost_above_best", tolerance=1e-4,
                 when=lambda row: row.source == "Gaussian"),
    ]  # fmt: skip
    max_certified_gap_bits: float
    """Of `bound_bits`, over all temperatures."""
    mutual_information_bits: tuple[float, ...]
    """This and what follows: at each temperature."""
    output_entropy_bits: tuple[float, ...]
    conditional_entropy_bits: tuple[float, ...]
    distortion: tuple[float, ...]
    codewords: tuple[int, ...]
    bound_bits: tuple[float, ...]


CURVES = ("mutual_information_bits", "output_entropy_bits", "conditional_entropy_bits",
          "distortion", "codewords")  # fmt: skip


def grid(config: Config) -> Iterator[Trial]:
    for source, scale in (("trimodal", 1.0), ("Gaussian", 6.0)):
        # The same number of bits per standard deviation for both sources.
        yield from ((source, scale * s, seed) for s in config.prices for seed in config.seeds)


def temperatures(config: Config) -> np.ndarray:
    """From 1 down to `coldest`, then 0."""
    return np.append(np.geomspace(1.0, config.coldest, config.temperatures - 1), 0.0)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    """Anneal all seeds of one source and price, certify the paths."""
    name, price, _ = trials[0]
    source = SOURCES[name]
    x = source.points[:, 0]
    starts = np.stack(
        [np.random.default_rng(t[2]).choice(x, config.codewords, p=source.p) for t in trials]
    )

    def annealed(start: jax.Array) -> annealing.Annealed:
        return ratedist.anneal(
            source.p, source.points, merging.codebook(start), price, temperatures(config),
            steps=config.steps, least_distance=1e-2,
        )  # fmt: skip

    path = ratedist.compiled(jax.vmap(annealed))(starts)
    levels = np.asarray(path.distortion)
    d = sources.squared_error(x, np.linspace(x[0], x[-1], 2 * x.size - 1))
    points = ratedist.curve(source.p, d, levels.reshape(-1))
    bound = np.asarray(points.rate_lb).reshape(levels.shape)
    best = quantizers.scalar_code(source.p, x, price)
    best_cost = float(best.rate_bits + price * best.distortion)
    curves = {name: np.asarray(getattr(path, name)) for name in CURVES} | {"bound_bits": bound}
    found = []
    for number, trial in enumerate(trials):
        mine = {name: curve[number] for name, curve in curves.items()}
        output, lower = mine["output_entropy_bits"], bound[number]
        found.append(
            Row(
                *trial,
                hot_information_gap=float(mine["mutual_information_bits"][0] - lower[0]),
                hot_output_gap=float(output[0] - lower[0]),
                cold_output_gap=float(output[-1] - lower[-1]),
                codewords_left=int(mine["codewords"][-1]),
                cost_above_best=float(output[-1] + price * levels[number, -1] - best_cost),
                max_certified_gap_bits=float(np.max(points.gap_bits)),
                **{name: tuple(curve.tolist()) for name, curve in mine.items()},
            )
        )
    return found


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    (again,) = measure(config, [row[:3]], data)
    return again.cost_above_best


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """The three curves for one path, and the gap of H(Y) for all."""
    record = records["paper"]
    figure, (left, right) = plots.subplots(2)
    t = temperatures(record.config)
    groups = rows.grouped(record.of(Row))
    for field, label in (
        ("output_entropy_bits", "H(Y)"),
        ("mutual_information_bits", "I(X;Y)"),
        ("conditional_entropy_bits", "H(Y|X)"),
        ("bound_bits", "certified R(D)"),
    ):
        dashes = "--" if field == "bound_bits" else "-"
        first = next(iter(groups.values()))
        left.plot(t, np.mean([getattr(row, field) for row in first], axis=0), dashes, label=label)
    for (source, price), same in groups.items():
        gaps = [np.subtract(row.output_entropy_bits, row.bound_bits) for row in same]
        right.plot(t, np.mean(gaps, axis=0), label=f"{source}, s = {price:g}")
    for axis in (left, right):
        axis.set(xlabel="temperature", xscale="log")
        axis.invert_xaxis()
        axis.legend(fontsize=7)
    left.set(ylabel="bits")
    right.set(ylabel="H(Y) - R(D), bits")
    return {"annealing": figure}


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "paper": Config(),
        "smoke": Config(prices=(0.7,), codewords=12, temperatures=5, steps=15, seeds=(0, 1)),
    },
    batch=lambda trial: trial[:2],
    data="synthetic sources",
    notes="R(D) is over a codebook twice as fine as the letters, which codewords that move may "
    "pass by 1e-4 bits",
)
