"""How an array is read: as a picture or a series, and which axis holds channels."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ratedist.codes.transform.images.symbols import SUPERBLOCK

MOST_IMAGE_CHANNELS = 4
MOST_SERIES_CHANNELS = 8


class Layout(NamedTuple):
    """An array as channels.

    Attributes:
      shape: of the array.
      images: whether the last two axes (before the channels) are rows and columns.
      channels: length of the last axis where that is channels, else 1.
    """

    shape: tuple[int, ...]
    images: bool
    channels: int

    @property
    def length(self) -> int:
        """Numbers of a channel."""
        return math.prod(self.shape) // self.channels

    @property
    def picture(self) -> tuple[int, int, int]:
        """Pictures, rows, columns."""
        inner = self.shape if self.channels == 1 else self.shape[:-1]
        return math.prod(inner[:-2]), inner[-2], inner[-1]

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns of all pictures below one another, in whole superblocks each."""
        count, rows, columns = self.picture
        return count * (rows + -rows % SUPERBLOCK), columns + -columns % SUPERBLOCK

    def pad(self, signal: np.ndarray) -> np.ndarray:
        """[C, N] as [C, H, W] of `padded` size; pictures continued by their last lines."""
        count, rows, columns = self.picture
        height, width = self.padded
        wide = np.pad(
            signal.reshape(self.channels, count, rows, columns),
            ((0, 0), (0, 0), (0, -rows % SUPERBLOCK), (0, width - columns)),
            mode="edge",
        )
        return wide.reshape(self.channels, height, width)

    def crop(self, planes: np.ndarray) -> np.ndarray:
        """The inverse of `pad`."""
        count, rows, columns = self.picture
        height, width = self.padded
        wide = planes.reshape(self.channels, count, height // max(count, 1), width)
        return wide[:, :, :rows, :columns].reshape(self.channels, -1)


def of_images(shape: tuple[int, ...]) -> Layout | None:
    """The layout of (..., rows, columns) or (..., rows, columns, channels <= 4)."""
    coloured = len(shape) >= 3 and shape[-1] <= MOST_IMAGE_CHANNELS
    if len(shape) < 2 or (len(shape) == 2 and min(shape) == 1):
        return None
    return Layout(shape, True, shape[-1] if coloured else 1)


def of_series(shape: tuple[int, ...]) -> Layout:
    """The layout of numbers in a row, or of (samples, channels <= 8)."""
    many = len(shape) == 2 and 1 < shape[1] <= MOST_SERIES_CHANNELS and shape[0] > shape[1]
    return Layout(shape, False, shape[1] if many else 1)


def to_channels(values: np.ndarray, layout: Layout) -> np.ndarray:
    """The array as Float[C, N]."""
    return values.reshape(-1, layout.channels).T.astype(np.float64)


def from_channels(signal: np.ndarray, layout: Layout) -> np.ndarray:
    """The inverse of `to_channels`."""
    return np.ascontiguousarray(signal.T).reshape(layout.shape)
