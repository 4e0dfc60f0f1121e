"""The odds of a pixel being at least as bright as a threshold, learned from the pixels before it.

A pixel of L levels is found by tosses "is it at least t?" down a tree of thresholds: first t = 1
and t = L - 1, because black and white fill most pictures worth few bytes, then halves of what is
left. Images are coded in groups, the same pixel of all images of a group at once, which keeps the
arithmetic in NumPy; the context of a toss is the group's earlier pixels and the groups before.

Several contexts predict a toss as log odds, and a weighted sum of them decides, as in Mahoney's
PAQ ("Adaptive weighing of context models", 2005): weights follow the gradient of the coding cost.
A context that has seen little deserves less trust, so each kind of context has a weight for each
octave of its count. All of it is whole numbers: encoder and decoder agree on any machine.
"""

from __future__ import annotations

import decimal
import functools

import numpy as np

from fewbits.coding import adaptive_bits

REACH = 2
"""How many rows and columns back the neighbours of a pixel lie."""
SLANT = 3
"""A pixel's neighbours all have a smaller column + 3 row; those of equal ones are coded at once."""
Places = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Image number, row and column of pixels, int64[n] each."""
_NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2))
_UNDER = ((0, 0), (0, -1), (-1, 0))
"""In the channel before; `_NEIGHBOURS` are in the same."""
_N_KINDS = 7
_TABLE_BITS = 20
_TABLE = 1 << _TABLE_BITS
"""Places for the contexts of a kind; now and then two share one."""
_SCATTER = np.uint64(0x9E3779B97F4A7C15)
_CLASSES = 8
_OCTAVES = 16
_HALF = 26
"""What a context has seen before it has seen anything, in 1/64 heads and tails each."""
_FIRST_WEIGHT = 20_000
_MAX_WEIGHT = 1 << 18
_RATE_BITS = 16
_FULL_STEPS = 64
_ODDS_LIMIT = 12 * adaptive_bits.ONE
_SQUASH_STEP = 16
_TABLED = 1 << 15
"""Counts up to here have their logarithms in a table; the last octave of trust begins here."""


class PixelModel:
    """Odds of one row of tosses after another; a row is one pixel of all images of a group."""

    def __init__(self, width: int, n_levels: int):
        """Starts before the first group.

        Args:
          width: of the images.
          n_levels: grey levels, 1 to 256.
        """
        self._width = width
        self._classes = _threshold_classes(n_levels)
        self._heads = np.zeros(_N_KINDS * _TABLE, np.int32)
        self._tails = np.zeros(_N_KINDS * _TABLE, np.int32)
        self._weights = np.full(_N_KINDS * _OCTAVES, _FIRST_WEIGHT, np.int64)

    def surroundings(
        self, padded: np.ndarray, places: Places, channel: int, labels: np.ndarray
    ) -> np.ndarray:
        """int64[13, n]: the context of the tosses of pixels.

        Args:
          padded: uint8[images, height + 2, width + 4, channels], with `REACH` black rows above and
            black columns to both sides of the pixels; those not yet known are black too.
          places: of the pixels.
          channel: theirs.
          labels: int[n], the class of each pixel's image.
        """
        _, height, width, channels = padded.shape
        image, row, column = places
        flat = ((image * height + row + REACH) * width + column + REACH) * channels + channel
        steps = np.array([(up * width + across) * channels for up, across in _NEIGHBOURS])
        found = np.zeros((len(_NEIGHBOURS) + len(_UNDER), flat.size), np.int64)
        pixels = padded.reshape(-1)
        found[: len(_NEIGHBOURS)] = pixels[flat[None] + steps[:, None]]
        if channel:
            under = np.array([(up * width + across) * channels - 1 for up, across in _UNDER])
            found[len(_NEIGHBOURS) :] = pixels[flat[None] + under[:, None]]
        number = (row * self._width + column) * channels + channel
        coarse = (row // 2 * self._width + column // 2) * channels + channel
        return np.concatenate([found, np.stack([labels, number, coarse])])

    def contexts(self, seen: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """int64[7, n]: the contexts of a toss, from `surroundings` and the thresholds int64[n]."""
        near = self._classes[thresholds[None], seen[:10]].astype(np.int64)
        left, above, corner, right, left2, above2, right2, under, under_left, under_above = near
        label, number, coarse = seen[10:]
        colour = under + _CLASSES * (under_left + _CLASSES * under_above)
        around = left + _CLASSES * (above + _CLASSES * (corner + _CLASSES * right))
        total = near[:7].sum(axis=0)
        wide = around + _CLASSES**4 * (left2 + _CLASSES * (above2 + _CLASSES * right2))
        keys = np.stack(
            [
                around + _CLASSES**4 * under,
                number * 4096 + label,
                number + 65536 * (left + _CLASSES * (above + _CLASSES * under)),
                wide + _CLASSES**7 * under,
                label + 4096 * (coarse + 65536 * (left + _CLASSES * above)),
                label + 4096 * (around + _CLASSES**4 * colour),
                total + 64 * (colour + _CLASSES**3 * coarse),
            ]
        )
        # Fibonacci hashing: the top bits of a product scatter keys that differ in any digit.
        keys <<= 8
        keys += thresholds
        spread = keys.view(np.uint64)
        spread *= _SCATTER
        spread >>= np.uint64(64 - _TABLE_BITS)
        keys += (np.arange(_N_KINDS) * _TABLE)[:, None]
        return keys

    def log_odds(self, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log odds int64[n] that the pixels are at least the thresholds, and what they rest on."""
        heads, tails = self._heads[contexts], self._tails[contexts]
        predicted = _belief(heads)
        predicted -= _belief(tails)
        heads += tails
        trust = _octaves()[np.minimum(heads, _TABLED)]
        trust += (np.arange(_N_KINDS) * _OCTAVES)[:, None]
        total = (self._weights[trust] * predicted).sum(axis=0) >> 16
        return np.clip(total, -_ODDS_LIMIT, _ODDS_LIMIT), predicted, trust

    def learn(
        self,
        contexts: np.ndarray,
        bits: np.ndarray,
        found: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> None:
        """Counts a row of tosses, bool[n], and updates the weights; `found` is from `log_odds`."""
        total, predicted, trust = found
        chance = _chances()[(total + _ODDS_LIMIT) // _SQUASH_STEP]
        wrong = (bits.astype(np.int64) << 16) - chance
        size = self._weights.size
        slopes = np.zeros(size, np.int64)
        # Flat indices and values of the array's own type let NumPy take its fast path.
        trust = trust.ravel()
        np.add.at(slopes, trust, (wrong[None] * predicted).ravel())
        crowd = np.maximum(np.bincount(trust, minlength=size), _FULL_STEPS)
        self._weights += (slopes * _FULL_STEPS // crowd) >> _RATE_BITS
        np.clip(self._weights, -_MAX_WEIGHT, _MAX_WEIGHT, out=self._weights)
        np.add.at(self._heads, contexts[:, bits].ravel(), np.int32(1))
        np.add.at(self._tails, contexts[:, ~bits].ravel(), np.int32(1))


def _threshold_classes(n_levels: int) -> np.ndarray:
    """uint8[n_levels, n_levels]: the class of a neighbour's level, beside each threshold."""
    levels = np.arange(n_levels)
    if n_levels <= _CLASSES:
        return np.tile(levels.astype(np.uint8), (n_levels, 1))
    difference = levels[None] - levels[:, None]
    steps = np.array([-(n_levels // 4), -(n_levels // 16), 0, n_levels // 16 + 1, n_levels // 4])
    classes = 1 + np.searchsorted(steps, difference, side="right")
    classes[:, 0], classes[:, -1] = 0, _CLASSES - 1
    return classes.astype(np.uint8)


def _belief(counts: np.ndarray) -> np.ndarray:
    """Log odds, int64, that a count of heads stands for; int32 counts of any shape."""
    found = _beliefs()[np.minimum(counts, _TABLED)]
    many = counts > _TABLED
    if many.any():
        found[many] = adaptive_bits.log2(counts[many].astype(np.int64) * 64 + _HALF)
    return found


@functools.cache
def _beliefs() -> np.ndarray:
    return adaptive_bits.log2(np.arange(_TABLED + 1) * 64 + _HALF)


@functools.cache
def _octaves() -> np.ndarray:
    """int64: the octave of trust of a context that has seen so many tosses."""
    octaves = adaptive_bits.log2(np.arange(_TABLED + 1) + 1) // adaptive_bits.ONE
    return np.minimum(octaves, _OCTAVES - 1)


@functools.cache
def _chances() -> np.ndarray:
    """int64[385]: 2^16 times the chance of heads at log odds of -12, -12 + 1/16, ... 12 octaves."""
    chances = []
    with decimal.localcontext(decimal.Context(prec=40)):
        for step in range(-_ODDS_LIMIT, _ODDS_LIMIT + 1, _SQUASH_STEP):
            odds = decimal.Decimal(2) ** (decimal.Decimal(step) / adaptive_bits.ONE)
            chances.append(int((65536 * odds / (1 + odds)).to_integral_value()))
    return np.array(chances, np.int64)
