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

import ratedist
from experiments.runner import experiment as ex
from ratedist import quantizers, sources
from ratedist.codebooks import annealing, merging
from ratedist.codes import fits

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
    bound_bits: tuple[float, ...]


Bits = Annotated[float, ex.Axis("bits")]


class State(NamedTuple):
    """A point of the figure: one temperature of a source at a price."""

    source_and_price: Annotated[str, ex.Key, ex.Panel]
    temperature: Annotated[float, ex.Key, ex.Axis("temperature", "log")]
    output_entropy: Annotated[Bits, ex.Column("H(Y)", shown=False)]
    mutual_information: Annotated[Bits, ex.Column("I(X;Y)", shown=False)]
    conditional_entropy: Annotated[Bits, ex.Column("H(Y|X)", shown=False)]
    bound: Annotated[Bits, ex.Column("certified R(D)", shown=False)]


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

    paths = ratedist.compiled(jax.vmap(annealed))(starts)
    best = quantizers.scalar_code(source.p, x, price)
    best_cost = float(best.rate_bits + price * best.distortion)
    found = []
    for number, trial in enumerate(trials):
        path = jax.tree.map(lambda leaf, i=number: np.asarray(leaf[i]), paths)
        points = fits.certified_curve(source, path.distortion)
        information, output = path.mutual_information_bits, path.output_entropy_bits
        lower = np.asarray(points.rate_lb)
        curves = (tuple(each.tolist()) for each in (information, output, lower))
        gaps = (information[0] - lower[0], output[0] - lower[0], output[-1] - lower[-1])
        cost = float(output[-1] + price * path.distortion[-1])
        found.append(
            Row._make((*trial, *map(float, gaps), int(path.codewords[-1]), cost - best_cost,
                       float(np.max(points.gap_bits)), *curves))
        )  # fmt: skip
    return found


def derive(record: ex.Record) -> list[State]:
    """The states of all paths."""
    return [
        State(f"{row.source}, s = {row.price:g}", temperature, output, information,
              output - information, bound)
        for row in record.of(Row)
        for temperature, output, information, bound in zip(
            temperatures(record.config), row.output_entropy_bits, row.mutual_information_bits,
            row.bound_bits, strict=True,
        )
    ]  # fmt: skip


EXPERIMENT = ex.of_module(
    __name__,
    (Row, State),
    {
        "paper": Config(),
        "smoke": Config(prices=(0.7,), codewords=12, temperatures=5, steps=15, seeds=(0, 1)),
    },
    batch=lambda trial: trial[:2],
    recompute=lambda config, row, data: measure(config, [row[:3]], data),
    data="synthetic sources",
    notes="R(D) is over a codebook twice as fine as the letters, which codewords that move may "
    "pass by 1e-4 bits",
)
