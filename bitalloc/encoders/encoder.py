"""What a sensor sends: a kind of encoder for each mode.

* `pixel`: every symbol is the cell that one feature's value falls in, between thresholds.
* `projection`: linear functionals of what the sensor sees; their signs, or which is largest.
* `decision`: the same of any function of what the sensor sees, here a neural network.
* `class`: the class that classifiers at the sensor agree on, as a codeword.

`projection` and `decision` share a head. `signs` sends one bit per functional. `argmax` sends
the number of the largest functional: the cells of a polyhedral vector quantiser, or a decision.

Values are compared in float64 or as integers, so the symbols do not hang on how a batch is cut;
a network's values are float32 and an image on the very edge of a cell may fall on either side on
another machine.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from bitalloc.encoders import scorers
from bitalloc.encoders.sensor_network import sensor_network

Head = Literal["signs", "argmax"]

_FARTHEST = 1e15
"""Standardised values beyond it are cut off: their powers must stay finite."""


class PixelEncoder(NamedTuple):
    """symbol_j = number of thresholds below x[feature_j].

    Attributes:
      feature: Int[J], ordered by sensor.
      thresholds: Float64[J, L], ascending, filled up with +inf.
      depth_bits: Int[J], bits of each symbol.
    """

    feature: np.ndarray
    thresholds: np.ndarray
    depth_bits: np.ndarray


class ProjectionEncoder(NamedTuple):
    """Signs or largest of W diag(s) x + c.

    Attributes:
      weights: Float32[F, M], W; zero outside the functional's own sensor.
      bias: Float32[F], c.
      head: see the module.
      scale: Float32[M], s, which lets features of any unit share one grid of weights; None is 1.
    """

    weights: np.ndarray
    bias: np.ndarray
    head: Head
    scale: np.ndarray | None = None


class NetworkEncoder(NamedTuple):
    """Signs or largest of one network per sensor.

    Attributes:
      params: one parameter tree per sensor that sends anything.
      sensors: which sensors those are.
      outputs: functionals of each.
      width: size of the hidden layers.
      sensor_shape: (height, width) or (height, width, channels) of what each sensor sees, or
        (features,) if that is no image.
      shift: Float32[M], subtracted from the features first.
      scale: Float32[M], the features are divided by it after that.
      head: see the module.
      mirrored: whether values are the mean over each image and its mirror image, left and right
        exchanged within what a sensor sees.
    """

    params: tuple[Any, ...]
    sensors: tuple[int, ...]
    outputs: tuple[int, ...]
    width: int
    sensor_shape: tuple[tuple[int, ...], ...]
    shift: np.ndarray
    scale: np.ndarray
    head: Head
    mirrored: bool = False


class ClassEncoder(NamedTuple):
    """The codeword of the class with the largest sum of scores, for one sensor.

    Attributes:
      shift: Float64[S], subtracted from the S features that the sensor sees.
      scale: Float64[S], they are divided by it after that.
      parts: classifiers; those of `scorers` see standardised features, networks see raw ones.
      mix: Float64[P], each part's scores are multiplied by it before they are added.
      code: Int[K], the codeword of each class as a number; -1 where a class is never sent.
      bits: length of a codeword.
    """

    shift: np.ndarray
    scale: np.ndarray
    parts: tuple[scorers.Scorer | NetworkEncoder, ...]
    mix: np.ndarray
    code: np.ndarray
    bits: int


Encoder = PixelEncoder | ProjectionEncoder | NetworkEncoder | ClassEncoder


def code_bits(n_cells: int) -> int:
    """Bits of a fixed-length code for one of `n_cells`: ceil(log2 n)."""
    return max(1, (n_cells - 1).bit_length())


def depth_bits(encoder: Encoder) -> np.ndarray:
    """Bits of each symbol, Int[J]; their sum is the message's length B."""
    if isinstance(encoder, PixelEncoder):
        return np.asarray(encoder.depth_bits)
    if isinstance(encoder, ClassEncoder):
        return np.ones(encoder.bits, int)
    n = len(encoder.bias) if isinstance(encoder, ProjectionEncoder) else sum(encoder.outputs)
    return np.array([code_bits(n)]) if encoder.head == "argmax" else np.ones(n, int)


def symbol_sensor(encoder: Encoder, sensor_of: np.ndarray) -> np.ndarray:
    """The sensor that sends each symbol, Int[J].

    Args:
      encoder: any.
      sensor_of: Int[M], the view.
    """
    if isinstance(encoder, PixelEncoder):
        return sensor_of[encoder.feature]
    if isinstance(encoder, ClassEncoder):
        return np.zeros(encoder.bits, np.int32)
    if encoder.head == "argmax":
        return np.zeros(1, np.int32)
    if isinstance(encoder, ProjectionEncoder):
        return sensor_of[np.argmax(encoder.weights != 0, axis=1)]
    return np.repeat(encoder.sensors, encoder.outputs)


