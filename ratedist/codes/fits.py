"""Codes fitted to a source (scalar, vector, trellis), and the certified bounds beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

import ratedist
from ratedist import quantizers, sources
from ratedist.codebooks import merging
from ratedist.codes import trellis
from ratedist.codes.code_file import Quantised, of_trellis

_LLOYD_SIZES = (2, 3, 4, 6, 8, 12, 16)
_TEMPERATURES = np.append(np.geomspace(1.0, 0.05, 16), 0.0)
_CODEWORDS = 64
_START_STEPS = (1.6, 2.0, 2.4, 2.8)
_START_SHIFTS = (0.0, 0.5)
_START_SIZE = 12
_LEVEL_PRICES = (0.6, 0.66, 0.72)
_FINALISTS, _BISECTIONS = 3, 7


class Fitted(NamedTuple):
    """A code of letters, or of pairs of them; rate and distortion are per letter."""

    code: str
    codewords: int
    rate_bits: float
    distortion: float


def certified_curve(source: sources.Source, levels: ArrayLike) -> ratedist.RDPoint:
    """R(D) of these letters over a fine codebook, bits per letter, a point for each level."""
    x = source.points[:, 0]
    # Twice as fine as the letters; finer changes the fourth digit.
    code = np.linspace(x[0], x[-1], min(2 * x.size - 1, 400))
    d = sources.squared_error(x, code)
    return ratedist.curve(source.p, d, np.asarray(levels, float))


def certified_rate_everywhere(source: sources.Source, level: float) -> float:
    """Lower bound on R(D) over *all* reconstruction points: for codebooks that were fitted."""
    d = sources.squared_error(source.points, source.points)
    rule = ratedist.mean_distortion(source.p, level)
    point = ratedist.solve_fixed(source.p, d, rule)
    return ratedist.certificate_for_all_codebooks(
        source.p, source.points, source.points, rule, point.dual, point.q, slack_bits=1e-5
    )


def scalar_codes(source: sources.Source, prices: Sequence[float]) -> list[Fitted]:
    """Lloyd-Max at some sizes, with and without entropy coding, and the optimum at each price."""
    x, p = source.points[:, 0], source.p
    found = []
    padded = max(_LLOYD_SIZES)
    for size in _LLOYD_SIZES:
        quantiles = np.interp((np.arange(size) + 0.5) / size, np.cumsum(p), x)
        start = np.pad(quantiles, (0, padded - size))
        code = quantizers.lloyd_max(p, x, start, mask=np.arange(padded) < size)
        entropy_coded = _fitted("Lloyd-Max, entropy coded", code)
        fixed = {"code": "Lloyd-Max, fixed length", "rate_bits": float(np.log2(size))}
        found += [entropy_coded._replace(**fixed), entropy_coded]
    found += [_fitted("optimal scalar", quantizers.scalar_code(p, x, s)) for s in prices]
    return sorted(found, key=lambda row: (row.code, row.rate_bits))


def vector_codes(source: sources.Source, prices: Sequence[float]) -> list[Fitted]:
    """Pairs of letters: annealed codewords, then ECVQ."""
    x = source.points[:, 0]
    pairs = np.stack([a.ravel() for a in np.meshgrid(x, x, indexing="ij")], axis=1)
    p = np.outer(source.p, source.p).ravel()
    p = p / p.sum()
    rng = np.random.default_rng(0)
    start = merging.codebook(pairs[rng.choice(len(p), _CODEWORDS, p=p)])
    found = []
    for s in prices:
        path = ratedist.anneal(p, pairs, start, s, _TEMPERATURES, steps=20, least_mass=1e-5)
        code = quantizers.ecvq(p, pairs, path.book.points[-1], s, mask=path.book.mask[-1])
        found.append(_fitted("pairs, annealed", code, 2))
    # A code that uses all codewords would use more.
    return [row for row in found if row.codewords < _CODEWORDS]


def scalar_quantised(source: sources.Source, sequence: np.ndarray, level: float) -> Quantised:
    """The optimal scalar code of the source at a level, applied to `sequence`."""
    code = quantizers.scalar_code_at(source.p, source.points[:, 0], level)
    used, index = np.unique(np.asarray(code.cell), return_inverse=True)
    place = np.searchsorted(source.points[:, 0], sequence)
    return Quantised(sequence.shape, (np.asarray(code.points)[used],), (index.reshape(-1)[place],))


def gaussian_trellis(
    training: np.ndarray, sequence: np.ndarray, s: float, iterations: int
) -> Quantised:
    """The trellis code at a price, fitted to `training`, applied to `sequence`."""
    states = trellis.MOST_STATES
    fit = ratedist.compiled(trellis.fit, static_argnames=("iterations", "states"))
    run = ratedist.compiled(trellis.encode, static_argnames=("states",))
    step = 0.6 * np.sqrt(6.0 / (np.log(2.0) * s))
    size = 2 * int(np.ceil(2.5 / step)) + 6
    fitted = fit(
        training, trellis.uniform_trellis(step, size), s, iterations=iterations, states=states
    )
    coded = run(sequence, fitted, s, states=states)
    return of_trellis(fitted, coded, sequence.shape, states)


def trimodal_trellis(
    training: np.ndarray, sequence: np.ndarray, level: float, iterations: int
) -> Quantised:
    """The cheapest trellis within the level: several starts and prices, fitted side by side."""
    starts = [
        np.asarray(trellis.uniform_trellis(step, _START_SIZE).points) + shift * step
        for step in _START_STEPS
        for shift in _START_SHIFTS
    ]
    prices = np.repeat(_LEVEL_PRICES, len(starts))
    points = np.tile(np.stack(starts), (len(_LEVEL_PRICES), 1, 1))
    start = trellis.Trellis(points, np.full(points.shape, np.log2(_START_SIZE)))
    fit = ratedist.compiled(
        jax.vmap(lambda t, s: trellis.fit(training, t, s, iterations=iterations), in_axes=(0, 0))
    )
    fitted = fit(start, prices)
    encode = ratedist.compiled(
        jax.vmap(lambda x, t, s: trellis.encode(x, t, s)[2:], in_axes=(None, 0, 0))
    )
    rate, distortion = map(np.asarray, encode(training, fitted, prices))
    # Ranked by what they promise at the level, then brought to it by their price alone.
    order = np.argsort(rate + prices * np.maximum(distortion - level, 0.0))
    once = ratedist.compiled(trellis.encode)
    best = None
    for number in order[:_FINALISTS]:
        chosen = trellis.Trellis(fitted.points[number], fitted.length_bits[number])
        low, high = np.log2(prices[number]) - 0.5, np.log2(prices[number]) + 0.5
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            coded = once(sequence, chosen, np.exp2(middle))
            within = coded.distortion <= level * (1 - 1e-6)
            low, high = (low, middle) if within else (middle, high)
            if within and (best is None or coded.rate_bits < best[0]):
                best = (
                    float(coded.rate_bits),
                    of_trellis(chosen, coded, sequence.shape, trellis.STATES),
                )
    if best is None:
        raise ValueError(f"no trellis of {len(order)} met the distortion {level}")
    return best[1]


def _fitted(name: str, code: quantizers.Code, dimension: int = 1) -> Fitted:
    used = int(np.asarray(code.mass > 0).sum())
    return Fitted(name, used, float(code.rate_bits) / dimension, float(code.distortion) / dimension)
