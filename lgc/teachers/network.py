"""The teacher's network: two convolutions and a dense layer, of any width.

Large images are averaged down to 32 pixels a side at most. Squares of 2 x 2 pixels then become the
channels of one, a convolution of 3 x 3 gives w channels, the largest of each 2 x 2 is taken, and
another convolution and maximum with 2 w; a dense layer reads all that is left. Sides that two do
not divide are padded, and a maximum is left out where the smaller side is below 4.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training.method import Key, Params
from fewbits.training.models.convolution import FASTEST, Implementation, conv2d, max_pool

ImageShape = tuple[int, int, int]
WIDTHS = (4, 6, 8, 10, 12, 16, 20, 24, 32)
_SIDE = 32
_LEAST_POOLED = 4
_BITS_PER_PARAMETER = 2.6
_OVERHEAD = 150
"""Bytes of a teacher beside its parameters, about."""
_LAYERS = ("first", "second", "output")


def init(key: Key, image_shape: ImageShape, n_classes: int, width: int) -> Params:
    """He-initialised kernels, zero biases.

    Args:
      key: typed PRNG key.
      image_shape: (height, width, channels) of the images.
      n_classes: outputs.
      width: w, channels of the first convolution.
    """
    shapes = _shapes(image_shape, n_classes, width)
    he = jax.nn.initializers.he_normal()
    keys = jax.random.split(key, len(shapes))
    return {
        name: {"kernel": he(each, shape), "bias": jnp.zeros(shape[-1])}
        for each, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def logits(
    params: Params, images: jax.Array, implementation: Implementation = FASTEST
) -> jax.Array:
    """Logits Float[n, classes] of images Float[n, height, width, channels], 0 to 255.

    Args:
      params: see `init`.
      images: at full resolution.
      implementation: of the convolutions.
    """
    x = _blocks(_shrunk(images / 127.5 - 1))
    for name in _LAYERS[:2]:
        layer = params[name]
        x = conv2d(x, layer["kernel"], implementation=implementation)
        x = jax.nn.relu(x + layer["bias"].reshape(1, 1, 1, -1))
        if min(x.shape[1:3]) >= _LEAST_POOLED:
            x = max_pool(x)
    output = params["output"]
    return x.reshape(len(x), -1) @ output["kernel"] + output["bias"][None]


def parameters(image_shape: ImageShape, n_classes: int, width: int) -> int:
    """Number of parameters."""
    shapes = _shapes(image_shape, n_classes, width).values()
    return sum(int(np.prod(shape)) + shape[-1] for shape in shapes)


def width_for(image_shape: ImageShape, n_classes: int, n_bytes: float) -> int:
    """The widest network of about so many bytes in a file; 0 where none is so small."""
    fitting = [
        width
        for width in WIDTHS
        if parameters(image_shape, n_classes, width) * _BITS_PER_PARAMETER / 8 + _OVERHEAD
        <= n_bytes
    ]
    return max(fitting, default=0)


def check(params: Any, image_shape: ImageShape, n_classes: int) -> None:
    """Raises ValueError unless these are finite weights of `init` for such images and classes."""
    if not isinstance(params, dict) or params.keys() != set(_LAYERS):
        raise ValueError("not the layers of a teacher")
    for name in _LAYERS:
        layer = params[name]
        if not isinstance(layer, dict) or layer.keys() != {"kernel", "bias"}:
            raise ValueError(f"layer {name} is not a kernel and a bias")
        if not all(isinstance(leaf, np.ndarray) for leaf in layer.values()):
            raise ValueError(f"layer {name} holds no arrays")
    if params["first"]["kernel"].ndim != 4:
        raise ValueError("layer first is no convolution")
    width = params["first"]["kernel"].shape[-1]
    if not 1 <= width <= WIDTHS[-1]:
        raise ValueError(f"a width of {width}; 1 to {WIDTHS[-1]}")
    for name, shape in _shapes(image_shape, n_classes, width).items():
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        if kernel.shape != shape or bias.shape != shape[-1:]:
            raise ValueError(f"layer {name} of shape {kernel.shape}; these images need {shape}")
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise ValueError("a weight is not finite")


def _shapes(image_shape: ImageShape, n_classes: int, width: int) -> dict[str, tuple[int, ...]]:
    height, across, channels = image_shape
    factor = _factor(image_shape)
    sides = [math.ceil(math.ceil(side / factor) / 2) for side in (height, across)]
    for _ in range(2):
        if min(sides) >= _LEAST_POOLED:
            sides = [side // 2 for side in sides]
    features = sides[0] * sides[1] * 2 * width
    return {
        "first": (3, 3, 4 * channels, width),
        "second": (3, 3, width, 2 * width),
        "output": (features, n_classes),
    }


def _factor(image_shape: tuple[int, ...]) -> int:
    return math.ceil(max(image_shape[:2]) / _SIDE)


def _shrunk(x: jax.Array) -> jax.Array:
    """Averages of squares, so that no side is above `_SIDE`."""
    factor = _factor(x.shape[1:])
    if factor == 1:
        return x
    x = _padded(x, factor)
    n, height, width, channels = x.shape
    return x.reshape(n, height // factor, factor, width // factor, factor, channels).mean((2, 4))


def _blocks(x: jax.Array) -> jax.Array:
    """Every square of 2 x 2 pixels as the channels of one."""
    x = _padded(x, 2)
    n, height, width, channels = x.shape
    x = x.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, height // 2, width // 2, 4 * channels)


def _padded(x: jax.Array, multiple: int) -> jax.Array:
    margins = [(0, -side % multiple) for side in x.shape[1:3]]
    return jnp.pad(x, ((0, 0), *margins, (0, 0)), mode="edge")
