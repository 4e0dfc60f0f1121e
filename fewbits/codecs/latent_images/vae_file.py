"""The file of the autoencoder in whole numbers; FORMAT.md beside this file describes it.

What `read` accepts keeps within the limits that make `fewbits.codecs.latent_images.integer_vae`
exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fewbits.codecs.latent_images.image_vae import GREY_LEVELS
from fewbits.codecs.latent_images.integer_vae import (
    BIAS_LIMIT,
    KERNEL_LIMIT,
    MAX_SHIFT,
    SHADE_LIMIT,
    IntegerVae,
    Layer,
    Sizes,
    layer_shapes,
)
from fewbits.coding import FormatError, container, entropy_coder, shared_tables
from fewbits.coding.varint import ByteReader

KIND = "integer_vae"
_STREAM = "symbols"
# With at most 32 histograms the mixture of a pixel, 32 * 2^16 (odds) * 2^14 (count) * 2^28, stays
# below 2^63.
_LARGEST = Sizes(128, 32, 128, 128, 128)


def write(model: IntegerVae) -> bytes:
    """The model as a file.

    Raises:
      ValueError: a model beyond the format's limits, or not of the architecture's shapes.
    """
    shapes = layer_shapes(model.sizes)
    for name, shape in shapes.items():
        if model.layers[name].kernel.shape != shape:
            raise ValueError(f"{name} is {shape}, not {model.layers[name].kernel.shape}")
    arrays = [part for name in shapes for part in model.layers[name][:2]]
    arrays.append(np.diff(model.shades, axis=1, prepend=0))
    numbers, fitted = shared_tables.fit(arrays)
    header = {
        "sizes": list(model.sizes),
        "shifts": bytes(model.layers[name].shift for name in shapes),
        "numbers": bytes(numbers),
        "tables": b"".join(one.code for one in fitted),
    }
    streams = [
        entropy_coder.SymbolStream(array, fitted[number].table)
        for array, number in zip(arrays, numbers, strict=True)
    ]
    data = container.write_archive(KIND, header, {_STREAM: entropy_coder.encode(streams)})
    try:
        read(data)
    except FormatError as error:
        raise ValueError(f"a model that no file can hold: {error}") from error
    return data


def read(data: bytes) -> IntegerVae:
    """The inverse of `write`.

    Raises:
      FormatError: not an undamaged model file.
    """
    archive = container.read_archive(data, kind=KIND)
    sizes, shifts, numbers, codes = _read_header(archive.header)
    if archive.sections.keys() != {_STREAM}:
        raise FormatError("a model has one section", min(archive.sections, default=_STREAM))
    shapes = layer_shapes(sizes)
    parts = [part for shape in shapes.values() for part in (shape, shape[-1:])]
    parts.append((sizes.n_shades, GREY_LEVELS))
    known = shared_tables.read(ByteReader(codes, "header"))
    if len(numbers) != len(parts) or set(numbers) != set(range(len(known))):
        raise FormatError("tables and arrays do not go together", "header")
    plan = [
        entropy_coder.StreamPlan(math.prod(shape), known[number])
        for shape, number in zip(parts, numbers, strict=True)
    ]
    total = sum(one.count for one in plan)
    if total > entropy_coder.symbol_limit(len(archive.sections[_STREAM])):
        raise FormatError(f"{total} symbols do not fit in the stream", _STREAM)
    decoded = entropy_coder.decode(archive.sections[_STREAM], plan, _STREAM)
    arrays = [array.reshape(shape) for array, shape in zip(decoded, parts, strict=True)]
    layers = {
        name: Layer(arrays[2 * i], arrays[2 * i + 1], shifts[i]) for i, name in enumerate(shapes)
    }
    for name, layer in layers.items():
        if _reach(layer.kernel) > KERNEL_LIMIT or _reach(layer.bias) > BIAS_LIMIT:
            raise FormatError(f"{name} has weights up to {_reach(layer.kernel)}", _STREAM)
    shades = np.cumsum(arrays[-1], axis=1, dtype=np.int64)
    if shades.min() < 0 or shades.max() > SHADE_LIMIT:
        raise FormatError(f"histograms of {shades.min()} to {shades.max()}", _STREAM)
    return IntegerVae(layers, shades.astype(np.int32))


def _read_header(header: dict[str, Any]) -> tuple[Sizes, bytes, bytes, bytes]:
    if header.keys() != {"sizes", "shifts", "numbers", "tables"}:
        raise FormatError("a model's header has sizes, shifts, numbers and tables", "header")
    sizes, *codes = (header[key] for key in ("sizes", "shifts", "numbers", "tables"))
    if not all(isinstance(code, bytes) for code in codes):
        raise FormatError("shifts, numbers and tables are byte strings", "header")
    if not (
        isinstance(sizes, list)
        and len(sizes) == len(_LARGEST)
        and all(type(one) is int for one in sizes)
        and all(1 <= one <= most for one, most in zip(sizes, _LARGEST, strict=True))
    ):
        raise FormatError(f"sizes are at most {tuple(_LARGEST)}, not {sizes!r:.80}", "header")
    shifts, numbers, tables_code = codes
    if len(shifts) != len(layer_shapes(_LARGEST)) or max(shifts) > MAX_SHIFT:
        raise FormatError(f"shifts are at most {MAX_SHIFT}, not {list(shifts)!r:.80}", "header")
    return Sizes(*sizes), shifts, numbers, tables_code


def _reach(symbols: np.ndarray) -> int:
    return max(int(symbols.max()), -int(symbols.min()))
