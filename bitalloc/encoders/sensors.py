"""Who sees which features: one sensor that sees all, four quadrants, or groups of columns.

A view is one array, `sensor_of`: Int[M], the sensor that sees each feature, or -1 where none
does. Sensors share no feature and cannot talk to one another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from bitalloc.inputs import ImageShape
from fewbits.coding import InputError


def central(n_features: int) -> np.ndarray:
    """One sensor sees every feature."""
    return np.zeros(n_features, np.int32)


def quadrants(height: int, width: int) -> np.ndarray:
    """Four sensors, each with a quarter of an image: top left, top right, bottom left, right.

    Args:
      height: rows of the image, at least 2; an odd middle row goes to the lower sensors.
      width: columns of the image, likewise.

    Raises:
      InputError: if a side cannot be halved.
    """
    if height < 2 or width < 2:
        raise InputError(f"an image of {height} x {width} pixels has no quadrants")
    row, column = np.divmod(np.arange(height * width), width)
    return (2 * (row >= height // 2) + (column >= width // 2)).astype(np.int32)


def from_groups(groups: Sequence[Sequence[int]], n_features: int) -> np.ndarray:
    """Sensors given as groups of columns.

    Args:
      groups: the columns of each sensor; none empty, none twice, all in 0..n_features-1.
      n_features: M.

    Raises:
      InputError: naming the sensor or column that breaks a rule.
    """
    if not groups:
        raise InputError("no sensor: give at least one group of columns")
    sensor_of = np.full(n_features, -1, np.int32)
    for sensor, columns in enumerate(groups):
        if len(columns) == 0:
            raise InputError(f"sensor {sensor} has no columns")
        for column in columns:
            if not 0 <= column < n_features:
                raise InputError(
                    f"column {column} of sensor {sensor} is not in 0..{n_features - 1}"
                )
            if sensor_of[column] >= 0:
                raise InputError(f"column {column} is given to two sensors or twice to one")
            sensor_of[column] = sensor
    return sensor_of


def parse(
    text: str | Sequence[Sequence[int]], n_features: int, image_shape: ImageShape
) -> np.ndarray:
    """A view from its name or its groups: `central`, `quadrants`, or `0-9,12/10,11,13-19`.

    Args:
      text: the name, or one group per sensor separated by `/`, each a list of columns and
        inclusive ranges; or the groups as sequences of columns.
      n_features: M.
      image_shape: rows, columns and perhaps channels, where the features are an image.

    Raises:
      InputError: for a view that the features do not allow.
    """
    if not isinstance(text, str):
        return from_groups(text, n_features)
    if text == "central":
        return central(n_features)
    if text == "quadrants":
        if image_shape is None:
            raise InputError(
                "quadrants need images, an array of N x height x width; give the sensors of "
                "feature vectors as groups of columns such as 0-9/10-19"
            )
        channels = image_shape[2] if len(image_shape) == 3 else 1
        return np.repeat(quadrants(*image_shape[:2]), channels)
    groups = []
    for group in text.split("/"):
        columns: list[int] = []
        for part in group.split(","):
            match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
            if match is None:
                raise InputError(
                    f"sensors {text!r}: {part!r} is no column or range; "
                    "write central, quadrants, or groups such as 0-9/10-19"
                )
            first, last = int(match[1]), int(match[2] or match[1])
            if last >= n_features:
                raise InputError(f"sensors {text!r}: there is no column {last}, only {n_features}")
            columns.extend(range(first, last + 1))
        groups.append(columns)
    return from_groups(groups, n_features)


def n_sensors(sensor_of: np.ndarray) -> int:
    """S, the number of sensors."""
    return int(sensor_of.max()) + 1


def even_split(bits: int, n: int) -> np.ndarray:
    """The budget shared equally, what is left over going to the first sensors; Int[n]."""
    return bits // n + (np.arange(n) < bits % n)
