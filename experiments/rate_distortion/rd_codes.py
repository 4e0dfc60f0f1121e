"""Deployable codes against the certified bound, in bits and dB, as files.

Lloyd-Max, the optimal entropy-constrained scalar code (dynamic programming), vector codes in two
dimensions (annealed), and the entropy-coded trellis, on the Gaussian and on the trimodal source.
Every code is deterministic and beside R(D) at its own distortion; some of them are files.

Cost: paper: 5 min on 1 core; smoke: 1 min.
Data: none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from experiments.rate_distortion import rd_codes_files as files
from experiments.runner import experiment as ex
from ratedist import closed_forms, sources
from ratedist.codes import code_file, fits

DECIBELS_PER_BIT = 20.0 * np.log10(2.0)
TRIMODAL = sources.trimodal()


@dataclass(frozen=True)
class Config:
    gaussian_prices: tuple[float, ...] = (1.2, 2.0, 2.8, 5.0, 11.0, 22.0, 46.0)
    """s, bits per unit of distortion; at high rate D = 1 / (2 ln 2 s)."""
    trellis_prices: tuple[float, ...] = (2.8, 5.0, 11.0, 22.0)
    trimodal_prices: tuple[float, ...] = (0.2, 0.4, 0.7, 0.9, 1.3, 2.0, 3.5)
    level: float = 0.6
    """Where the trimodal codes are compared."""
    training: int = 16_384
    length: int = 300_000
    """Letters in each file."""
    iterations: int = 25
    """Of fitting a trellis."""
    grid: int = 40
    """Letters on each axis of the 2-D Gaussian that vector codes are fitted to."""
    seed: int = 0


Trial = tuple[str, str, float | None]
"""Kind of codes or of a file, source, price."""


Rate, Gap = ex.Axis("rate, bits per letter", x=True), ex.Axis("above R(D), bits")


class File(NamedTuple):
    """Files of quantised letters against R(D).

    All bytes of the file count; each was decoded in a subprocess and measured there. R(D) is exact
    for the Gaussian, and for the trimodal source a bound over all reconstruction points. Prices are
    given for the Gaussian; the trimodal codes are those of least rate at a distortion of 0.6.
    """

    code: Annotated[str, ex.Key]
    source: Annotated[str, ex.Key, ex.Panel]
    price: Annotated[float | None, ex.Key, ex.Axis("price s"), ex.Column("price s", "g")]
    bytes: Annotated[int, ex.Column("bytes", ",")]
    distortion: Annotated[float, ex.Column("D", ".4f")]
    bits: Annotated[
        float, ex.Over(max, "bits"), Rate, ex.Column("bits/letter", ".4f"),
        ex.Claim("ratedist.trimodal.scalar_bits", 1e-9, lambda row: row.code == "scalar"),
        ex.Claim("ratedist.trimodal.best_bits", 1e-9,
                 lambda row: (row.source, row.code) == ("trimodal", "trellis")),
    ]  # fmt: skip
    bound_bits: Annotated[float, ex.Column("R(D)", ".4f")]
    gap_bits: Annotated[
        float, ex.Over(max, "bits"), Gap, ex.Column("gap, bits", ".4f"),
        ex.Claim("ratedist.gaussian.trellis_gap_bits", 1e-9, lambda row: row.source == "Gaussian"),
    ]  # fmt: skip
    gap_decibels: Annotated[float, ex.Column("gap, dB", ".2f")]
    file: Annotated[Path, ex.Artifact]


class Code(NamedTuple):
    """Deterministic codes against certified R(D) at their own distortion."""

    source: Annotated[str, ex.Key, ex.Panel]
    code: Annotated[str, ex.Key]
    codewords: Annotated[int, ex.Column()]
    rate_bits: Annotated[float, ex.Key, Rate, ex.Column("H(Y)/letter", ".4f")]
    distortion: Annotated[float, ex.Column("D", ".4f")]
    bound_bits: Annotated[float, ex.Column("R(D) >=", ".4f")]
    gap_bits: Annotated[float, Gap, ex.Column("gap, bits", ".4f")]
    gap_decibels: Annotated[float, ex.Column("gap, dB", ".2f")]


def grid(config: Config) -> Iterator[Trial]:
    """Codes by kind, then files."""
    yield from (("scalar codes", source, None) for source in ("Gaussian", "trimodal"))
    yield "pairs", "Gaussian", None
    yield from ((kind, "trimodal", None) for kind in ("scalar", "trellis"))
    yield from (("trellis", "Gaussian", price) for price in config.trellis_prices)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list:
    """Fit codes and certify the bounds beside them, or write a file and have it decoded."""
    ((kind, source, price),) = trials
    if kind in ("scalar", "trellis"):
        return [_file(config, trials[0], data)]
    prices = config.gaussian_prices if source == "Gaussian" else config.trimodal_prices
    if kind == "pairs":
        letters = sources.gaussian(config.grid, 4.5)
        fitted = fits.vector_codes(letters, prices)
    else:
        letters = TRIMODAL if source == "trimodal" else sources.gaussian(400, 6.0)
        fitted = fits.scalar_codes(letters, prices)
    bounds = fits.certified_curve(letters, np.array([code.distortion for code in fitted])).rate_lb
    return [
        Code(source, *code, float(bound), *gap_of(code.rate_bits, float(bound)))
        for code, bound in zip(fitted, bounds, strict=True)
    ]


def gap_of(rate_bits: float, bound_bits: float) -> tuple[float, float]:
    """Above the bound: in bits and in decibels of distortion."""
    return rate_bits - bound_bits, DECIBELS_PER_BIT * (rate_bits - bound_bits)


def _letters(config: Config, source: str) -> tuple[np.ndarray, np.ndarray]:
    """What trellises are fitted to, and what is in the files."""
    drawn = ((config.training, config.seed), (config.length, config.seed + 1))
    if source == "Gaussian":
        training, sequence = (sources.standardised_normal(*each) for each in drawn)
    else:
        training, sequence = (sources.shuffled(TRIMODAL, *each)[:, 0] for each in drawn)
    return training, sequence


def _file(config: Config, trial: Trial, data: ex.Data) -> File:
    kind, source, price = trial
    training, sequence = _letters(config, source)
    name = f"rd_trimodal_{kind}.fwb"
    if price is not None:
        name = f"rd_gaussian_trellis{config.trellis_prices.index(price)}.fwb"
        code = fits.gaussian_trellis(training, sequence, price, config.iterations)
    elif kind == "scalar":
        code = fits.scalar_quantised(TRIMODAL, sequence, config.level)
    else:
        code = fits.trimodal_trellis(training, sequence, config.level, config.iterations)
    path = data.path(name)
    size, bits, distortion = files.write(path, code_file.write(code), sequence)
    if source == "Gaussian":
        bound = float(closed_forms.gaussian_squared(1.0, distortion))
    else:
        bound = fits.certified_rate_everywhere(TRIMODAL, distortion)
    return File(*trial, size, distortion, bits, bound, *gap_of(bits, bound), path)


def recompute(config: Config, row: File, data: ex.Data) -> dict[str, float]:
    """Decode the file in a subprocess, measure its distortion, count its bytes again.

    Raises:
      ValueError: a trimodal code of more than its distortion.
    """
    measured = files.check(row.file, _letters(config, row.source)[1])
    if row.source == "Gaussian":
        bound = float(closed_forms.gaussian_squared(1.0, measured.distortion))
        return {"gap_bits": measured.bits - bound}
    if measured.distortion > config.level:
        raise ValueError(f"distortion {measured.distortion}, claimed at {config.level}")
    return {"bits": measured.bits}


EXPERIMENT = ex.of_module(
    __name__,
    (File, Code),
    {
        "paper": Config(),
        "smoke": Config((2.8, 5.0), (2.8,), (0.7,), 0.6, 2_000, 4_000, iterations=4, grid=12),
    },
    data="synthetic sources; trimodal letters in the source's exact proportions, shuffled",
    notes="bits of a file are all of its bytes; trellises are fitted to other samples than "
    "those in the files",
)
