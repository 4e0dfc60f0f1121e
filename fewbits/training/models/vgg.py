"""VGG-16 with batch normalisation as pure functions: trained on batches, deployed by a fold.

No running mean is kept. `apply` normalises every channel with the mean and the variance of the
batch at hand, so that a loss is a function of parameters and batch alone. `fold` then measures
both once, on a calibration batch, and puts them into each channel's scale and shift;
`apply_folded` needs nothing else, and a file of folded parameters holds all that decoding needs.

A convolution's bias is taken away again by the normalisation after it. It counts among the
parameters, as published, but is never added: its gradient is exactly zero, and so it stays zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn.initializers import he_normal, lecun_normal
from jax.typing import DTypeLike

from fewbits.training.evaluation import map_batches
from fewbits.training.method import Key, Params
from fewbits.training.models.convolution import conv2d, max_pool
from fewbits.training.networks import ImageShape, unit_pixels

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions; a max-pool of 2 ends each block."""

DENSE_UNITS = (512, 512)

EPSILON = 1e-5
"""Added to a variance before its root."""


class Vgg(NamedTuple):
    """A network with batch normalisation, in training and deployed.

    Attributes:
      init: key -> Params: `conv1..13` {kernel, bias}, `norm1..13` {scale, bias}, `dense1..2` and
        `output` {kernel, bias}; float32.
      apply: (params, x, key=None) -> logits Float32[batch, classes], normalised with the batch's
        own statistics; with a key, dropout between the dense layers.
      fold: (params, images) -> Params of the deployed network, same structure and shapes.
      apply_folded: (folded, x) -> logits; every example by itself.
    """

    init: Callable[[Key], Params]
    apply: Callable[..., jax.Array]
    fold: Callable[[Params, jax.Array], Params]
    apply_folded: Callable[[Params, jax.Array], jax.Array]


