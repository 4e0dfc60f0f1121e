"""A signal in transform codes as a file.

    header    shape and type of the array, whether pictures, channels, transform, block, step,
              means of the channels
    tables    int8, by how much reconstruction points lie below whole numbers, in 1/64 steps;
              int16, the rotation of the channels where there are several
    basis     int16, of a learned block transform, compressed by zlib
    symbols   the arithmetic coder's stream

What is read next never depends on floating point: contexts, probabilities and the coder are whole
numbers. The pixels or samples are sums of whole numbers below 2^53, which float64 holds exactly in
any order, and one product and one sum that IEEE 754 rounds in one way.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import FormatError, container
from ratedist.codes.transform import bits, channels
from ratedist.codes.transform.images import planes
from ratedist.codes.transform.images import symbols as image_symbols
from ratedist.codes.transform.images.scans import context_bases, scan_order
from ratedist.codes.transform.layouts import Layout, from_channels
from ratedist.codes.transform.series import frames
from ratedist.codes.transform.series import symbols as frame_symbols

KIND = "signal"
_MAX_NUMBERS = 1 << 28
_FIELDS = ("shape", "type", "images", "channels", "transform", "block", "step", "means")
_TYPES = ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
_NUMBER_TYPES = {np.dtype(name): name for name in _TYPES}


class Signal(NamedTuple):
    """What is written.

    Attributes:
      layout: how the array becomes channels.
      dtype: of the array.
      rotation: of the channels.
      step: distance of reconstruction points.
      transform: "blocks" for images, else the kind of `frames.Basis`.
      block: numbers of a frame; 0 for images.
      basis: of a learned transform, else None.
      values: Int[T, C, M] for frames, Int[C, H, W] for images.
      sizes: of `planes.Quantised` for images, else None.
      shifts: Int[zones or levels, 3].
    """

    layout: Layout
    dtype: np.dtype
    rotation: channels.Channels
    step: float
    transform: str
    block: int
    basis: np.ndarray | None
    values: np.ndarray
    sizes: np.ndarray | None
    shifts: np.ndarray


def symbols(signal: Signal) -> bytes:
    """The entropy-coded values.

    Raises:
      OverflowError: a value too large to be coded.
    """
    if np.abs(signal.values).max(initial=0) >= 1 << 40:
        raise OverflowError("values too many steps from their mean")
    for room in (2, 8, 32):
        capacity = room * signal.values.size + (1 << 16)
        if signal.sizes is None:
            coder = bits.start(frame_symbols.CONTEXTS, frame_symbols.SETS, capacity=capacity)
            frame_symbols.code_frames(coder, signal.values.copy())
        else:
            coder = bits.start(image_symbols.CONTEXTS, image_symbols.SETS, capacity=capacity)
            image_symbols.code_image(
                coder, signal.values.copy(), signal.sizes.copy(), signal.shifts,
                context_bases(), *scan_order(),
            )  # fmt: skip
        if not bits.is_full(coder):
            break
    return bits.finish(coder)


def write(signal: Signal) -> bytes:
    """The bytes of a file."""
    layout = signal.layout
    header = [
        [int(n) for n in layout.shape],
        _NUMBER_TYPES[signal.dtype],
        layout.images,
        layout.channels,
        signal.transform,
        int(signal.block),
        float(signal.step),
        [float(mean) for mean in signal.rotation.offsets],
    ]
    tables = signal.shifts.astype(np.int8).tobytes()
    if layout.channels > 1:
        tables += signal.rotation.matrix.astype("<i2").tobytes()
    sections = {"symbols": symbols(signal), "tables": tables}
    if signal.basis is not None:
        sections["basis"] = zlib.compress(signal.basis.astype("<i2").tobytes(), 9)
    return container.write_archive(KIND, {"signal": header}, sections)


def read(data: bytes) -> np.ndarray:
    """The array that a file stands for.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    archive = container.read_archive(data, kind=KIND)
    header, sections = _fields(archive.header), archive.sections
    layout, dtype = _checked(header)
    wanted = {"symbols", "tables"}
    wanted |= {"basis"} if header["transform"] == "klt" else set()
    if wanted != sections.keys():
        raise FormatError(f"sections {', '.join(sorted(wanted ^ sections.keys()))}")
    zones = len(planes.LEVELS) if layout.images else frames.SHIFT_ZONES
    shifts, rotation = _tables(sections["tables"], zones, header["means"])
    try:
        if header["transform"] == "blocks":
            parts = _read_planes(layout, shifts, sections)
        else:
            parts = _read_frames(header, layout, shifts, sections)
        restored = channels.restore(rotation, parts, header["step"], dtype)
    except OverflowError as error:
        raise FormatError(str(error), "symbols") from error
    return from_channels(restored, layout)


def _fields(header: dict[str, Any]) -> dict[str, Any]:
    fields = header.get("signal")
    if len(header) != 1 or not isinstance(fields, list) or len(fields) != len(_FIELDS):
        raise FormatError(f"not {len(_FIELDS)} fields", "header")
    return dict(zip(_FIELDS, fields, strict=True))


