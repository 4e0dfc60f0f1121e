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
from matplotlib.figure import Figure

import ratedist
from experiments.runner import experiment as ex
from experiments.runner import plots, rows
from fewbits.coding import units
from ratedist import sources
from ratedist.codebooks import codebook, descent, functionals, merging
from ratedist.codebooks.descent import Gradient
from ratedist.codebooks.merging import Codebook
from ratedist.rate_function import implicit

MARGINALS = {"envelope": codebook.envelope, "implicit": implicit.optimal_marginal}
SOURCE = sources.trimodal()


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
    descent_rate: float = 0.2


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
    rate_lb: tuple[float, ...]
    """This and what follows: before each step."""
    rate_ub: tuple[float, ...]
    gap_bits: tuple[float, ...]
    codewords: tuple[int, ...]
    points: tuple[float, ...]
    """Of the last codebook."""


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
    price: float
    start_bits: Annotated[float, ex.Column("before", ".4f")]
    end_bits: Annotated[float, ex.Column("after", ".4f")]
    rounded_start_bits: Annotated[float, ex.Column("H + s D rounded, before", ".4f")]
    rounded_end_bits: Annotated[float, ex.Column("rounded, after", ".4f")]
    values_bits: tuple[float, ...]


def grid(config: Config) -> Iterator[Trial]:
    yield from (("agreement", "", number) for number in range(len(config.sizes)))
    for name in (*MARGINALS, "cvxpylayers"):
        seeds = config.seeds if name in MARGINALS else config.seeds[: config.layer_seeds]
        yield from (("refinement", name, seed) for seed in seeds)
    yield from (("descent", name, 0) for name in ("coded", "rounded"))


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list:
    """Refine by one gradient from several starts, compare, or descend."""
    part, which, _ = trials[0]
    if part == "agreement":
        return [disagreement(*config.sizes[trial[2]]) for trial in trials]
    if part == "descent":
        return [_descent(config, which)]
    gradient = through(which, SOURCE, config.codewords)
    return [_refined(config, which, trial[2], gradient) for trial in trials]


def through(name: str, source: sources.Source, codewords: int) -> Gradient:
    """The gradient by its name; that through cvxpylayers cannot be compiled."""
    if name != "cvxpylayers":
        return descent.gradient_through(source.p, source.points, MARGINALS[name])
    from ratedist.codebooks.convex_layer import ConvexLayer

    with jax.enable_x64(True):
        layer = ConvexLayer(source.p, codewords)
    return lambda functional, book, s: codebook.value_and_gradient(
        functional, lambda _, d, s, mask: layer(d, s, mask), source.p, source.points, book, s
    )


def disagreement(n: int, m: int) -> Agreement:
    """The worst pair of gradients over three functionals on the Gaussian, price 2 nats."""
    source = sources.gaussian(n)
    book = merging.codebook(np.linspace(-2.6, 2.6, m) + 0.05 * np.sin(np.arange(m)))
    s = 2.0 / np.log(2.0)
    gradients = {name: through(name, source, m) for name in (*MARGINALS, "cvxpylayers")}
    found = []
    for name, functional in (
        ("rate", functionals.lagrangian),
        ("coded", functionals.coded),
        ("rounded", functionals.rounded(0.3)),
    ):
        reference = np.asarray(gradients["implicit"](functional, book, s)[1])
        for other in ("cvxpylayers", "envelope") if name == "rate" else ("cvxpylayers",):
            apart = np.abs(np.asarray(gradients[other](functional, book, s)[1]) - reference)
            relative = float(apart.max() / np.abs(reference).max())
            found.append(Agreement(n, m, name, f"implicit and {other}", relative))
    return max(found, key=lambda row: row.relative)


def _refined(config: Config, name: str, seed: int, gradient: Gradient) -> Refinement:
    start = np.random.default_rng(seed).uniform(-8.0, 8.0, config.codewords)
    path = descent.refine(
        SOURCE.p, SOURCE.points, merging.codebook(start), config.distortion, gradient,
        steps=config.steps, least_distance=1e-2,
    )  # fmt: skip
    lower, upper, gaps = (
        tuple(float(getattr(point, field)) for _, point in path)
        for field in ("rate_lb", "rate_ub", "gap_bits")
    )
    used = [np.asarray(book.points)[np.asarray(book.mask), 0].tolist() for book, _ in path]
    counts = tuple(map(len, used))
    return Refinement(
        name, seed, upper[0], upper[-1], max(gaps), counts[0], counts[-1], lower, upper, gaps,
        counts, tuple(used[-1]),
    )  # fmt: skip


def _descent(config: Config, name: str) -> Descent:
    """On H + s D of the encoder as it is, or nearly rounded, from a codebook for the rate."""
    x, p = SOURCE
    functional = functionals.coded if name == "coded" else functionals.rounded(0.1)
    s = 1.0
    start = merging.codebook(np.array([-7.0, -5.0, -1.0, 2.5, 5.0, 7.0]))
    centred, _ = ratedist.refine_codebook(p, x, start, config.distortion, steps=config.steps)
    best, values = descent.descend(
        p, x, centred, s, functional, steps=config.descent_steps, rate=config.descent_rate
    )
    return Descent(name, s, values[0], min(values), _rounded(centred, s), _rounded(best, s), values)


def _rounded(book: Codebook, s: float) -> float:
    """H + s D where every letter goes to its likeliest codeword under the convex encoder."""
    x, p = SOURCE
    d = sources.squared_error(x, book.points)
    point = ratedist.compiled(ratedist.solve_slope)(p, d, s, mask=book.mask)
    chosen = np.argmax(np.asarray(ratedist.encoder(p, d, point)), axis=1)
    mass = np.bincount(chosen, p, d.shape[1])
    entropy = float(units.entropy_bits(mass))
    return entropy + s * float(p @ d[np.arange(len(p)), chosen])


def recompute(config: Config, row: Agreement, data: ex.Data) -> float:
    return disagreement(row.letters, row.codewords).relative


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Rate and number of codewords per step."""
    figure, (left, right) = plots.subplots(2)
    colours = {"envelope": plots.OURS, "implicit": plots.PUBLISHED, "cvxpylayers": plots.BASELINE}
    for name, paths in rows.grouped(records["paper"].of(Refinement)).items():
        style = {"color": colours[name[0]], "ls": "-" if name[0] == "envelope" else ":"}
        for number, path in enumerate(paths):
            left.plot(path.rate_ub, label=None if number else name[0], **style)
            right.plot(path.codewords, **style)
    left.set(xlabel="step", ylabel="certified rate at D = 0.6, bits")
    right.set(xlabel="step", ylabel="codewords", yscale="log")
    left.legend()
    return {"refinement": figure}


EXPERIMENT = ex.of_module(
    __name__,
    (Refinement, Agreement, Descent),
    {
        "paper": Config(),
        "smoke": Config(codewords=12, steps=4, seeds=(4,), sizes=((20, 8),), descent_steps=3),
    },
    batch=lambda trial: trial[:2],
    data="the trimodal source",
    notes="a codebook is charged before its step; disagreement is the largest difference over the "
    "largest entry",
)
