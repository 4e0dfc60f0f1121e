"""What small images will cost in a file, as a function that can be differentiated.

The pixel code of the files (`fewbits.codecs.pixels.pixel_code`) learns by counting and has no
gradient. Its stand-in is a small network that gives the odds of a pixel being at least as bright as
each threshold, from the pixels before it in reading order and from its place and class. The bits of
an image under it fall when the image becomes like those that the network was trained on, which is
what makes it cheap for the pixel code too.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.training.convolution import conv2d
from fewbits.training.method import Key, Loss, Params

_ROWS, _COLUMNS = 3, 5
"""What a pixel's odds may look at: two rows above, two columns to both sides, those before it."""
_HIDDEN = 16
_PLACE_DECAY = 1e-3
"""Weight of the squares of what is said by place alone: classes may have few images."""


def init(key: Key, small_shape: tuple[int, int, int], n_levels: int, n_classes: int) -> Params:
    """Small random weights.

    Args:
      key: typed key.
      small_shape: (height, width, channels) of the small images.
      n_levels: L, 2 or more.
      n_classes: K.
    """
    *places, channels = small_shape
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
