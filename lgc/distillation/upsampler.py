"""A small network that draws a large image from a small one in few greys.

A mean over squares, rounded to a few levels, keeps where the strokes and edges of an image are;
linear interpolation blurs them, and a classifier trained on blurred images fails on sharp ones.
Three convolutions of 3 x 3 on the small image, the last giving each pixel of a square, put the
edges back. They are trained on all images of a set, with few weights on a coarse grid.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from fewbits.training.convolution import Implementation, conv2d, training_implementation
from fewbits.training.method import Key, Loss, Params
from lgc.autoencoders import rate

ImageShape = tuple[int, int, int]
_LAYERS = ("first", "second", "output")
_SLOPE = 6.0
"""Of the logit of a drawn pixel in the grey that it is drawn from, at the start."""


def init(key: Key, width: int, factor: int, channels: int) -> Params:
    """He-initialised kernels, zero biases.

    Args:
      key: typed key.
      width: channels of both hidden layers.
      factor: side of the square that a small pixel becomes.
      channels: of the images.
    """
    he = jax.nn.initializers.he_normal()
    shapes = [(channels, width), (width, width), (width, factor * factor * channels)]
    params = {
        name: {"kernel": he(k, (3, 3, *shape)), "bias": jnp.zeros(shape[1])}
        for name, k, shape in zip(_LAYERS, jax.random.split(key, 3), shapes, strict=True)
    }
    # The last layer corrects what is drawn without it, so it begins small.
    params["output"]["kernel"] = 0.3 * params["output"]["kernel"]
    return params


def logits(
    params: Params,
    small: jax.Array,
    image_shape: ImageShape,
    implementation: Implementation | None = None,
) -> jax.Array:
    """Logits of the large images' pixels, Float[n, height, width, channels].

    Args:
      params: see `init`.
      small: Float[n, ceil(height / factor), ceil(width / factor), channels] in [0, 1].
      image_shape: (height, width, channels) of the large ones.
      implementation: of the convolutions. Files are decoded with the default, so that they give
        the same pixels in every version.
    """
    height, width, channels = image_shape
    n, rows, columns, _ = small.shape
    x = small
    for name in _LAYERS[:2]:
        x = jax.nn.relu(_convolved(x, params[name], implementation))
    x = _convolved(x, params["output"], implementation)
    factor = round((x.shape[-1] / channels) ** 0.5)
    x = x.reshape(n, rows, columns, factor, factor, channels)
    x = x + _SLOPE * (small[:, :, :, None, None, :] - 0.5)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows * factor, columns * factor, channels)
    return x[:, :height, :width]


def loss(image_shape: ImageShape, bits: rate.Bits) -> Loss:
    """Mean cross-entropy of the pixels in nats, with weights on their grids (straight through).

    Args:
      image_shape: of the large images.
      bits: of each tensor's grid.

    Returns:
      Loss on batches (small UInt8[n, ...], large UInt8[n, ...]).
    """

    def mean_cross_entropy(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        del key  # deterministic
        small, large = (part.astype(jnp.float32) / 255 for part in batch)
        held = rate.quantised(params, bits)
        found = logits(held, small, image_shape, training_implementation())
        nats = optax.sigmoid_binary_cross_entropy(found, large).mean()
        return nats, {"cross_entropy_nats": nats}

    return mean_cross_entropy


def check(params: Any, small_shape: ImageShape, factor: int) -> None:
    """Raises ValueError unless these are weights of `init` for such small images."""
    if not isinstance(params, dict) or params.keys() != set(_LAYERS):
        raise ValueError("not the layers of an enlarger")
    channels = small_shape[2]
    width = params["first"]["kernel"].shape[-1]
    shapes = [(channels, width), (width, width), (width, factor * factor * channels)]
    for name, shape in zip(_LAYERS, shapes, strict=True):
        layer = params[name]
        if layer.keys() != {"kernel", "bias"} or layer["kernel"].shape != (3, 3, *shape):
            raise ValueError(f"layer {name} does not fit its neighbours")
        if layer["bias"].shape != shape[1:]:
            raise ValueError(f"layer {name} has a bias of shape {layer['bias'].shape}")


def _convolved(x: jax.Array, layer: Params, form: Implementation | None) -> jax.Array:
    return conv2d(x, layer["kernel"], implementation=form) + layer["bias"].reshape(1, 1, 1, -1)