def encode(encoder: Encoder, features: np.ndarray, sensor_of: np.ndarray) -> np.ndarray:
    """The symbols of a batch, Int32[N, J].

    Args:
      encoder: any.
      features: [N, M], in the unit the encoder was fitted in.
      sensor_of: Int[M], the view.
    """
    if isinstance(encoder, PixelEncoder):
        return _cells(features[:, encoder.feature], encoder.thresholds)
    if isinstance(encoder, ClassEncoder):
        sent = np.where(encoder.code >= 0, 0.0, -np.inf)
        chosen = np.argmax(class_scores(encoder, features, sensor_of) + sent, axis=1)
        shift = np.arange(encoder.bits)[::-1]
        return (encoder.code[chosen][:, None] >> shift & 1).astype(np.int32)
    if isinstance(encoder, ProjectionEncoder):
        weights = full_weights(encoder).T
        values = np.concatenate([block.astype(np.float64) @ weights for block in _blocks(features)])
        values = values + encoder.bias.astype(np.float64)
    else:
        values = network_values(encoder, features, sensor_of)
    if encoder.head == "argmax":
        return np.argmax(values, axis=1).astype(np.int32)[:, None]
    return (values > 0).astype(np.int32)


def class_scores(encoder: ClassEncoder, features: np.ndarray, sensor_of: np.ndarray) -> np.ndarray:
    """Sum of the parts' scores, Float64[N, K]."""
    z = standardised(features, sensor_of, encoder.shift, encoder.scale)
    total = np.zeros((len(features), len(encoder.code)))
    for part, weight in zip(encoder.parts, encoder.mix, strict=True):
        if isinstance(part, NetworkEncoder):
            total += weight * network_values(part, features, sensor_of)
        else:
            total += weight * scorers.scores(part, z)
    return total


def standardised(features, sensor_of, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The features that a sensor sees, in units of their spread; Float64[N, S].

    They are rounded to float32, so that thresholds stored in float32 may equal them.
    """
    z = (features[:, sensor_of >= 0].astype(np.float64) - shift) / scale
    return np.clip(z, -_FARTHEST, _FARTHEST).astype(np.float32).astype(np.float64)


def full_weights(encoder: ProjectionEncoder) -> np.ndarray:
    """The functionals' weights on raw features, Float64[F, M]."""
    weights = encoder.weights.astype(np.float64)
    return weights if encoder.scale is None else weights * encoder.scale.astype(np.float64)


def _blocks(features: np.ndarray, size: int = 1000):
    """Pieces small enough for a float64 copy; at least one, maybe empty."""
    return [features[i : i + size] for i in range(0, max(1, len(features)), size)]


def _cells(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    cells = np.zeros(values.shape, np.int32)
    for j, edges in enumerate(thresholds):
        cells[:, j] = np.searchsorted(edges, values[:, j], side="left")
    return cells


def network_values(encoder: NetworkEncoder, features, sensor_of) -> np.ndarray:
    """The functionals of all sensors' networks side by side, Float32[N, F]."""
    values = []
    for params, sensor, outputs, shape in zip(
        encoder.params, encoder.sensors, encoder.outputs, encoder.sensor_shape, strict=True
    ):
        seen = sensor_of == sensor
        compiled = _compiled(shape, outputs, encoder.width, encoder.mirrored and len(shape) > 1)
        pieces = []
        for block in _blocks(features):
            # One batch size, one program: the last block is filled up and cut again.
            full = np.zeros((1000, int(seen.sum())), np.float32)
            full[: len(block)] = (block[:, seen] - encoder.shift[seen]) / encoder.scale[seen]
            pieces.append(np.asarray(compiled(params, full))[: len(block)])
        values.append(np.concatenate(pieces))
    return np.concatenate(values, axis=1)


@lru_cache(maxsize=16)
def _compiled(shape: tuple[int, ...], outputs: int, width: int, mirrored: bool):
    """A sensor's network as a program, once for all models of this form."""
    apply = sensor_network(shape, outputs, width).apply
    return jax.jit(_mean_with_mirror(apply, shape) if mirrored else apply)


def _mean_with_mirror(apply, shape: tuple[int, ...]):
    """(params, x) -> the mean of `apply` on the images x and on their mirror images."""

    def mean(params, x):
        mirror = x.reshape(-1, *shape)[:, :, ::-1].reshape(x.shape)
        return (apply(params, x) + apply(params, mirror)) / 2

    return mean
