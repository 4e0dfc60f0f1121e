"""A fitted system, and its file: everything that encoder and receiver need beside the messages.

The message file holds the messages alone, B bits per image, and the digest of the model that
wrote them, so that a receiver with another model refuses them instead of guessing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from bitalloc import decoder as decoders
from bitalloc import messages
from bitalloc.encoders import encoder as encoders
from fewbits.coding import FormatError, InputError, pack, read_archive, unpack, write_archive

KIND = "bitalloc"
MESSAGES_KIND = "bitalloc_messages"
_MODES = ("pixel", "projection", "decision")


class Model(NamedTuple):
    """Encoder, decoder and what they were fitted on.

    mode: `pixel`, `projection` or `decision`.
    sensor_of: Int[M], the view.
    image_shape: (height, width), or None for feature vectors.
    classes: the labels' own names, in the order of the class numbers.
    encoder: see `bitalloc.encoders.encoder`.
    decoder: see `bitalloc.decoder`.
    n_train: images it was fitted on.
    n_validation: images its choices were made on.
    """

    mode: str
    sensor_of: np.ndarray
    image_shape: tuple[int, int] | None
    classes: tuple[int | str, ...]
    encoder: encoders.Encoder
    decoder: decoders.Decoder
    n_train: int
    n_validation: int

    @property
    def bits(self) -> int:
        """B, the message's length."""
        return int(encoders.depth_bits(self.encoder).sum())

    @property
    def decoder_kind(self) -> str:
        """`table`, `linear` or `network`."""
        return _DECODER_KINDS[type(self.decoder)]

    @property
    def sensor_bits(self) -> np.ndarray:
        """Bits of each sensor, Int[S]."""
        sensor = encoders.symbol_sensor(self.encoder, self.sensor_of)
        depth = encoders.depth_bits(self.encoder)
        return np.bincount(sensor, depth, int(self.sensor_of.max()) + 1).astype(int)


_DECODER_KINDS = {
    decoders.TableDecoder: "table",
    decoders.LinearDecoder: "linear",
    decoders.NetworkDecoder: "network",
}


def encode(model: Model, features: np.ndarray) -> bytes:
    """The messages of a batch, ceil(N B / 8) bytes.

    Args:
      model: a fitted system.
      features: [N, M], in the unit it was fitted in.

    Raises:
      InputError: if the number of features is another.
    """
    if features.ndim != 2 or features.shape[1] != len(model.sensor_of):
        raise InputError(
            f"the model was fitted on {len(model.sensor_of)} features, "
            f"these have {features.shape[1] if features.ndim == 2 else features.shape}"
        )
    symbols = encoders.encode(model.encoder, features, model.sensor_of)
    return messages.pack(symbols, encoders.depth_bits(model.encoder))


def decode(model: Model, data: bytes, n_images: int) -> np.ndarray:
    """The class number of each message, Int[N], from the bytes and the model alone.

    Raises:
      FormatError: if these are not the bytes of `n_images` messages.
    """
    depth = encoders.depth_bits(model.encoder)
    return decoders.decode(model.decoder, messages.unpack(data, n_images, depth), depth)


def to_bytes(model: Model) -> bytes:
    """The model's file."""
    arrays: dict[str, np.ndarray] = {"sensor_of": np.asarray(model.sensor_of, np.int32)}
    trees: dict[str, Any] = {}
    encoder, decoder = model.encoder, model.decoder
    if isinstance(encoder, encoders.PixelEncoder):
        described: dict[str, Any] = {"kind": "pixel"}
        arrays["feature"] = np.asarray(encoder.feature, np.int32)
        arrays["thresholds"] = np.asarray(encoder.thresholds, np.float64)
        arrays["depth_bits"] = np.asarray(encoder.depth_bits, np.int32)
    elif isinstance(encoder, encoders.ProjectionEncoder):
        described = {"kind": "projection", "head": encoder.head}
        arrays["weights"] = np.asarray(encoder.weights, np.float32)
        arrays["offset"] = np.asarray(encoder.bias, np.float32)
    else:
        described = {
            "kind": "network",
            "head": encoder.head,
            "mirrored": encoder.mirrored,
            "sensors": list(encoder.sensors),
            "outputs": list(encoder.outputs),
            "width": encoder.width,
            "shapes": [list(shape) for shape in encoder.sensor_shape],
        }
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
    sections = {name: np.ascontiguousarray(array).tobytes() for name, array in arrays.items()}
    for name, tree in trees.items():
        header["trees"][name], tree_sections = pack(tree, prefix=name + "_")
        sections |= tree_sections
    return write_archive(KIND, header, sections)


_DTYPES = {"<i4", "<f4", "<f8"}


