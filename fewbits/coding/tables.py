"""Integer frequency tables: what the entropy coder sees instead of probabilities.

A table gives every symbol of a run of consecutive integers a count of at least one, and the
counts add up to exactly 2^precision. So the Kraft sum is one, every symbol can be coded, and
encoder and decoder agree on any machine: no float takes part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from fewbits.coding import units

MAX_PRECISION = 24
"""The coder works with probabilities in units of 2^-24; a table may be coarser."""
MAX_ALPHABET = 1 << 16
MAX_SYMBOL = 1 << 30
_WEIGHT_BITS = 38
_BLOCK = 1 << 18
"""Symbols that are counted at a time, for the sake of memory."""


@dataclass(frozen=True, eq=False)
class FrequencyTable:
    """Counts of the symbols `minimum`, `minimum + 1`, ..., `maximum`.

    Attributes:
      minimum: the smallest symbol.
      counts: int64[size], each >= 1, total exactly 2^precision; read-only.
      precision: 0 to 24.

    Raises:
      ValueError: on construction, where one of the above does not hold.

    Example:
      >>> import numpy as np
      >>> from fewbits.coding import FrequencyTable
      >>> table = FrequencyTable(-1, np.array([1, 2, 1]), precision=2)
      >>> table.maximum, table.size, table.cost_bits.tolist()
      (1, 3, [2.0, 1.0, 2.0])
    """

    minimum: int
    counts: Int[np.ndarray, " size"]
    precision: int = MAX_PRECISION

    def __post_init__(self):
        """Checks the table once, so that no coder has to."""
        counts = np.array(self.counts)
        if counts.ndim != 1 or not 1 <= counts.size <= MAX_ALPHABET:
            raise ValueError(f"a table has 1 to {MAX_ALPHABET} counts, not shape {counts.shape}")
        if counts.dtype.kind not in "iu":
            raise ValueError(f"counts are integers, not {counts.dtype}; see tables.from_weights")
        if not 0 <= self.precision <= MAX_PRECISION:
            raise ValueError(f"precision is 0 to {MAX_PRECISION}, not {self.precision}")
        if counts.min() < 1 or counts.max() > 1 << self.precision:
            raise ValueError(
                f"counts are 1 to 2^{self.precision}, not {counts.min()} to {counts.max()}"
            )
        counts = counts.astype(np.int64)
        if counts.sum() != 1 << self.precision:
            raise ValueError(f"counts add up to {counts.sum()}, not to 2^{self.precision}")
        if not -MAX_SYMBOL <= self.minimum <= MAX_SYMBOL - counts.size:
            raise ValueError(f"symbols lie within +-2^30, not at {self.minimum}")
        counts.setflags(write=False)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "minimum", int(self.minimum))

    def __eq__(self, other: object) -> bool:
        """Whether both give every symbol the same count out of the same total."""
        if not isinstance(other, FrequencyTable):
            return NotImplemented
        return (self.minimum, self.precision) == (other.minimum, other.precision) and (
            np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> int:
        """Number of symbols."""
        return self.counts.size

    @property
    def maximum(self) -> int:
        """The largest symbol."""
        return self.minimum + self.counts.size - 1

    @property
    def cost_bits(self) -> Float64[np.ndarray, " size"]:
        """Ideal code length of each symbol, -log2(count / 2^precision), float64[size]."""
        return self.precision - units.log2(self.counts)


def from_weights(
    weights: Sequence[float] | np.ndarray, *, minimum: int = 0, precision: int = MAX_PRECISION
) -> FrequencyTable:
    """The table whose counts are proportional to `weights`, as nearly as integers allow.

    With K symbols each gets 1 + floor(w (2^precision - K) / sum w), and what is left over goes to
    the first of the heaviest. The one that everyone gets costs at most log2(2^P / (2^P - K)) bits
    a symbol: nothing at the default precision, something for many symbols at a low one.

    Args:
      weights: K counts or probabilities, finite and >= 0; all zero means uniform.
      minimum: the symbol that the first weight belongs to.
      precision: log2 of the total.

    Raises:
      ValueError: weights that are not a short vector of finite numbers >= 0, or too many of them
        for the precision.
    """
    weights = np.asarray(weights)
    if weights.dtype.kind not in "biuf":
        raise ValueError(f"weights are real numbers, not {weights.dtype}")
    if weights.dtype == np.float16:  # holds no number of more than 16 bits
        weights = weights.astype(np.float64)
    if weights.ndim != 1 or not 1 <= weights.size <= MAX_ALPHABET:
        raise ValueError(f"a table has 1 to {MAX_ALPHABET} weights, not shape {weights.shape}")
    if not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise ValueError("weights are finite and not negative")
    if weights.dtype.kind not in "iu" or weights.max() >= 1 << _WEIGHT_BITS:
        heaviest = max(float(weights.max()), np.finfo(np.float64).tiny)
        weights = np.rint(weights / heaviest * ((1 << _WEIGHT_BITS) - 1))
    return expand(weights.astype(np.int64), minimum=minimum, precision=precision)


def expand(weights: np.ndarray, *, minimum: int, precision: int) -> FrequencyTable:
    """`from_weights` in integers alone: the part that a decoder repeats.

    Args:
      weights: int64[K], each 0 to 2^38 - 1.
      minimum: the first symbol.
      precision: log2 of the total.
    """
    free = (1 << precision) - weights.size
    if free < 0:
        raise ValueError(f"{weights.size} symbols do not fit a total of 2^{precision}")
    if weights.max() == 0:
        weights = np.ones_like(weights)
    # Python's integers: the sum of the weights may pass 2^53, the products never pass 2^62.
    counts = 1 + weights * free // int(weights.sum())
    counts[np.argmax(weights)] += (1 << precision) - counts.sum()
    return FrequencyTable(minimum, counts, precision)


def uniform(minimum: int, size: int, precision: int = MAX_PRECISION) -> FrequencyTable:
    """Equal counts for `size` symbols; the first takes what does not divide."""
    if not 1 <= size <= MAX_ALPHABET:
        raise ValueError(f"a table has 1 to {MAX_ALPHABET} symbols, not {size}")
    return expand(np.ones(size, np.int64), minimum=minimum, precision=precision)


def histogram(symbols: np.ndarray) -> tuple[int, np.ndarray]:
    """Smallest symbol and number of occurrences of each symbol from there to the largest.

    Raises:
      ValueError: symbols that are not integers, or spread over more than 2^16 values.
    """
    symbols = np.asarray(symbols).ravel()
    if symbols.dtype.kind not in "iu":
        raise ValueError(f"symbols are integers, not {symbols.dtype}")
    if symbols.size == 0:
        return 0, np.zeros(1, np.int64)
    minimum, maximum = int(symbols.min()), int(symbols.max())
    if maximum - minimum >= MAX_ALPHABET:
        raise ValueError(f"symbols {minimum} to {maximum} span more than {MAX_ALPHABET} values")
    counts = np.zeros(maximum - minimum + 1, np.int64)
    for start in range(0, symbols.size, _BLOCK):
        block = symbols[start : start + _BLOCK].astype(np.int64) - minimum
        counts += np.bincount(block, minlength=counts.size)
    return minimum, counts
