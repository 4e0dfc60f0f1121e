"""A sensor's network in mode `decision`: small enough to fit on a CPU within minutes.

Images first trade resolution for channels (2 x 2 pixels become four channels), so that no
convolution runs at full size; two more halvings follow where the image is large enough.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import networks
from fewbits.training.models.convolution import conv2d, max_pool

_HIDDEN = 128


def sensor_network(shape: tuple[int, ...], outputs: int, width: int) -> networks.Network:
    """Convolutional for images of 8 x 8 pixels or more, dense otherwise.

    Three convolutions of 3 x 3 with `width`, 2 `width` and 2 `width` channels and a dense layer of
    128, or two dense layers of `width`.

    Args:
      shape: (height, width) or (height, width, channels) of what the sensor sees, or (features,).
      outputs: number of functionals.
      width: see above, at least 1.

    Returns:
      init(key) -> params and apply(params, x Float[N, pixels]) -> Float[N, outputs].
    """
    if len(shape) < 2 or min(shape[:2]) < 8:
        return networks.mlp((int(np.prod(shape)), width, width, outputs))
    shape = (*shape, 1)[:3]
    channels = (4 * shape[2], width, 2 * width, 2 * width)

    def features_of(params: Any, x: jax.Array) -> jax.Array:
        x = _halve(x.reshape(-1, *shape))
        for number, layer in enumerate(params):
            bias = layer["bias"].reshape(1, 1, 1, -1)
            x = jax.nn.relu(conv2d(x, layer["kernel"]) + bias)
            if number < 2 and min(x.shape[1:3]) >= 6:
                x = max_pool(x)
        return x.reshape(x.shape[0], -1)

    def init_convolution(key, inputs, filters):
        kernel = jax.random.normal(key, (3, 3, inputs, filters)) * np.sqrt(2 / (9 * inputs))
        return {"kernel": kernel, "bias": jnp.zeros(filters)}

    def head(params) -> networks.Network:
        spec = jax.ShapeDtypeStruct((1, int(np.prod(shape))), jnp.float32)
        n_features = jax.eval_shape(features_of, params, spec).shape[1]
        return networks.mlp((n_features, _HIDDEN, outputs))

    def init(key):
        keys = jax.random.split(key, 4)
        convolutions = [
            init_convolution(k, *sizes)
            for k, sizes in zip(
                keys[:3], zip(channels[:-1], channels[1:], strict=True), strict=True
            )
        ]
        return {"convolutions": convolutions, "head": head(convolutions).init(keys[3])}

    def apply(params, x):
        features = features_of(params["convolutions"], x)
        return head(params["convolutions"]).apply(params["head"], features)

    return networks.Network(init, apply)


def _halve(images: jax.Array) -> jax.Array:
    """Float[N, H, W, C] -> Float[N, ceil(H/2), ceil(W/2), 4 C]; odd sides repeat their border."""
    n, height, width, channels = images.shape
    images = jnp.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    blocks = images.reshape(n, (height + 1) // 2, 2, (width + 1) // 2, 2, channels)
    blocks = blocks.transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(*blocks.shape[:3], 4 * channels)