def _read_arrays(header: dict, sections: dict[str, bytes]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, (dtype, shape) in header["arrays"].items():
        size = int(np.prod(shape, dtype=object)) * int(dtype[-1])
        if dtype not in _DTYPES or min(shape, default=1) < 0 or len(sections[name]) != size:
            raise FormatError(f"{len(sections[name])} bytes are no {dtype} array {shape}", name)
        arrays[name] = np.frombuffer(sections[name], dtype).reshape(shape)
    return arrays


def from_bytes(data: bytes) -> Model:
    """Reads what `to_bytes` wrote.

    Raises:
      FormatError: anything else.
    """
    archive = read_archive(data, kind=KIND)
    try:
        model = _build(archive.header, archive.sections)
        _check(model)
    except FormatError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise FormatError(f"not a consistent model: {error!r}", "header") from error
    return model


def _build(header: dict, sections: dict[str, bytes]) -> Model:
    arrays = _read_arrays(header, sections)
    trees = {
        name: unpack(tree, sections, prefix=name + "_") for name, tree in header["trees"].items()
    }
    described = header["encoder"]
    if described["kind"] == "pixel":
        encoder = encoders.PixelEncoder(
            arrays["feature"], arrays["thresholds"], arrays["depth_bits"]
        )
    elif described["kind"] == "projection":
        encoder = encoders.ProjectionEncoder(arrays["weights"], arrays["offset"], described["head"])
    else:
        encoder = encoders.NetworkEncoder(
            tuple(trees["sensor"]),
            tuple(described["sensors"]),
            tuple(described["outputs"]),
            described["width"],
            tuple(tuple(shape) for shape in described["shapes"]),
            arrays["shift"],
            arrays["scale"],
            described["head"],
            bool(described["mirrored"]),
        )
    if header["decoder"] == "table":
        decoder = decoders.TableDecoder(arrays["label"])
    elif header["decoder"] == "linear":
        decoder = decoders.LinearDecoder(arrays["scores"], arrays["bias"])
    else:
        decoder = decoders.NetworkDecoder(tuple(map(tuple, trees["receiver"])))
    image_shape = header["image_shape"]
    return Model(
        header["mode"],
        arrays["sensor_of"],
        None if image_shape is None else tuple(image_shape),
        tuple(header["classes"]),
        encoder,
        decoder,
        header["n_train"],
        header["n_validation"],
    )


def _check(model: Model) -> None:
    """Whether the parts fit together, so that no later step fails or answers nonsense.

    A trial message is encoded and decoded: whatever cannot be indexed or multiplied shows here.
    """
    n_features, n_classes = len(model.sensor_of), len(model.classes)
    encoder, decoder = model.encoder, model.decoder
    if model.mode not in _MODES or n_classes < 2 or n_features < 1:
        raise FormatError("unknown mode, no features or fewer than two classes", "header")
    if isinstance(encoder, encoders.PixelEncoder):
        edges = encoder.thresholds
        if np.isnan(edges).any() or np.any(edges[:, 1:] < edges[:, :-1]):
            raise FormatError("not ascending", "thresholds")
        if encoder.feature.min() < 0 or encoder.depth_bits.min() < 1:
            raise FormatError("a feature or depth that there is none", "feature")
        if np.any(np.isfinite(edges).sum(axis=1) >= 1 << encoder.depth_bits):
            raise FormatError("more thresholds than the depth has codes for", "thresholds")
    elif encoder.head not in ("signs", "argmax"):
        raise FormatError(f"unknown head {encoder.head!r}", "header")
    if isinstance(decoder, decoders.TableDecoder) and (
        decoder.label.shape != (1 << model.bits,)
        or decoder.label.min() < 0
        or decoder.label.max() >= n_classes
    ):
        raise FormatError("labels or length of the table", "label")
    depth = encoders.depth_bits(encoder)
    if isinstance(decoder, decoders.LinearDecoder) and decoder.scores.shape != (
        len(depth),
        1 << int(depth.max()),
        n_classes,
    ):
        raise FormatError(f"shape {decoder.scores.shape} fits no message of the encoder", "scores")
    label = decode(model, encode(model, np.zeros((1, n_features), np.float32)), 1)
    if not 0 <= label[0] < n_classes:
        raise FormatError(f"decodes to class {label[0]} of {n_classes}", "header")


def digest(model_bytes: bytes) -> bytes:
    """What a message file remembers of the model that wrote it."""
    return blake2b(model_bytes, digest_size=8).digest()


def write_messages(model_bytes: bytes, payload: bytes, n_images: int) -> bytes:
    """The file of a batch of messages."""
    header = {"model": digest(model_bytes), "n_images": n_images}
    return write_archive(MESSAGES_KIND, header, {"messages": payload})


def read_messages(data: bytes, model_bytes: bytes) -> tuple[bytes, int]:
    """The messages and how many images they stand for.

    Args:
      data: the message file.
      model_bytes: the model that is to decode them.

    Raises:
      FormatError: if the file is damaged, or another model wrote it.
    """
    archive = read_archive(data, kind=MESSAGES_KIND)
    n_images, payload = archive.header.get("n_images"), archive.sections.get("messages")
    if type(n_images) is not int or n_images < 0 or payload is None:
        raise FormatError("not a message file", "header")
    if archive.header.get("model") != digest(model_bytes):
        raise FormatError("these messages were written with another model", "header")
    return payload, n_images
