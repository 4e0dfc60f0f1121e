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


class Model(NamedTuple):
    """An encoder of B bits per example, its decoder, and what they were fitted on.

    `bitalloc.fit` makes one; `bits`, `sensor_bits` and `decoder_kind` describe it.

    Attributes:
      mode: `pixel`, `projection` or `decision`.
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


def encode(model: Model, features: Num[ArrayLike, "n ..."]) -> bytes:
    """The messages of a batch: exactly B bits per example, back to back.

    An example's bits depend on that example alone. They come sensor by sensor, and only the end
    of the batch is padded to a whole byte.

    Args:
      model: from `bitalloc.fit` or `bitalloc.load`.
      features: N x M features or N images, in the shape and the unit of those it was fitted on
        (images may be flattened).

    Returns:
      ceil(N B / 8) bytes.

    Raises:
      InputError: another number of features or another shape of images, NaN or infinity.

    Example:
      >>> import numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(300, 4))
      >>> model = bitalloc.fit(x, x[:, 2] > 0, 1)
      >>> len(bitalloc.encode(model, x[:80]))
      10
    """
    flat, image_shape = as_features(features)
    if model.image_shape is not None and image_shape not in (None, model.image_shape):
        raise InputError(
            f"the model was fitted on images of {_size(model.image_shape)}, these are "
            f"{_size(image_shape)}"
        )
    if flat.shape[1] != len(model.sensor_of):
        raise InputError(
            f"the model was fitted on {len(model.sensor_of)} features, these have {flat.shape[1]}"
        )
    symbols = encoders.encode(model.encoder, flat, model.sensor_of)
    padded = np.pad(symbols, ((0, 0), (0, model.padding_bits)))
    return messages.pack(padded, _depth_bits(model))


def decode(model: Model, data: bytes, n: int) -> Shaped[np.ndarray, " n"]:
    """The labels of a batch of messages, from the bytes and the model alone.

    Args:
      model: the model that encoded them.
      data: what `bitalloc.encode` returned.
      n: number of messages, N.

    Returns:
      N labels in the values that the model was fitted with.

    Raises:
      FormatError: these are not the bytes of N messages.

    Example:
      >>> import numpy as np, bitalloc
      >>> x = np.random.default_rng(0).normal(size=(300, 4))
      >>> model = bitalloc.fit(x, np.where(x[:, 2] > 0, "high", "low"), 1)
      >>> bitalloc.decode(model, bitalloc.encode(model, [[0, 0, 2, 0], [0, 0, -2, 0]]), 2).tolist()
      ['high', 'low']
    """
    return np.array(model.classes)[decode_numbers(model, data, n)]


def decode_numbers(model: Model, data: bytes, n: int) -> np.ndarray:
    """The class number of each message, Int[N]; otherwise as `decode`."""
    symbols = messages.unpack(data, n, _depth_bits(model))
    depth = encoders.depth_bits(model.encoder)
    return decoders.decode(model.decoder, symbols[:, : len(depth)], depth)


def accuracy(model: Model, features: np.ndarray, numbers: np.ndarray) -> float:
    """Share of the examples whose class number is decoded rightly from their packed messages."""
    data = encode(model, features)
    return float(np.mean(decode_numbers(model, data, len(numbers)) == numbers))


def _depth_bits(model: Model) -> np.ndarray:
    """Bits of each symbol of a message, its padding included."""
    return np.append(encoders.depth_bits(model.encoder), np.ones(model.padding_bits, int))


def _size(image_shape: ImageShape) -> str:
    return " x ".join(map(str, image_shape or ()))
