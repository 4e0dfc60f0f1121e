"""A model's file, in memory and on disk: all that encoder and receiver need beside the messages.

Models with a `precision` are compact: weights lie on a grid of so many bits and are entropy coded,
and the view is stored as runs. Models without one are written as they always were.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bitalloc import checks, class_parts
from bitalloc import decoder as decoders
from bitalloc.encoders import encoder as encoders
from bitalloc.model import Model, Prefix, ValueRange
from bitalloc.weights import weight_bits
from fewbits.coding import FormatError, container, read_archive, write_archive
from fewbits.coding.weights.model_file import pack, unpack

KIND = "bitalloc"
_MAX_FEATURES = 1 << 26


def save(path: str | Path, model: Model) -> None:
    """Writes the model's file, atomically.

    Args:
      path: where; a file of this name is replaced.
      model: from `bitalloc.fit`.

    Raises:
      OSError: the file cannot be written.

    Example:
      >>> import pathlib, tempfile, numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(300, 4))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder) / "model.fwb"
      ...     bitalloc.save(path, bitalloc.fit(x, x[:, 2] > 0, 1, mode="pixel"))
      ...     bitalloc.load(path).decoder_kind
      'table'
    """
    container.save(Path(path), to_bytes(model))


def load(path: str | Path) -> Model:
    """The model that `bitalloc.save` or `fewbits bitalloc fit` wrote.

    Args:
      path: of the file.

    Raises:
      FormatError: not an undamaged model file.
      OSError: the file cannot be read.
    """
    return from_bytes(container.load_bytes(Path(path)))


def to_bytes(model: Model) -> bytes:
    """The model's file in memory: all that sender and receiver need beside the messages.

    Args:
      model: from `bitalloc.fit`.

    Returns:
      A checksummed archive without executable content; its length is the model's size.

    Example:
      >>> import numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(300, 4))
      >>> data = bitalloc.to_bytes(bitalloc.fit(x, x[:, 2] > 0, 1, mode="pixel"))
      >>> bitalloc.from_bytes(data).bits
      1
    """
    arrays, trees = _arrays_and_trees(model)
    if model.precision is not None:
        arrays, trees = _compact(arrays, trees)
    described, sections = _described(model.encoder)
    header: dict[str, Any] = {
        "mode": model.mode,
        "image_shape": None if model.image_shape is None else list(model.image_shape),
        "classes": list(model.classes),
        "n_train": model.n_train,
        "n_validation": model.n_validation,
        "encoder": described,
        "decoder": model.decoder_kind,
        "arrays": {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()},
        "trees": {},
    }
    # Left out where they say nothing, as in files that know neither.
    if model.padding_bits:
        header["padding_bits"] = model.padding_bits
    if model.precision is not None:
        header["precision"] = model.precision
    if model.prefixes:
        header["prefixes"] = [prefix.bits for prefix in model.prefixes]
    if model.value_range is not None:
        header["value_range"] = list(model.value_range)
    if model.estimate is not None:
        header["estimate"] = model.estimate
    sections |= {name: np.ascontiguousarray(array).tobytes() for name, array in arrays.items()}
    for name, tree in trees.items():
        bits = weight_bits(model.precision)
        header["trees"][name], tree_sections = pack(tree, bits, prefix=name + "_")
        sections |= tree_sections
    return write_archive(KIND, header, sections)


def _arrays_and_trees(model: Model) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What is stored as it is, and what is packed as parameters."""
    arrays: dict[str, np.ndarray] = {"sensor_of": np.asarray(model.sensor_of, np.int32)}
    trees: dict[str, Any] = {}
    encoder, decoder = model.encoder, model.decoder
    if isinstance(encoder, encoders.PixelEncoder):
        arrays["feature"] = np.asarray(encoder.feature, np.int32)
        arrays["thresholds"] = np.asarray(encoder.thresholds, np.float64)
        arrays["depth_bits"] = np.asarray(encoder.depth_bits, np.int32)
    elif isinstance(encoder, encoders.ProjectionEncoder):
        arrays["weights"] = np.asarray(encoder.weights, np.float32)
        arrays["offset"] = np.asarray(encoder.bias, np.float32)
        if encoder.scale is not None:
            arrays["scale"] = np.asarray(encoder.scale, np.float32)
    elif isinstance(encoder, encoders.ClassEncoder):
        arrays |= class_parts.arrays(encoder)
        trees["parts"] = class_parts.weights(encoder)
    else:
        arrays["shift"] = np.asarray(encoder.shift, np.float32)
        arrays["scale"] = np.asarray(encoder.scale, np.float32)
        trees["sensor"] = list(encoder.params)
    if isinstance(decoder, decoders.TableDecoder):
        arrays["label"] = np.asarray(decoder.label, np.int32)
    elif isinstance(decoder, decoders.LinearDecoder):
        arrays["scores"] = np.asarray(decoder.scores, np.float64)
        arrays["bias"] = np.asarray(decoder.bias, np.float64)
    else:
        trees["receiver"] = [list(layer) for layer in decoder.layers]
    for prefix in model.prefixes:
        name = f"prefix{prefix.bits}_"
        if isinstance(prefix.decoder, decoders.TableDecoder):
            arrays[name + "label"] = np.asarray(prefix.decoder.label, np.int32)
        else:
            assert isinstance(prefix.decoder, decoders.LinearDecoder)
            arrays[name + "scores"] = np.asarray(prefix.decoder.scores[:, 1], np.float32)
            arrays[name + "bias"] = np.asarray(prefix.decoder.bias, np.float32)
    return arrays, trees


