"""A fitted system: what turns an example into B bits, and these into a label again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Num, Shaped
from numpy.typing import ArrayLike

from bitalloc import decoder as decoders
from bitalloc import messages
from bitalloc.encoders import encoder as encoders
from bitalloc.inputs import ImageShape, Label, as_features
from fewbits.coding import InputError

MAX_PADDING_BITS = 1 << 16
"""Of a message."""


class Prefix(NamedTuple):
    """What the receiver makes of the first bits of a message.

    Attributes:
      bits: how many of them, fewer than a message has.
      decoder: of these bits, as one-bit symbols.
    """

    bits: int
    decoder: decoders.Decoder


class ValueRange(NamedTuple):
    """The features that a model was fitted on, which tells other units apart.

    Attributes:
      low: the smallest value.
      high: the largest value.
      whole: whether all of them are whole numbers.
    """

    low: float
    high: float
    whole: bool


class Model(NamedTuple):
    """An encoder of B bits per example, its decoder, and what they were fitted on.

    `bitalloc.fit` makes one; `bits`, `sensor_bits` and `decoder_kind` describe it.

    Attributes:
      mode: `pixel`, `projection`, `decision` or `class`.
      sensor_of: Int[M], the sensor that sees each feature, -1 where none does.
      image_shape: (height, width), (height, width, channels), or None for feature vectors.
      classes: the labels' own values, in the order of the class numbers.
      encoder: see `bitalloc.encoders.encoder`.
      decoder: see `bitalloc.decoder`.
      n_train: examples it was fitted on.
      n_validation: examples its choices were made on.
      padding_bits: bits at the end of a message that are always 0, where a smaller budget did
        better on the validation part.
      precision: bits per weight in the file; None stores float32.
      prefixes: decoders of shorter messages, ascending, where the model is nested.
      value_range: of the features it was fitted on; None where the file does not say.
      estimate: expected accuracy, from examples that were left out of the fit and of which
        `n_validation` were counted; None where the validation part says it.
    """

    mode: str
    sensor_of: np.ndarray
    image_shape: ImageShape
    classes: tuple[Label, ...]
    encoder: encoders.Encoder
    decoder: decoders.Decoder
    n_train: int
    n_validation: int
    padding_bits: int = 0
    precision: int | None = None
    prefixes: tuple[Prefix, ...] = ()
    value_range: ValueRange | None = None
    estimate: float | None = None

    def encode(self, features: Num[ArrayLike, "n ..."], bits: int | None = None) -> bytes:
        """The messages of a batch; see `bitalloc.encode`."""
        return encode(self, features, bits)

    def decode(self, data: bytes, n: int, bits: int | None = None) -> np.ndarray:
        """The labels of a batch of messages; see `bitalloc.decode`."""
        return decode(self, data, n, bits)

    @property
    def bits(self) -> int:
        """B, the message's length in bits per example, padding included."""
        return int(encoders.depth_bits(self.encoder).sum()) + self.padding_bits

    @property
    def decoder_kind(self) -> str:
        """`table`, `linear` or `network`."""
        return _DECODER_KINDS[type(self.decoder)]

    @property
    def sensor_bits(self) -> np.ndarray:
        """Bits of each sensor, Int[S]; the last one sends the padding."""
        sensor = encoders.symbol_sensor(self.encoder, self.sensor_of)
        depth = encoders.depth_bits(self.encoder)
        bits = np.bincount(sensor, depth, int(self.sensor_of.max()) + 1).astype(int)
        bits[-1] += self.padding_bits
        return bits


_DECODER_KINDS = {
    decoders.TableDecoder: "table",
    decoders.LinearDecoder: "linear",
    decoders.NetworkDecoder: "network",
}


def encode(model: Model, features: Num[ArrayLike, "n ..."], bits: int | None = None) -> bytes:
    """The messages of a batch: exactly B bits per example, back to back.

    An example's bits depend on that example alone. They come sensor by sensor unless the model is
    nested, and only the end of the batch is padded to a whole byte.

    Args:
      model: from `bitalloc.fit` or `bitalloc.load`.
      features: N x M features or N images, in the shape and the unit of those it was fitted on
        (images may be flattened).
      bits: how many bits of each message to send, the first ones; None sends all B. Only a nested
        model can decode fewer.

    Returns:
      ceil(N B / 8) bytes, with `bits` in place of B where it is given.

    Raises:
      InputError: another number of features or another shape of images, NaN or infinity, values in
        another unit, or a length that the model has no messages of.

    Example:
      >>> import numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(300, 4))
      >>> model = bitalloc.fit(x, x[:, 2] > 0, 1, mode="pixel")
      >>> len(bitalloc.encode(model, x[:80]))
      10
    """
    sent = _checked_bits(model, bits)
    flat, image_shape = as_features(features)
    if model.image_shape is not None and image_shape not in (None, model.image_shape):
        raise InputError(
            f"the model was fitted on images of {_size(model.image_shape)}, these are "
            f"{_size(image_shape)}; resize them"
        )
    if flat.shape[1] != len(model.sensor_of):
        raise InputError(
            f"the model was fitted on {len(model.sensor_of)} features; give as many, not "
            f"{flat.shape[1]}"
        )
    _check_unit(model, flat)
    symbols = encoders.encode(model.encoder, flat, model.sensor_of)
    padded = np.pad(symbols, ((0, 0), (0, model.padding_bits)))
    if sent < model.bits:
        whole = messages.to_bits(padded, _depth_bits(model))
        return messages.pack(whole[:, :sent].astype(np.int32), np.ones(sent, int))
    return messages.pack(padded, _depth_bits(model))


