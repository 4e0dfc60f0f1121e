"""Codes of quantised weights under a prior: how many bits a small norm is worth.

A weight theta on a grid of step delta is the symbol q = round(theta / delta), and under a Gaussian
prior costs -log2 P(q), P(q) = Phi((q + 1/2) delta / sigma) - Phi((q - 1/2) delta / sigma). For
delta well below sigma the n weights cost

    |theta|^2 / (2 sigma^2 ln 2) + n log2(sigma sqrt(2 pi) / delta),                          (1)

so at fixed sigma and delta an L2 penalty is a code length up to a constant; and with the sigma that
suits the weights best, sigma^2 = |theta|^2 / n, they cost

    (n / 2) log2(2 pi e |theta|^2 / (n delta^2)):                                             (2)

the logarithm of the norm. L1 stands to a Laplace prior as L2 to a Gaussian one; a spike at zero
beside a Gaussian slab is the prior of a pruned network.

The prior's parameters are sent and counted: two bytes for a scale, in sixty-fourths of an octave,
and two for the share of the slab. Tables follow from them in whole numbers.
"""

from __future__ import annotations

import decimal
import functools
import math
from typing import NamedTuple

import numpy as np

from fewbits.coding import tables, units
from fewbits.coding.bits_back.integer_normal import INVERSE_BITS, NormalBins
from fewbits.coding.tables import MAX_PRECISION, FrequencyTable
from fewbits.coding.varint import ByteReader, unzigzag, varint, zigzag

GAUSSIAN, LAPLACE, SPIKE = "gaussian", "laplace", "spike"
FAMILIES = (GAUSSIAN, LAPLACE, SPIKE)
SCALE_STEPS = 64
"""Scales are powers of 2^(1/64)."""
_MAX_OCTAVES = 20
_SHARE_BITS = 16
_UNIT_BITS = 12
_WEIGHT_BITS = 37
_MAX_SYMBOL = 1 << 15


class Prior(NamedTuple):
    """A prior over symbols.

    Attributes:
      family: "gaussian", "laplace" or "spike".
      scale: log2 of sigma / delta (of b / delta for Laplace) in sixty-fourths.
      share: of symbols that are not zero, in 2^-16; used by "spike" alone.
    """

    family: str
    scale: int
    share: int = 0


def scale_of(ratio: float) -> int:
    """The nearest `Prior.scale` to sigma / delta."""
    limit = _MAX_OCTAVES * SCALE_STEPS
    return int(
        np.clip(round(math.log2(max(ratio, 2.0**-_MAX_OCTAVES)) * SCALE_STEPS), -limit, limit)
    )


def table(prior: Prior, minimum: int, maximum: int) -> FrequencyTable:
    """The prior over `minimum` to `maximum` as counts of 2^24, tails in the outermost symbols.

    Raises:
      ValueError: a family that there is not, or symbols beyond +-2^15.
    """
    if not -_MAX_SYMBOL <= minimum <= maximum <= _MAX_SYMBOL:
        raise ValueError(f"symbols lie within +-2^15, not {minimum} to {maximum}")
    if prior.family == GAUSSIAN:
        return FrequencyTable(minimum, _gaussian_counts(prior.scale, minimum, maximum))
    if prior.family == LAPLACE:
        return tables.expand(
            _laplace_weights(prior.scale, minimum, maximum),
            minimum=minimum,
            precision=MAX_PRECISION,
        )
    if prior.family == SPIKE:
        return tables.expand(
            _spike_weights(prior, minimum, maximum), minimum=minimum, precision=MAX_PRECISION
        )
    raise ValueError(f"a prior is one of {', '.join(FAMILIES)}, not {prior.family!r}")