def _compact(arrays: dict[str, np.ndarray], trees: dict[str, Any]):
    """The same with weights among the trees, the view as runs and small numbers in bytes."""
    arrays, trees = dict(arrays), dict(trees)
    for name in ("weights", "scores"):
        if name in arrays:
            trees[name] = arrays.pop(name).astype(np.float32)
    view = arrays.pop("sensor_of")
    first = np.flatnonzero(np.append(True, view[1:] != view[:-1]))
    length = np.diff(np.append(first, len(view)))
    arrays["sensor_runs"] = np.stack([view[first], length], axis=1).astype(np.int32)
    for name in arrays:
        if name.endswith(("shift", "scale")) and (arrays[name] == arrays[name][0]).all():
            arrays[name] = arrays[name][:1]
    for name in arrays:
        if name.endswith(("depth_bits", "label")) and arrays[name].max(initial=0) < 256:
            arrays[name] = arrays[name].astype(np.uint8)
    return arrays, trees


def _described(encoder: encoders.Encoder) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The header's description of an encoder, and sections of its own."""
    if isinstance(encoder, encoders.PixelEncoder):
        return {"kind": "pixel"}, {}
    if isinstance(encoder, encoders.ProjectionEncoder):
        return {"kind": "projection", "head": encoder.head}, {}
    if isinstance(encoder, encoders.ClassEncoder):
        return class_parts.described(encoder, _network_header)
    return _network_header(encoder), {}


def _network_header(encoder: encoders.NetworkEncoder) -> dict[str, Any]:
    return {
        "kind": "network",
        "head": encoder.head,
        "mirrored": encoder.mirrored,
        "sensors": list(encoder.sensors),
        "outputs": list(encoder.outputs),
        "width": encoder.width,
        "shapes": [list(shape) for shape in encoder.sensor_shape],
    }


def from_bytes(data: bytes) -> Model:
    """The model whose file `bitalloc.to_bytes` wrote; a round trip changes nothing.

    Args:
      data: the bytes of the file.

    Raises:
      FormatError: anything but an undamaged model file, naming the section.

    Example:
      >>> import numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(300, 4))
      >>> model = bitalloc.fit(x, x[:, 2] > 0, 1, mode="pixel")
      >>> bitalloc.from_bytes(bitalloc.to_bytes(model)).classes
      (False, True)
    """
    archive = read_archive(data, kind=KIND)
    try:
        model = _build(archive.header, archive.sections)
        checks.check(model)
    except FormatError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise FormatError(f"not a consistent model: {error!r}", "header") from error
    return model


_DTYPES = {"<i4", "<f4", "<f8", "|u1"}