def decode(model: Model, data: bytes, n: int, bits: int | None = None) -> Shaped[np.ndarray, " n"]:
    """The labels of a batch of messages, from the bytes and the model alone.

    Args:
      model: the model that encoded them.
      data: what `bitalloc.encode` returned.
      n: number of messages, N.
      bits: how many bits of each message were sent; None is all B.

    Returns:
      N labels in the values that the model was fitted with.

    Raises:
      FormatError: these are not the bytes of N messages.
      InputError: a length that the model has no messages of.

    Example:
      >>> import numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(300, 4))
      >>> model = bitalloc.fit(x, np.where(x[:, 2] > 0, "high", "low"), 1, mode="pixel")
      >>> bitalloc.decode(model, bitalloc.encode(model, [[0, 0, 2, 0], [0, 0, -2, 0]]), 2).tolist()
      ['high', 'low']
    """
    return np.array(model.classes)[decode_numbers(model, data, n, bits)]


def decode_numbers(model: Model, data: bytes, n: int, bits: int | None = None) -> np.ndarray:
    """The class number of each message, Int[N]; otherwise as `decode`."""
    sent, depth = _checked_bits(model, bits), encoders.depth_bits(model.encoder)
    decoder, padding = model.decoder, sent - int(depth.sum())
    if padding < 0:
        prefix = max((p for p in model.prefixes if p.bits <= sent), key=lambda one: one.bits)
        depth, decoder, padding = depth[: prefix.bits], prefix.decoder, sent - prefix.bits
    layout = np.append(depth, np.ones(padding, int))
    return decoders.decode(decoder, messages.unpack(data, n, layout)[:, : len(depth)], depth)


def _checked_bits(model: Model, bits: int | None) -> int:
    """Length of the messages to send or to read."""
    if bits is None or bits == model.bits:
        return model.bits
    if int(bits) != bits or not 1 <= bits < model.bits:
        raise InputError(f"{bits} bits of a message: the model's messages have {model.bits}")
    own = model.bits - model.padding_bits
    if bits < own and not any(prefix.bits <= bits for prefix in model.prefixes):
        raise InputError(
            f"the model decodes whole messages of {own} bits, not the first {bits}; fit one with "
            "nested=True (fewbits bitalloc fit --nested)"
        )
    return int(bits)


_OTHER_UNIT = 16.0


def _check_unit(model: Model, flat: np.ndarray) -> None:
    """Refuses images in 0..1 for a model of 0..255, and the reverse.

    Whole numbers in one place and fractions of a much smaller range in the other are no accident.

    Raises:
      InputError: naming both ranges.
    """
    before = model.value_range
    if before is None or not flat.size:
        return
    here = value_range(flat)
    if here.whole == before.whole:
        return
    spread, other = before.high - before.low, here.high - here.low
    whole, fractions = (spread, other) if before.whole else (other, spread)
    if whole >= _OTHER_UNIT * fractions and whole >= _OTHER_UNIT:
        raise InputError(
            f"the model was fitted on values from {before.low:g} to {before.high:g}, these lie in "
            f"{here.low:g} to {here.high:g}: bring them to the unit of the fit (uint8 images are "
            "0 to 255)"
        )


def value_range(flat: np.ndarray) -> ValueRange:
    """Of features [N, M] as they are stored."""
    whole = flat.dtype.kind in "uib" or bool((flat == np.round(flat)).all())
    return ValueRange(float(flat.min()), float(flat.max()), whole)


def accuracy(
    model: Model, features: np.ndarray, numbers: np.ndarray, bits: int | None = None
) -> float:
    """Share of the examples whose class number is decoded rightly from their packed messages.

    Args:
      model: see `encode`.
      features: likewise.
      numbers: the class number of each example.
      bits: how many bits of each message are sent; None is all B.
    """
    data = encode(model, features, bits)
    return float(np.mean(decode_numbers(model, data, len(numbers), bits) == numbers))


def _depth_bits(model: Model) -> np.ndarray:
    """Bits of each symbol of a message, its padding included."""
    return np.append(encoders.depth_bits(model.encoder), np.ones(model.padding_bits, int))


def _size(image_shape: ImageShape) -> str:
    return " x ".join(map(str, image_shape or ()))