def fit(family: str, minimum: int, occurrences: np.ndarray) -> Prior:
    """The prior of a family under which symbols are shortest.

    Args:
      family: one of `FAMILIES`.
      minimum: the first symbol.
      occurrences: int[K], how often `minimum`, `minimum + 1`, ... occur.
    """
    symbols = minimum + np.arange(occurrences.size)
    total = max(int(occurrences.sum()), 1)
    outside = int(occurrences[symbols != 0].sum())
    share = int(np.clip(round(outside / total * 2**_SHARE_BITS), 1, 2**_SHARE_BITS - 1))
    weights = occurrences / max(outside if family == SPIKE else total, 1)
    if family == LAPLACE:
        guess = float(weights @ np.abs(symbols))
    else:
        guess = math.sqrt(float(weights @ np.square(symbols.astype(np.float64))))

    @functools.cache
    def cost(scale: int) -> float:
        one = table(Prior(family, scale, share), minimum, int(symbols[-1]))
        return float(occurrences @ one.cost_bits)

    best, stride = scale_of(guess), SCALE_STEPS
    limit = _MAX_OCTAVES * SCALE_STEPS
    while stride:
        candidates = [s for s in (best - stride, best, best + stride) if -limit <= s <= limit]
        nearest = min(candidates, key=cost)
        stride, best = (stride // 2, best) if nearest == best else (stride, nearest)
    return Prior(family, best, share if family == SPIKE else 0)


def codelength_bits(
    weights: np.ndarray, step: float, scale: float, family: str = GAUSSIAN
) -> float:
    """Ideal length of weights rounded to multiples of `step`, the prior's parameters not counted.

    Args:
      weights: Float[...].
      step: delta.
      scale: sigma of the Gaussian, or b of the Laplace distribution, as a weight.
      family: "gaussian" or "laplace".
    """
    symbols = np.rint(np.ravel(weights).astype(np.float64) / step).astype(np.int64)
    minimum, occurrences = tables.histogram(symbols)
    # Support well beyond the weights, or the outermost of them would have the tails to themselves.
    beyond = int(min(_MAX_SYMBOL, max(abs(minimum), minimum + occurrences.size, 8 * scale / step)))
    one = table(Prior(family, scale_of(scale / step)), -beyond, beyond)
    return float(occurrences @ one.cost_bits[minimum + beyond :][: occurrences.size])


def predicted_bits(squared_norm: float, count: int, step: float) -> float:
    """Equation (2): n weights under the Gaussian that suits them best, sigma well above delta."""
    return count / 2 * float(units.log2(2 * math.pi * math.e * squared_norm / (count * step**2)))


def to_bytes(prior: Prior, minimum: int, maximum: int) -> bytes:
    """The prior and its support, as sent."""
    head = bytes([FAMILIES.index(prior.family)]) + varint(zigzag(prior.scale))
    share = varint(prior.share) if prior.family == SPIKE else b""
    return head + share + varint(zigzag(minimum)) + varint(maximum - minimum)


def read(reader: ByteReader) -> FrequencyTable:
    """The table of a prior that `to_bytes` wrote.

    Raises:
      FormatError: not a prior.
    """
    family = reader.byte()
    if family >= len(FAMILIES):
        raise reader.error(f"unknown prior {family}")
    scale = unzigzag(reader.varint(2 * _MAX_OCTAVES * SCALE_STEPS, "scale"))
    share = 0
    if FAMILIES[family] == SPIKE:
        share = reader.varint((1 << _SHARE_BITS) - 1, "share of the slab")
        if share == 0:
            raise reader.error("a slab without a share")
    minimum = unzigzag(reader.varint(2 * _MAX_SYMBOL, "smallest symbol"))
    maximum = minimum + reader.varint(2 * _MAX_SYMBOL, "number of symbols")
    if maximum > _MAX_SYMBOL or maximum - minimum >= tables.MAX_ALPHABET:
        raise reader.error(f"symbols {minimum} to {maximum}")
    return table(Prior(FAMILIES[family], scale, share), minimum, maximum)


def _gaussian_counts(scale: int, minimum: int, maximum: int) -> np.ndarray:
    """Counts of 2^24 for bins of one step, edges in units of delta / 4096."""
    edges = (2 * np.arange(minimum + 1, maximum + 1, dtype=np.int64) - 1) << (_UNIT_BITS - 1)
    inverse = max(int(_power_of_two(-scale) * (1 << INVERSE_BITS - _UNIT_BITS)), 1)
    # Far from zero the product with a tiny sigma would overflow, and is a certain tail anyway.
    reach = (1 << 62) // inverse
    bins = NormalBins(np.clip(edges, -reach, reach), 0, inverse)
    return np.diff(bins.cumulative(np.arange(bins.size + 1), MAX_PRECISION))


def _laplace_weights(scale: int, minimum: int, maximum: int) -> np.ndarray:
    """P(0) : P(q) = 2 e^(a/2) : (1 + e^(-a/2)) e^(-a (|q| - 1)), with a = delta / b."""
    with decimal.localcontext(decimal.Context(prec=40)):
        a = _power_of_two(-scale)
        ratio = (-a).exp()
        half = (-a / 2).exp()
        zero = 2 / half / (1 + half)
        # The heaviest weight, which is that of zero, fills the range of `tables.expand`.
        value = decimal.Decimal(1 << _WEIGHT_BITS) / zero
        side = []
        for _ in range(max(-minimum, maximum)):
            side.append(int(value))
            if side[-1] == 0:
                break
            value *= ratio
    reach = np.zeros(1 + max(-minimum, maximum, 0), np.int64)
    reach[0] = 1 << _WEIGHT_BITS
    reach[1 : 1 + len(side)] = side
    return reach[np.abs(np.arange(minimum, maximum + 1))]


def _spike_weights(prior: Prior, minimum: int, maximum: int) -> np.ndarray:
    """A Gaussian without its zero, and a zero with a share of its own."""
    slab = _gaussian_counts(prior.scale, min(minimum, -1), max(maximum, 1))
    symbols = np.arange(min(minimum, -1), max(maximum, 1) + 1)
    slab = slab[(symbols >= minimum) & (symbols <= maximum)]
    zero = -minimum
    if not minimum <= 0 <= maximum:
        return slab
    slab[zero] = 0
    others = max(int(slab.sum()), 1)
    # Both parts in units of 2^-37: zero's share exactly, the slab's in proportion to its counts.
    weights = slab * (prior.share << _WEIGHT_BITS - _SHARE_BITS) // others
    weights[zero] = ((1 << _SHARE_BITS) - prior.share) << _WEIGHT_BITS - _SHARE_BITS
    return weights


@functools.cache
def _power_of_two(sixty_fourths: int) -> decimal.Decimal:
    with decimal.localcontext(decimal.Context(prec=40)):
        return decimal.Decimal(2) ** (decimal.Decimal(sixty_fourths) / SCALE_STEPS)
