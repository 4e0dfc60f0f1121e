"""Whether a model that was read is one: its parts fit together."""

from __future__ import annotations

import numpy as np

from bitalloc import class_parts
from bitalloc import decoder as decoders
from bitalloc.encoders import encoder as encoders
from bitalloc.model import MAX_PADDING_BITS, Model, decode_numbers, encode
from fewbits.coding import FormatError

_MODES = ("pixel", "projection", "decision", "class")
_MAX_STORED_TABLE_BITS = 16


def check(model: Model) -> None:
    """Whether the parts fit together, so that no later step fails or answers nonsense.

    A trial message is encoded and decoded: whatever cannot be indexed or multiplied shows here.
    """
    n_features, n_classes = len(model.sensor_of), len(model.classes)
    encoder, decoder = model.encoder, model.decoder
    if model.mode not in _MODES or n_classes < 2 or n_features < 1:
        raise FormatError("unknown mode, no features or fewer than two classes", "header")
    kinds = {type(name) for name in model.classes}
    if len(kinds) > 1 or not kinds <= {int, float, str, bool}:
        raise FormatError("classes are numbers or texts, all of one kind", "header")
    shape, padding = model.image_shape, model.padding_bits
    if shape is not None and (len(shape) not in (2, 3) or np.prod(shape) != n_features):
        raise FormatError(f"{n_features} features are no images of shape {shape}", "header")
    if type(padding) is not int or not 0 <= padding <= MAX_PADDING_BITS:
        raise FormatError(f"padding of {padding} bits", "header")
    if model.precision is not None and type(model.precision) is not int:
        raise FormatError(f"a precision of {model.precision} bits", "header")
    if isinstance(encoder, encoders.PixelEncoder):
        edges = encoder.thresholds
        if np.isnan(edges).any() or np.any(edges[:, 1:] < edges[:, :-1]):
            raise FormatError("not ascending", "thresholds")
        if encoder.feature.min() < 0 or encoder.depth_bits.min() < 1:
            raise FormatError("a feature or depth that there is none", "feature")
        if np.any(np.isfinite(edges).sum(axis=1) >= 1 << encoder.depth_bits):
            raise FormatError("more thresholds than the depth has codes for", "thresholds")
    elif isinstance(encoder, encoders.ClassEncoder):
        class_parts.check(encoder, int((model.sensor_of >= 0).sum()), n_classes)
    elif encoder.head not in ("signs", "argmax"):
        raise FormatError(f"unknown head {encoder.head!r}", "header")
    depth = encoders.depth_bits(encoder)
    _check_decoder(decoder, depth, n_classes)
    lengths = [prefix.bits for prefix in model.prefixes]
    if lengths != sorted(set(lengths)) or not all(0 < b < len(depth) for b in lengths):
        raise FormatError(f"prefixes of {lengths} bits", "header")
    if lengths and (depth != 1).any():
        raise FormatError("prefixes of symbols longer than a bit", "header")
    for prefix in model.prefixes:
        _check_decoder(prefix.decoder, depth[: prefix.bits], n_classes)
    (number,) = decode_numbers(model, encode(model, np.zeros((1, n_features), np.float32)), 1)
    if not 0 <= number < n_classes:
        raise FormatError(f"decodes to class {number} of {n_classes}", "header")
    for prefix in model.prefixes:
        symbols = np.ones((1, prefix.bits), int)
        decoders.decode(prefix.decoder, symbols, depth[: prefix.bits])


def _check_decoder(decoder: decoders.Decoder, depth: np.ndarray, n_classes: int) -> None:
    if isinstance(decoder, decoders.TableDecoder) and (
        depth.sum() > _MAX_STORED_TABLE_BITS
        or decoder.label.shape != (1 << int(depth.sum()),)
        or decoder.label.min() < 0
        or decoder.label.max() >= n_classes
    ):
        raise FormatError("labels or length of the table", "label")
    if isinstance(decoder, decoders.LinearDecoder) and decoder.scores.shape != (
        len(depth),
        1 << int(depth.max()),
        n_classes,
    ):
        raise FormatError(f"shape {decoder.scores.shape} fits no message of the encoder", "scores")
