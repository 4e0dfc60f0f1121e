"""Codebooks refined through the convex step, 64 codewords to a handful, by three gradients.

The trimodal source at D = 0.6, with every rate certified, by three gradients: envelope, implicit
differentiation, and cvxpylayers on the m-dimensional program. On the rate they agree and do the
same. Where the envelope theorem does not apply (what an entropy coder pays for the encoder's output
as it stands, and after rounding to a deterministic encoder) the derivative of the optimum does work
that no centroid step does.

Cost: paper: 5 min on 1 core; smoke: 1 min.
Data: none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import numpy as np

import ratedist
from experiments.runner import experiment as ex
from ratedist import sources
from ratedist.codebooks import codebook, descent, functionals, merging
from ratedist.rate_function import implicit

SOURCE = sources.trimodal()
PRICE = 1.0
"""Of the functionals that are descended on, bits per unit of distortion."""


@dataclass(frozen=True)
class Config:
    distortion: float = 0.6
    codewords: int = 64
    steps: int = 30
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    layer_seeds: int = 1
    """How many of the seeds go through cvxpylayers, which is slow."""
    sizes: tuple[tuple[int, int], ...] = ((20, 8), (64, 16))
    """Letters and codewords where the gradients are compared."""
    descent_steps: int = 60


Trial = tuple[str, str, int]
"""A refinement by a gradient from a seed, a comparison of a size, or a descent on a functional."""


class Refinement(NamedTuple):
    """Refinement at D = 0.6 by three gradients.

    Bits per letter; R(0.6) over all codebooks is at least 1.6771.
    """

    gradient: Annotated[str, ex.Key]
    seed: Annotated[int, ex.Over(len), ex.Column("seeds")]
    first_rate: Annotated[float, ex.Over(np.mean), ex.Column("rate, first", ".4f")]
    last_rate: Annotated[float, ex.Over(np.mean), ex.Column("rate, last", ".5f")]
    largest_gap: Annotated[float, ex.Over(max), ex.Column("largest gap", ".1e")]
    first_codewords: Annotated[int, ex.Over(np.mean), ex.Column("codewords", ".0f")]
    last_codewords: Annotated[int, ex.Over(np.mean), ex.Column("last", ".1f")]
    rate_ub: tuple[float, ...]
    """This and what follows: before each step."""
    codewords: tuple[int, ...]


class Step(NamedTuple):
    """A point of the figures: a refinement before one of its steps."""

    gradient: Annotated[str, ex.Key]
    step: Annotated[int, ex.Key, ex.Axis("step")]
    rate: Annotated[float, ex.Axis("certified rate at D = 0.6, bits")]
    codewords: Annotated[int, ex.Axis("codewords", "log")]


class Agreement(NamedTuple):
    """Disagreement of the gradients.

    The worst pair of gradients over three functionals on a Gaussian.
    """

    letters: Annotated[int, ex.Key]
    codewords: Annotated[int, ex.Key]
    functional: Annotated[str, ex.Column()]
    between: Annotated[str, ex.Column()]
    relative: Annotated[
        float, ex.Over(max, "relative"), ex.Column("relative", ".1e"),
        ex.Claim("ratedist.codebook.gradient_disagreement", tolerance=5e-5),
    ]  # fmt: skip


class Descent(NamedTuple):
    """Functionals that the envelope theorem does not cover.

    H + s D in bits, from the codebook refined for the rate; rounded means the likeliest codeword is
    sent.
    """

    functional: Annotated[str, ex.Key, ex.Column("descended on")]
    start_bits: Annotated[float, ex.Column("before", ".4f")]
    end_bits: Annotated[float, ex.Column("after", ".4f")]
    rounded_start_bits: Annotated[float, ex.Column("H + s D rounded, before", ".4f")]
    rounded_end_bits: Annotated[float, ex.Column("rounded, after", ".4f")]


def grid(config: Config) -> Iterator[Trial]:
    yield from (("agreement", "", number) for number in range(len(config.sizes)))
    for name in ("envelope", "implicit", "cvxpylayers"):
        seeds = config.seeds[: config.layer_seeds] if name == "cvxpylayers" else config.seeds
        yield from (("refinement", name, seed) for seed in seeds)
    yield from (("descent", name, 0) for name in ("coded", "rounded"))


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list:
    """Refine by one gradient from one start, compare, or descend."""
    ((part, which, number),) = trials
    if part == "agreement":
        return [disagreement(*config.sizes[number])]
    if part == "descent":
        return [_descent(config, which)]
    start = np.random.default_rng(number).uniform(-8.0, 8.0, config.codewords)
    _, points = ratedist.refine_codebook(
        SOURCE.p, SOURCE.points, start, config.distortion, steps=config.steps + 1,
        gradient=which, least_distance=1e-2,  # type: ignore
    )  # fmt: skip
    rates, gap = tuple(points.rate_ub.tolist()), float(points.gap_bits.max())
    counts = tuple(np.count_nonzero(points.q, axis=1).tolist())
    return [Refinement(which, number, rates[0], rates[-1], gap, counts[0], counts[-1], rates,
                       counts)]  # fmt: skip


def disagreement(n: int, m: int) -> Agreement:
    """The worst pair of gradients over three functionals on the Gaussian, price 2 nats."""
    from ratedist.codebooks.convex_layer import ConvexLayer

    p, x = (source := sources.gaussian(n)).p, source.points
    book = merging.codebook(np.linspace(-2.6, 2.6, m) + 0.05 * np.sin(np.arange(m)))
    s = 2.0 / np.log(2.0)
    with jax.enable_x64(True):
        layer = ConvexLayer(p, m)
    gradients: dict[str, descent.Gradient] = {
        "envelope": descent.gradient_through(p, x, codebook.envelope),
        "implicit": descent.gradient_through(p, x, implicit.optimal_marginal),
        "cvxpylayers": lambda functional, book, s: codebook.value_and_gradient(
            functional, lambda _, d, s, mask: layer(d, s, mask), p, x, book, s
        ),
    }
    found = []
    for name, functional, others in (
        ("rate", functionals.lagrangian, ("cvxpylayers", "envelope")),
        ("coded", functionals.coded, ("cvxpylayers",)),
        ("rounded", functionals.rounded(0.3), ("cvxpylayers",)),
    ):
        reference = np.asarray(gradients["implicit"](functional, book, s)[1])
        for other in others:
            apart = np.abs(np.asarray(gradients[other](functional, book, s)[1]) - reference)
            relative = float(apart.max() / np.abs(reference).max())
            found.append(Agreement(n, m, name, f"implicit and {other}", relative))
    return max(found, key=lambda row: row.relative)


def _descent(config: Config, name: str) -> Descent:
    """On H + s D of the encoder as it is, or nearly rounded, from a codebook for the rate."""
    x, p = SOURCE
    functional = functionals.coded if name == "coded" else functionals.rounded(0.1)
    start = np.array([-7.0, -5.0, -1.0, 2.5, 5.0, 7.0])
    centred, _ = ratedist.refine_codebook(p, x, start, config.distortion, steps=config.steps)
    best, values = descent.descend(p, x, centred, PRICE, functional, steps=config.descent_steps)
    before, after = (descent.deterministic_cost(p, x, book, PRICE) for book in (centred, best))
    return Descent(name, values[0], min(values), before, after)


def derive(record: ex.Record) -> list[Step]:
    """The steps of all refinements."""
    return [
        Step(row.gradient, number, *state)
        for row in record.of(Refinement)
        for number, state in enumerate(zip(row.rate_ub, row.codewords, strict=True))
    ]


EXPERIMENT = ex.of_module(
    __name__,
    (Refinement, Agreement, Descent, Step),
    {
        "paper": Config(),
        "smoke": Config(codewords=12, steps=4, seeds=(4,), sizes=((20, 8),), descent_steps=3),
    },
    recompute=lambda config, row, data: [disagreement(row.letters, row.codewords)],
    data="the trimodal source",
    notes="a codebook is charged before its step; disagreement is the largest difference over the "
    "largest entry",
)