def _tables(data: bytes, zones: int, means: list[float]) -> tuple[np.ndarray, channels.Channels]:
    split, count = 3 * zones, len(means)
    shifts = np.frombuffer(data[:split], np.int8).astype(np.int64)
    if shifts.size != split:
        raise FormatError(f"{shifts.size} shifts, not {split}", "tables")
    matrix = np.array([[1 << channels.TABLE_BITS]])
    if count > 1:
        matrix = _matrix(data[split:], count, "tables")
    elif len(data) != split:
        raise FormatError(f"{len(data)} bytes, not {split}", "tables")
    return shifts.reshape(zones, 3), channels.Channels(np.array(means), matrix)


def _read_planes(layout: Layout, shifts: np.ndarray, sections: dict[str, bytes]) -> np.ndarray:
    height, width = layout.padded
    values = np.zeros((layout.channels, height, width), np.int64)
    sizes = np.zeros((height // planes.SMALLEST, width // planes.SMALLEST), np.int64)
    coder = bits.start(image_symbols.CONTEXTS, image_symbols.SETS, sections["symbols"])
    image_symbols.code_image(coder, values, sizes, shifts, context_bases(), *scan_order())
    bits.check_read(coder)
    return layout.crop(planes.pixels(planes.Quantised(values, sizes, shifts)))


def _read_frames(
    header: dict[str, Any], layout: Layout, shifts: np.ndarray, sections: dict[str, bytes]
) -> np.ndarray:
    kind, block = header["transform"], header["block"]
    table = None
    if kind == "klt":
        table = _matrix(_unpacked(sections["basis"], 2 * block * block), block, "basis")
    using = frames.basis(kind, block, table)
    count = frames.frame_count(layout.length, kind, block)
    values = np.zeros((count, layout.channels, block), np.int64)
    coder = bits.start(frame_symbols.CONTEXTS, frame_symbols.SETS, sections["symbols"])
    frame_symbols.code_frames(coder, values)
    bits.check_read(coder)
    return frames.synthesise(frames.reconstruction(values, shifts), using, layout.length)


def _unpacked(packed: bytes, size: int) -> bytes:
    engine = zlib.decompressobj()
    try:
        whole = engine.decompress(packed, size + 1)
    except zlib.error as error:
        raise FormatError(f"not zlib: {error}", "basis") from error
    if not engine.eof or engine.unused_data:
        raise FormatError("too short or too long", "basis")
    return whole


def _matrix(data: bytes, size: int, section: str) -> np.ndarray:
    if len(data) != 2 * size * size:
        raise FormatError(f"{len(data)} bytes for {size} x {size} numbers", section)
    return np.frombuffer(data, "<i2").astype(np.int64).reshape(size, size)


def _checked(header: dict[str, Any]) -> tuple[Layout, np.dtype]:
    """Everything that can be wrong with a header, before it is used."""
    shape, images, count = header["shape"], header["images"], header["channels"]
    if not isinstance(shape, list) or len(shape) > 32:
        raise FormatError("shape is not a short list", "header")
    if not all(type(n) is int and n >= 1 for n in shape) or math.prod(shape) > _MAX_NUMBERS:
        raise FormatError(f"shape {shape}", "header")
    if header["type"] not in _TYPES:
        raise FormatError(f"type {header['type']!r}", "header")
    if type(images) is not bool or type(count) is not int or not 1 <= count <= channels.MOST:
        raise FormatError("channels", "header")
    if count > 1 and (len(shape) < 2 or shape[-1] != count):
        raise FormatError(f"{count} channels in shape {shape}", "header")
    if images and len(shape) < (3 if count > 1 else 2):
        raise FormatError(f"an image of shape {shape}", "header")
    layout = Layout(tuple(shape), images, count)
    if images and math.prod(layout.padded) * count > 2 * _MAX_NUMBERS:
        raise FormatError(f"shape {shape}", "header")
    _check_transform(header, layout)
    means, step = header["means"], header["step"]
    if not isinstance(means, list) or len(means) != count:
        raise FormatError("one mean a channel", "header")
    if not all(type(mean) is float and math.isfinite(mean) for mean in [*means, step]):
        raise FormatError("means and step are finite numbers", "header")
    return layout, np.dtype(header["type"])


def _check_transform(header: dict[str, Any], layout: Layout) -> None:
    kind, block = header["transform"], header["block"]
    known = ("blocks",) if layout.images else ("none", "dct", "lapped", "klt")
    if kind not in known or type(block) is not int:
        raise FormatError(f"transform {kind!r}", "header")
    limit = {"blocks": 0, "none": 1, "klt": frames.LARGEST_KLT}.get(kind, frames.LARGEST_BLOCK)
    least = {"blocks": 0, "none": 1}.get(kind, 2)
    if not least <= block <= limit:
        raise FormatError(f"block {block}", "header")
