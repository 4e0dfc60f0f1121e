"""Images of few levels as one entropy-coded stream: the best lossless code for small image sets.

The odds are those of `fewbits.codecs.pixels.pixel_model`, the stream is that of
`fewbits.coding.entropy_coder`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fewbits.codecs.pixels.pixel_model import REACH, SLANT, PixelModel, Places
from fewbits.coding import FormatError, adaptive_bits, entropy_coder
from fewbits.coding.entropy_coder import SymbolReader, SymbolStream

MAX_CLASSES = 4096
_FIRST_GROUP = 2

Index = tuple[np.ndarray, np.ndarray, np.ndarray, int]
"""Image numbers, rows, columns; and the channel of pixels."""
Shape = tuple[int, int, int, int]
"""Images, height, width, channels."""
Toss = Callable[[Index, np.ndarray, np.ndarray], np.ndarray]
"""(pixels, thresholds, levels of the odds) -> which pixels are at least their thresholds."""


def encode(pixels: np.ndarray, labels: np.ndarray, n_levels: int) -> bytes:
    """The stream of the images.

    Args:
      pixels: uint8[n, height, width, channels], each below `n_levels`.
      labels: int[n], 0 to 4095; the decoder needs them.
      n_levels: 1 to 256.

    Raises:
      ValueError: a level out of range, or images so empty that `entropy_coder.symbol_limit`
        forbids them.
    """
    if pixels.size and int(pixels.max()) >= n_levels:
        raise ValueError(f"a pixel of level {pixels.max()}, where there are {n_levels}")
    tables = adaptive_bits.level_tables()
    streams = []

    def known(index: Index, thresholds: np.ndarray, levels: np.ndarray):
        bits = pixels[index] >= thresholds
        streams.append(SymbolStream(bits.astype(np.int64), tables, levels))
        return bits

    _code(pixels.shape, labels, n_levels, known)
    data = entropy_coder.encode(streams)
    if pixels.size > entropy_coder.symbol_limit(len(data)):
        raise ValueError(f"{pixels.size} pixels are too many for a stream of {len(data)} bytes")
    return data


def cost_bits(pixels: np.ndarray, labels: np.ndarray, n_levels: int) -> np.ndarray:
    """Float64[n]: what each image adds to the stream of all, ends of the stream left out."""
    costs, table = np.zeros(len(pixels)), adaptive_bits.level_costs()

    def known(index: Index, thresholds: np.ndarray, levels: np.ndarray):
        bits = pixels[index] >= thresholds
        np.add.at(costs, index[0], table[levels, bits.astype(np.int64)])
        return bits

    _code(pixels.shape, labels, n_levels, known)
    return costs


def decode(data: bytes, shape: Shape, labels: np.ndarray, n_levels: int) -> np.ndarray:
    """The inverse of `encode`: uint8[n, height, width, channels].

    Raises:
      FormatError: not such a stream, or more pixels than such a stream can hold.
    """
    reader = SymbolReader(data, "pixels")
    n_images, height, width, channels = shape
    if n_images * height * width * channels > entropy_coder.symbol_limit(len(data)):
        raise FormatError(f"images {shape} in a stream of {len(data)} bytes", "pixels")
    tables = adaptive_bits.level_tables()

    def read(index: Index, thresholds: np.ndarray, levels: np.ndarray):
        del thresholds
        return reader.take(index[0].size, tables, levels) == 1

    pixels = _code(shape, labels, n_levels, read)
    reader.finish()
    return pixels


def _code(shape: tuple[int, ...], labels: np.ndarray, n_levels: int, toss: Toss) -> np.ndarray:
    """Asks `toss` for every pixel, group by group of images, and returns what it said."""
    n_images, height, width, channels = shape
    padded = np.zeros((n_images, height + REACH, width + 2 * REACH, channels), np.uint8)
    pixels = padded[:, REACH:, REACH : REACH + width]
    if n_levels == 1 or not pixels.size:
        return np.ascontiguousarray(pixels)
    labels = np.asarray(labels, np.int64)
    model = PixelModel(width, n_levels)
    slants = _slants(height, width)
    done = 0
    while done < n_images:
        # Half as many as are known: few enough to learn from, many enough to be quick.
        group = np.arange(done, min(n_images, done + max(_FIRST_GROUP, done // 2)))
        done += group.size
        for rows, columns in slants:
            places = (
                np.repeat(group, rows.size),
                np.tile(rows, group.size),
                np.tile(columns, group.size),
            )
            for channel in range(channels):
                seen = model.surroundings(padded, places, channel, labels[places[0]])
                pixels[(*places, channel)] = _levels(model, seen, n_levels, places, channel, toss)
    return np.ascontiguousarray(pixels)


def _slants(height: int, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the pixels that can be coded at once, in the order of coding."""
    rows, columns = np.divmod(np.arange(height * width), width)
    slant = columns + SLANT * rows
    order = np.argsort(slant, kind="stable")
    ends = np.cumsum(np.bincount(slant))[:-1]
    parts = zip(np.split(rows[order], ends), np.split(columns[order], ends), strict=True)
    return [part for part in parts if part[0].size]


def _levels(
    model: PixelModel,
    seen: np.ndarray,
    n_levels: int,
    places: Places,
    channel: int,
    toss: Toss,
) -> np.ndarray:
    """int64[n]: the levels of pixels that are coded at once, down the tree of thresholds."""
    size = places[0].size
    low, high = np.zeros(size, np.int64), np.full(size, n_levels)
    left, threshold = np.arange(size), np.ones(size, np.int64)
    while left.size:
        contexts = model.contexts(seen[:, left], threshold)
        found = model.log_odds(contexts)
        image, row, column = (one[left] for one in places)
        levels = adaptive_bits.levels(found[0])
        bits = toss((image, row, column, channel), threshold, levels)
        model.learn(contexts, bits, found)
        low[left] = np.where(bits, threshold, low[left])
        high[left] = np.where(bits, high[left], threshold)
        left = left[high[left] - low[left] > 1]
        middle = (low[left] + high[left]) >> 1
        threshold = np.where(high[left] == n_levels, n_levels - 1, middle)
    return low