def vgg16(
    image_shape: ImageShape = (32, 32, 3),
    n_classes: int = 10,
    *,
    width: float = 1.0,
    blocks: Sequence[Sequence[int]] = BLOCKS,
    dropout: float = 0.4,
    activation_dtype: DTypeLike = jnp.float32,
) -> Vgg:
    """VGG-16-512 for small images (Simonyan & Zisserman 2015, configuration D).

    13 convolutions 3 x 3 with normalisation and ReLU, five max-pools, dense layers of 512, 512 and
    the classes: 15,253,578 parameters for 32 x 32 x 3 and ten classes.

    Args:
      image_shape: (height, width, channels), sides of at least 2^blocks.
      n_classes: outputs.
      width: factor on the number of channels and units, rounded, at least 1 each.
      blocks: channels of the convolutions, block by block; others than VGG-16's for smaller nets.
      dropout: share of the units of both hidden dense layers that a key drops.
      activation_dtype: of activations and products; statistics are float32 or better.

    Returns:
      Vgg.

    Raises:
      ValueError: an image that the max-pools leave nothing of, a width or a dropout out of range.
    """
    pooled = 2 ** len(blocks)
    if len(image_shape) != 3 or min(image_shape[:2]) < pooled or image_shape[2] < 1:
        raise ValueError(
            f"image_shape must be (height, width, channels) with sides of at least {pooled}, "
            f"got {tuple(image_shape)}"
        )
    if not 0 < width < float("inf"):
        raise ValueError(f"width must be above 0, got {width}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    filters_of = [[max(1, round(width * channels)) for channels in block] for block in blocks]
    units = [max(1, round(width * number)) for number in DENSE_UNITS]
    statistics_dtype = jnp.promote_types(activation_dtype, jnp.float32)

    def init(key: Key) -> Params:
        key_convolutions, key_dense = jax.random.split(key)
        params: dict[str, dict[str, jax.Array]] = {}
        inputs = image_shape[2]
        for number, filters in enumerate(sum(filters_of, []), start=1):
            key_kernel = jax.random.fold_in(key_convolutions, number)
            params[f"conv{number}"] = {
                "kernel": he_normal()(key_kernel, (3, 3, inputs, filters)),
                "bias": jnp.zeros(filters),
            }
            params[f"norm{number}"] = {"scale": jnp.ones(filters), "bias": jnp.zeros(filters)}
            inputs = filters
        inputs *= (image_shape[0] // pooled) * (image_shape[1] // pooled)
        for number, outputs in enumerate([*units, n_classes], start=1):
            last = number > len(units)
            initializer = lecun_normal() if last else he_normal()
            params["output" if last else f"dense{number}"] = {
                "kernel": initializer(jax.random.fold_in(key_dense, number), (inputs, outputs)),
                "bias": jnp.zeros(outputs),
            }
            inputs = outputs
        return params

    def features(params: Params, x: jax.Array, convolve, normalise) -> jax.Array:
        x, number = unit_pixels(x).astype(activation_dtype), 0
        for block in filters_of:
            for _ in block:
                number += 1
                x = convolve(x, params[f"conv{number}"]["kernel"].astype(activation_dtype))
                x = jax.nn.relu(normalise(number, x))
            x = max_pool(x)
        return x.reshape(x.shape[0], -1)

    def classify(params: Params, x: jax.Array, key: Key | None) -> jax.Array:
        for number in range(1, len(units) + 1):
            x = jax.nn.relu(_dense(params[f"dense{number}"], x))
            if key is not None and dropout > 0:
                kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - dropout, x.shape)
                x = jnp.where(kept, x / jnp.asarray(1 - dropout, x.dtype), jnp.zeros_like(x))
        return _dense(params["output"], x).astype(statistics_dtype)

    def scaled(x: jax.Array, norm: Params) -> jax.Array:
        x = x.astype(statistics_dtype)
        return (x * _per_channel(norm["scale"]) + _per_channel(norm["bias"])).astype(
            activation_dtype
        )

    def apply(params: Params, x: jax.Array, key: Key | None = None) -> jax.Array:
        def normalise(number: int, x: jax.Array) -> jax.Array:
            return scaled(x, _absorbed(params[f"norm{number}"], x.astype(statistics_dtype)))

        return classify(params, features(params, x, conv2d, normalise), key)

    def fold(params: Params, images: jax.Array) -> Params:
        """The deployed parameters; all layers see all images, convolved a few at a time."""
        folded = dict(params)

        def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return map_batches(lambda part: conv2d(part, kernel), x, 100)

        def measure(number: int, x: jax.Array) -> jax.Array:
            convolution = params[f"conv{number}"]
            norm = _absorbed(params[f"norm{number}"], x.astype(statistics_dtype))
            norm = _without_dead_channels(norm, convolution["kernel"])
            norm = jax.tree.map(lambda new, old: new.astype(old.dtype), norm, params["norm1"])
            folded[f"norm{number}"] = norm
            folded[f"conv{number}"] = {
                "kernel": convolution["kernel"],
                "bias": jnp.zeros_like(convolution["bias"]),
            }
            return scaled(x, norm)

        features(params, images, convolve, measure)
        return folded

    def apply_folded(folded: Params, x: jax.Array) -> jax.Array:
        def normalise(number: int, x: jax.Array) -> jax.Array:
            return scaled(x, folded[f"norm{number}"])

        return classify(folded, features(folded, x, conv2d, normalise), None)

    return Vgg(init, apply, fold, apply_folded)


def _absorbed(norm: Params, x: jax.Array) -> Params:
    """Scale and shift that do to x what normalising x, then `norm`, does."""
    mean = x.mean(axis=(0, 1, 2))
    variance = jnp.square(x - _per_channel(mean)).mean(axis=(0, 1, 2))
    scale = norm["scale"] * jax.lax.rsqrt(variance + EPSILON)
    return {"scale": scale, "bias": norm["bias"] - mean * scale}


def _without_dead_channels(norm: Params, kernel: jax.Array) -> Params:
    """No scale where the kernel is all zero, and no shift that the ReLU makes zero anyway."""
    live = jnp.any(kernel != 0, axis=(0, 1, 2))
    return {
        "scale": jnp.where(live, norm["scale"], 0),
        "bias": jnp.where(live | (norm["bias"] > 0), norm["bias"], 0),
    }


def _dense(layer: Params, x: jax.Array) -> jax.Array:
    return x @ layer["kernel"].astype(x.dtype) + layer["bias"].astype(x.dtype).reshape(1, -1)


def _per_channel(values: jax.Array) -> jax.Array:
    return values.reshape(1, 1, 1, -1)
