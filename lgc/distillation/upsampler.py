"""Upsampler: a small super-resolution network from quantised low-resolution images to images.

Interpolation blurs edges, and a classifier trained on blurred images fails on sharp ones. Three
convolutions of 3 x 3 at low resolution, the last followed by a pixel shuffle (Shi et al. 2016,
"Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
network"), restore the edges. The few weights are trained on all images of a set and
quantised coarsely.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from fewbits.training.method import Key, Loss, Params
from fewbits.training.models.convolution import FASTEST, FASTEST_NARROW, Implementation, conv2d
from lgc.autoencoders import rate

ImageShape = tuple[int, int, int]
_LAYERS = ("first", "second", "output")
_SLOPE = 6.0
"""Of a pixel's logit in the grey level of its low-resolution pixel, at initialisation."""


def init(key: Key, width: int, factor: int, channels: int) -> Params:
    """He-initialised kernels, zero biases.

    Args:
      key: typed key.
      width: channels of both hidden layers.
      factor: side of the square that a low-resolution pixel becomes.
      channels: of the images.
    """
    he = jax.nn.initializers.he_normal()
    shapes = [(channels, width), (width, width), (width, factor * factor * channels)]
    params = {
        name: {"kernel": he(k, (3, 3, *shape)), "bias": jnp.zeros(shape[1])}
        for name, k, shape in zip(_LAYERS, jax.random.split(key, 3), shapes, strict=True)
    }
    # The last layer is a residual correction, so its initial weights are small.
    params["output"]["kernel"] = 0.3 * params["output"]["kernel"]
    return params


def logits(
    params: Params,
    low: jax.Array,
    image_shape: ImageShape,
    implementation: Implementation = FASTEST,
) -> jax.Array:
    """Logits of the full-resolution pixels, Float[n, height, width, channels].

    Args:
      params: see `init`.
      low: Float[n, ceil(height / factor), ceil(width / factor), channels] in [0, 1].
      image_shape: (height, width, channels) at full resolution.
      implementation: of the convolutions. Files are decoded with the default, so that they give
        the same pixels in every version.
    """
    height, width, channels = image_shape
    n, rows, columns, _ = low.shape
    x = low
    for name in _LAYERS[:2]:
        x = jax.nn.relu(_convolved(x, params[name], implementation))
    x = _convolved(x, params["output"], implementation)
    factor = round((x.shape[-1] / channels) ** 0.5)
    x = x.reshape(n, rows, columns, factor, factor, channels)
    x = x + _SLOPE * (low[:, :, :, None, None, :] - 0.5)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows * factor, columns * factor, channels)
    return x[:, :height, :width]


def loss(image_shape: ImageShape, bits: rate.Bits) -> Loss:
    """Mean cross-entropy of the pixels in nats, with weights on their grids (straight through).

    Args:
      image_shape: at full resolution.
      bits: of each tensor's grid.

    Returns:
      Loss on batches (low UInt8[n, ...], full UInt8[n, ...]) of the two resolutions.
    """

    def mean_cross_entropy(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        del key  # deterministic
        low, full = (part.astype(jnp.float32) / 255 for part in batch)
        stored = rate.quantised(params, bits)
        found = logits(stored, low, image_shape, FASTEST_NARROW)
        nats = optax.sigmoid_binary_cross_entropy(found, full).mean()
        return nats, {"cross_entropy_nats": nats}

    return mean_cross_entropy


def check(params: Any, low_shape: ImageShape, factor: int) -> None:
    """Raises ValueError unless these are weights of `init` for such low-resolution images."""
    if not isinstance(params, dict) or params.keys() != set(_LAYERS):
        raise ValueError("not the layers of an upsampler")
    channels = low_shape[2]
    width = params["first"]["kernel"].shape[-1]
    shapes = [(channels, width), (width, width), (width, factor * factor * channels)]
    for name, shape in zip(_LAYERS, shapes, strict=True):
        layer = params[name]
        if layer.keys() != {"kernel", "bias"} or layer["kernel"].shape != (3, 3, *shape):
            raise ValueError(f"layer {name} does not fit its neighbours")
        if layer["bias"].shape != shape[1:]:
            raise ValueError(f"layer {name} has a bias of shape {layer['bias'].shape}")


def _convolved(x: jax.Array, layer: Params, form: Implementation) -> jax.Array:
    return conv2d(x, layer["kernel"], implementation=form) + layer["bias"].reshape(1, 1, 1, -1)