def _read_arrays(header: dict, sections: dict[str, bytes]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, (dtype, shape) in header["arrays"].items():
        size = int(np.prod(shape, dtype=object)) * int(dtype[-1])
        if dtype not in _DTYPES or min(shape, default=1) < 0 or len(sections[name]) != size:
            raise FormatError(f"{len(sections[name])} bytes are no {dtype} array {shape}", name)
        arrays[name] = np.frombuffer(sections[name], dtype).reshape(shape)
    return arrays


def _expand(arrays: dict[str, np.ndarray], trees: dict[str, Any], n_features: int) -> None:
    """Undoes `_compact`, in place."""
    for name in ("weights", "scores"):
        if name in trees:
            arrays[name] = np.asarray(trees[name])
    for name in arrays:
        if name.endswith(("shift", "scale")) and len(arrays[name]) == 1:
            arrays[name] = np.broadcast_to(arrays[name], n_features)
    for name in arrays:
        if name.endswith(("depth_bits", "label")):
            arrays[name] = arrays[name].astype(np.int32)


def _view(runs: np.ndarray) -> np.ndarray:
    """Int[M] from its runs (sensor, length)."""
    if runs[:, 1].min() < 1 or runs[:, 1].sum(dtype=np.int64) > _MAX_FEATURES:
        raise FormatError("no such view", "sensor_runs")
    return np.repeat(runs[:, 0], runs[:, 1])


def _build(header: dict, sections: dict[str, bytes]) -> Model:
    arrays = _read_arrays(header, sections)
    trees = {
        name: unpack(tree, sections, prefix=name + "_") for name, tree in header["trees"].items()
    }
    view = arrays["sensor_of"] if "sensor_of" in arrays else _view(arrays["sensor_runs"])
    if header.get("precision") is not None:
        _expand(arrays, trees, len(view))
    described = header["encoder"]
    if described["kind"] == "pixel":
        encoder = encoders.PixelEncoder(
            arrays["feature"], arrays["thresholds"], arrays["depth_bits"]
        )
    elif described["kind"] == "projection":
        encoder = encoders.ProjectionEncoder(
            arrays["weights"], arrays["offset"], described["head"], arrays.get("scale")
        )
    elif described["kind"] == "class":
        n_seen = int((view >= 0).sum())  # repeated for all features where it was one number
        arrays |= {name: arrays[name][:n_seen] for name in ("shift", "scale")}
        encoder = class_parts.build(described, arrays, trees["parts"], sections, _network)
    else:
        encoder = _network(described, trees["sensor"], arrays["shift"], arrays["scale"])
    if header["decoder"] == "table":
        decoder = decoders.TableDecoder(arrays["label"])
    elif header["decoder"] == "linear":
        scores = np.asarray(arrays["scores"], np.float64)
        decoder = decoders.LinearDecoder(scores, arrays["bias"])
    else:
        decoder = decoders.NetworkDecoder(tuple(map(tuple, trees["receiver"])))
    image_shape = header["image_shape"]
    return Model(
        header["mode"],
        view,
        None if image_shape is None else tuple(image_shape),
        tuple(header["classes"]),
        encoder,
        decoder,
        header["n_train"],
        header["n_validation"],
        header.get("padding_bits", 0),
        header.get("precision"),
        tuple(Prefix(bits, _prefix_decoder(arrays, bits)) for bits in header.get("prefixes", ())),
        None if "value_range" not in header else ValueRange(*header["value_range"]),
        header.get("estimate"),
    )


def _network(described: dict, params: list, shift, scale) -> encoders.NetworkEncoder:
    return encoders.NetworkEncoder(
        tuple(params),
        tuple(described["sensors"]),
        tuple(described["outputs"]),
        described["width"],
        tuple(tuple(shape) for shape in described["shapes"]),
        shift,
        scale,
        described["head"],
        bool(described["mirrored"]),
    )


def _prefix_decoder(arrays: dict[str, np.ndarray], bits: int) -> decoders.Decoder:
    name = f"prefix{bits}_"
    if name + "label" in arrays:
        return decoders.TableDecoder(arrays[name + "label"])
    ones = arrays[name + "scores"].astype(np.float64)
    scores = np.stack([np.zeros_like(ones), ones], axis=1)
    return decoders.LinearDecoder(scores, arrays[name + "bias"].astype(np.float64))
