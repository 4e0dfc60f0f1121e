"""A quantised array as a file: reconstruction points, frequency tables, entropy-coded indices.

Two kinds of code share the format. A *vector* code cuts the array into runs of k numbers and sends
the cell of each. A *trellis* code sends one index per number; the indices of its two quantisers
form two streams, each with a table of its own, and the state machine interleaves them again.

    header    shape of the array, k, points per quantiser, indices per quantiser; of a trellis
              with more than eight states, how many
    points    float32, little endian
    tables    one description per quantiser (`fewbits.coding.table_code`)
    symbols   the stream (`fewbits.coding.entropy_coder`)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import FormatError, container, entropy_coder, table_code
from fewbits.coding.tables import MAX_ALPHABET
from fewbits.coding.varint import ByteReader
from ratedist.codes import trellis

KIND = "quantised"
MAX_DIMENSION = 4
_MAX_NUMBERS = 1 << 28
_FIELDS = {"shape", "dimension", "points", "indices"}


class Quantised(NamedTuple):
    """What is written.

    Attributes:
      shape: of the array.
      points: one Float[m, k] for a vector code, two Float[m, 1] for a trellis code.
      indices: one Int[N / k] for a vector code; for a trellis code the indices sent in each of its
        quantisers, in order.
      states: of the trellis.
    """

    shape: tuple[int, ...]
    points: tuple[np.ndarray, ...]
    indices: tuple[np.ndarray, ...]
    states: int = trellis.STATES


def of_trellis(
    fitted: trellis.Trellis, coded: trellis.Coded, shape: tuple[int, ...], states: int
) -> Quantised:
    """What an encoder of `states` states chose, for an array of that shape."""
    index, quantiser = np.asarray(coded.index), np.asarray(coded.quantiser)
    # Parities steer the machine, so points that are not sent keep their places.
    points = tuple(np.asarray(fitted.points)[:, :, None])
    sent = tuple(index[quantiser == number] for number in range(2))
    return Quantised(shape, points, sent, states)


def write(code: Quantised) -> bytes:
    """The bytes of a file.

    Raises:
      ValueError: an index without a point, or sizes that do not fit the shape.
    """
    tables = [table_code.fit(np.asarray(index)) for index in code.indices]
    header = {
        "shape": [int(n) for n in code.shape],
        "dimension": int(code.points[0].shape[1]),
        "points": [len(points) for points in code.points],
        "indices": [int(np.size(index)) for index in code.indices],
    }
    if code.states != trellis.STATES:
        header["states"] = code.states
    _check(header, "header")
    for index, points in zip(code.indices, code.points, strict=True):
        if np.size(index) and not 0 <= np.min(index) <= np.max(index) < len(points):
            raise ValueError(f"indices {np.min(index)} to {np.max(index)}, {len(points)} points")
    streams = [
        entropy_coder.SymbolStream(np.asarray(index), fitted.table)
        for index, fitted in zip(code.indices, tables, strict=True)
    ]
    sections = {
        "points": b"".join(np.asarray(points, "<f4").tobytes() for points in code.points),
        "tables": b"".join(fitted.code for fitted in tables),
        "symbols": entropy_coder.encode(streams),
    }
    return container.write_archive(KIND, header, sections)


def read(data: bytes) -> np.ndarray:
    """The array that a file stands for, float32.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    archive = container.read_archive(data, kind=KIND)
    missing = {"points", "tables", "symbols"} ^ archive.sections.keys()
    if missing:
        raise FormatError(f"sections missing or too many: {', '.join(sorted(missing))}")
    header = archive.header
    _check(header, "header")
    points = _read_points(archive.sections["points"], header)
    reader = ByteReader(archive.sections["tables"], "tables")
    plan = []
    for count, table_points in zip(header["indices"], points, strict=True):
        table = table_code.read(reader)
        if table.minimum < 0 or table.maximum >= len(table_points):
            raise reader.error(f"indices to {table.maximum} for {len(table_points)} points")
        plan.append(entropy_coder.StreamPlan(count, table))
    reader.finish()
    indices = entropy_coder.decode(archive.sections["symbols"], plan)
    if len(points) == 1:
        return points[0][indices[0]].reshape(header["shape"])
    size = sum(header["indices"])
    longest = max(map(len, points))
    table = np.zeros((2, longest))
    for row, column in zip(table, points, strict=True):
        row[: len(column)] = column[:, 0]
    try:
        values = trellis.decode(
            (indices[0], indices[1]), table, size, header.get("states", trellis.STATES)
        )
    except ValueError as error:
        raise FormatError(str(error), "symbols") from error
    return values.astype(np.float32).reshape(header["shape"])


def _read_points(section: bytes, header: dict[str, Any]) -> list[np.ndarray]:
    k = header["dimension"]
    if len(section) != 4 * k * sum(header["points"]):
        raise FormatError(f"{len(section)} bytes for {header['points']} points", "points")
    numbers = np.frombuffer(section, "<f4").astype(np.float32)
    if not np.isfinite(numbers).all():
        raise FormatError("a point is not finite", "points")
    ends = np.cumsum(header["points"])[:-1] * k
    return [part.reshape(-1, k) for part in np.split(numbers, ends)]


def _check(header: dict[str, Any], section: str) -> None:
    """Everything that can be wrong with a header, before it is used."""
    if header.keys() - {"states"} != _FIELDS:
        raise FormatError(f"fields {', '.join(sorted(header))}", section)
    lists = {name: header[name] for name in ("shape", "points", "indices")}
    for name, value in lists.items():
        whole = isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)
        if not whole or len(value) > 32:
            raise FormatError(f"{name} is not a short list of whole numbers", section)
    k, points, indices = header["dimension"], header["points"], header["indices"]
    if type(k) is not int or not 1 <= k <= MAX_DIMENSION:
        raise FormatError(f"dimension {k!r}; 1 to {MAX_DIMENSION}", section)
    if len(points) not in (1, 2) or len(indices) != len(points) or (len(points) == 2 and k > 1):
        raise FormatError("one quantiser of vectors or two of numbers", section)
    if not all(1 <= m <= MAX_ALPHABET for m in points):
        raise FormatError(f"{points} points; 1 to {MAX_ALPHABET}", section)
    states = header.get("states", trellis.STATES)
    if type(states) is not int or states not in trellis.MACHINES:
        raise FormatError(f"a machine of {states!r} states", section)
    size = math.prod(header["shape"])
    if size > _MAX_NUMBERS or size != k * sum(indices):
        raise FormatError(f"{indices} indices for an array of shape {header['shape']}", section)
