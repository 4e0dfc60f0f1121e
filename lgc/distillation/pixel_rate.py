"""Rate model: a differentiable estimate of the bits of quantised low-resolution images.

The pixel code of the files (`fewbits.codecs.pixels.pixel_code`) adapts by counting and has no
gradient. A small masked convolution stands in for it: it predicts the probability that a pixel is
at least as bright as each threshold, from the pixels before it in raster order, its position and
its class (an autoregressive model as in PixelCNN, van den Oord et al. 2016). Images that it codes
in few bits take few bits under the pixel code too.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.training.method import Key, Loss, Params
from fewbits.training.models.convolution import conv2d

_ROWS, _COLUMNS = 3, 5
"""Receptive field: two rows above, two columns to both sides, the pixels before."""
_HIDDEN = 16
_PLACE_DECAY = 1e-3
"""Weight decay of the biases by position: classes may have few images."""


def init(key: Key, low_shape: tuple[int, int, int], n_levels: int, n_classes: int) -> Params:
    """Small random weights.

    Args:
      key: typed key.
      low_shape: (height, width, channels) at low resolution.
      n_levels: L, 2 or more.
      n_classes: K.
    """
    *places, channels = low_shape
    key_kernel, key_output = jax.random.split(key)
    outputs = channels * (n_levels - 1)
    return {
        "kernel": 0.1 * jax.random.normal(key_kernel, (_ROWS, _COLUMNS, channels, _HIDDEN)),
        "place": jnp.zeros((*places, _HIDDEN)),
        "output": 0.1 * jax.random.normal(key_output, (_HIDDEN, outputs)),
        "class_place": jnp.zeros((n_classes, *places, outputs)),
    }


def bits(params: Params, levels: jax.Array, classes: jax.Array, n_levels: int) -> jax.Array:
    """Bits of each image, Float[n].

    Args:
      params: see `init`.
      levels: Float[n, h, w, c], numbers of levels, 0 to L - 1; between two whole numbers the bits
        are interpolated.
      classes: Int[n].
      n_levels: L.
    """
    seen = np.ones((_ROWS, _COLUMNS, 1, 1), np.float32)
    seen[-1, _COLUMNS // 2 :] = 0
    reach = _COLUMNS // 2
    padded = jnp.pad(levels / (n_levels - 1), ((0, 0), (_ROWS - 1, 0), (reach, reach), (0, 0)))
    hidden = conv2d(padded, params["kernel"] * seen, padding="VALID") + params["place"][None]
    logits = jax.nn.relu(hidden) @ params["output"] + params["class_place"][classes]
    logits = logits.reshape(*levels.shape, n_levels - 1)
    below = jnp.arange(n_levels - 1).reshape(1, 1, 1, 1, -1)
    at_least = jnp.clip(levels[..., None] - below, 0, 1)
    nats = optax.sigmoid_binary_cross_entropy(logits, at_least).sum(axis=(1, 2, 3, 4))
    return nats / jnp.log(2.0)


def loss(n_levels: int) -> Loss:
    """Mean bits of an image on batches (numbers of levels UInt8[n, h, w, c], classes Int[n])."""

    def mean_bits(key: Key, params: Params, batch: tuple[jax.Array, jax.Array]):
        del key  # deterministic
        levels, classes = batch
        found = bits(params, levels.astype(jnp.float32), classes, n_levels).mean()
        places = sum(jnp.sum(jnp.square(params[name])) for name in ("place", "class_place"))
        return found + _PLACE_DECAY * places, {"bits": found}

    return mean_bits
