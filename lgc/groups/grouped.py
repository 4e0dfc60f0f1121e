"""Archives with groups: foregrounds drawn from class mixtures, on the group's background.

Every training image has a class and a known *group*, such as the background's colour. A classifier
trained on data in which the two are correlated learns the background. Here an image consists of
layers: the latent vector gives the foreground (`decoders`, layered), the group the background. A
class's mixture is fitted to the latents of all its images, whatever their group, so that a
combination of class and group with few images, or none, gets the variety of the whole class.

For that the latents must not depend on the group, which is nearly determined by the class: the
encoder sees the image without its background (`keyed`), which is the picture of the colours that
are typical of the group.

The archive holds one mixture for each class and one background for each group. Drawing as many of
each class in each group as there were gives the original proportions, drawing equally many gives
equal groups, from the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training.networks import mlp
from lgc.autoencoders import decoders, objectives
from lgc.autoencoders.decoders import ImageShape, Params
from lgc.autoencoders.variants import Variant

_TINY = 1e-12
"""Of a colour's share where no group has it."""
_KEYED = 0.1
"""Difference from the background, in a channel, at which a pixel is taken for foreground."""
_COVER_COST = 0.05
"""Nats for each covered pixel: of two explanations, the one that leaves more to the background.
Else the foreground of a class could paint the colour that the class is usually seen on."""
_BIN = 16
"""Grey levels that count as one when the commonest colour is looked for."""
_SHRINKING = (4, 2)
"""Sides of the squares that a background may consist of, the larger the better."""
_COVER = -2.0
"""Initial logits of the cover, so that backgrounds explain as much as they can."""
_NEAR_LEVELS = 32


@dataclass(frozen=True)
class Architecture:
    """Shape of the networks, and the weight of the KL divergence.

    Attributes:
      decoder: of the foreground: "dense" or "convolutional"; see `decoders`.
      latent: numbers per image beside the group.
      hidden: width of the encoder's two layers, which are not in the file.
      dense_hidden: widths of a dense decoder's layers.
      widths: channels of a convolutional one.
      kl_weight: of the divergence from the prior; below one, latents hold more of an image.
    """

    decoder: Literal["dense", "convolutional"] = "convolutional"
    latent: int = 24
    hidden: int = 256
    dense_hidden: tuple[int, ...] = (128,)
    widths: tuple[int, int, int] = (16, 16, 8)
    kl_weight: float = 0.3

    def __post_init__(self):
        if self.decoder not in ("dense", "convolutional"):
            raise ValueError(f"decoder is {self.decoder!r}; use 'dense' or 'convolutional'")
        for name in ("latent", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")


def backgrounds(images: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The colour of each pixel that is typical of each group, in as few squares as show it exactly.

    Of the colours c, in bins of 16 levels a channel, the one with the largest p(c)^2 / q(c) is
    taken, where p is its share in the group, every class counted equally, and q the mean of p over
    all groups; then the median of that bin. So what often stands in front of all groups is not
    mistaken for what is behind one.

    Args:
      images: uint8[n, height, width, channels].
      classes: int[n].
      groups: int[n], 0 to the number of groups - 1, each with an image.

    Returns:
      float32[n_groups, rows, columns, channels] in [0, 1]: the sides of the images, or a half or a
      quarter of them if that loses nothing.
    """
    n_groups = int(groups.max()) + 1
    members = [groups == group for group in range(n_groups)]
    anywhere = sum(_shares(images[part], classes[part]) for part in members) / n_groups
    found = []
    for part in members:
        shares = _shares(images[part], classes[part])
        mode = (shares**2 / np.maximum(anywhere, _TINY)).argmax(axis=0)
        found.append(_medians(images[part], mode))
    large = np.array(found, np.float32) / 255
    for side in _SHRINKING:
        small = large[:, ::side, ::side]
        if np.array_equal(decoders.enlarged(small, images.shape[1:]), large):
            return small
    return large


def shares_explained(images: np.ndarray, groups: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """How much of its images the background of each group explains, float64[n_groups] in [0, 1].

    The share of pixels within 32 levels of the group's background, in every channel. It is low
    where backgrounds differ within a group, which then has none of its own.

    Args:
      images: uint8[n, height, width, channels].
      groups: int[n], 0 to the number of groups - 1.
      behind: from `backgrounds`.
    """
    levels = np.asarray(255 * decoders.enlarged(behind, images.shape[1:]))
    found = []
    for group, background in enumerate(levels):
        away = np.abs(images[groups == group] - background[None]).max(axis=-1)
        found.append(float((away <= _NEAR_LEVELS).mean()))
    return np.array(found)


def _bins(images: np.ndarray) -> np.ndarray:
    """Number of each pixel's bin, int64[n, pixels]."""
    bins = (images // _BIN).reshape(len(images), -1, images.shape[3])
    return bins.astype(np.int64) @ ((256 // _BIN) ** np.arange(images.shape[3]))


def _shares(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How often each bin is met at each pixel, float64[bins, pixels]; classes count equally."""
    bins = _bins(images)
    pixels, n_bins = bins.shape[1], (256 // _BIN) ** images.shape[3]
    counts = np.bincount(classes)
    weights = np.repeat(1 / (counts[classes] * np.count_nonzero(counts)), pixels)
    places = bins * pixels + np.arange(pixels)
    return np.bincount(places.ravel(), weights, n_bins * pixels).reshape(n_bins, pixels)


def _medians(images: np.ndarray, mode: np.ndarray) -> np.ndarray:
    """Median colour of the images that are in each pixel's given bin, float64 like an image."""
    inside = _bins(images) == mode
    flat = images.reshape(len(images), len(mode), -1)
    medians = [np.median(flat[inside[:, p], p], axis=0) for p in range(len(mode))]
    return np.round(medians).reshape(images.shape[1:])


def keyed(images: jax.Array, behind: jax.Array, channels: int) -> jax.Array:
    """Images without what is behind: pixels that are like the background turn to middle grey.

    Args:
      images: Float[n, pixels * channels] in [0, 1].
      behind: of the same shape, each image's group's background.
      channels: values of a pixel. One whose largest difference from the background is `_KEYED` or
        more stays as it is.

    Returns:
      Float[n, pixels * channels].
    """
    apart = jnp.abs(images - behind).reshape(len(images), -1, channels).max(axis=-1)
    front = jnp.repeat(jnp.minimum(apart / _KEYED, 1), channels, axis=-1)
    return front * images + (1 - front) * 0.5


def build(architecture: Architecture, image_shape: ImageShape, behind: np.ndarray) -> Variant:
    """A variational autoencoder of foregrounds, whose encoder does not see the group.

    Loss on batches (images Float[n, pixels] in [0, 1], groups Int[n]):
    E_q -log p(x | z, group) + w KL(q(z | x) || N(0, I)) + v sum of the cover, nats per image, with
    the architecture's w and v = 0.05; q sees `keyed` images alone. `encode` draws from q.

    Args:
      architecture: see there.
      image_shape: (height, width, channels).
      behind: float32[n_groups, rows, columns, channels], see `backgrounds`.
    """
    height, width, channels = image_shape
    n_groups, latent = len(behind), architecture.latent
    front_shape = (height, width, channels + 1)
    seen_behind = np.asarray(decoders.enlarged(behind, image_shape)).reshape(n_groups, -1)
    encoder = mlp((height * width * channels, architecture.hidden, architecture.hidden, 2 * latent))

    def init(key: jax.Array) -> Params:
        key_encoder, key_decoder = jax.random.split(key)
        if architecture.decoder == "dense":
            pixels = height * width * (channels + 1)
            hidden = architecture.dense_hidden
            decoder = decoders.init_dense(key_decoder, latent, hidden, pixels)
            last = "pixels"
        else:
            decoder = decoders.init_convolutional(
                key_decoder, latent, front_shape, architecture.widths
            )
            last = "output"
        bias = decoder[last]["bias"].reshape(-1, channels + 1).at[:, 0].set(_COVER)
        decoder[last]["bias"] = bias.reshape(-1)
        layers = {"foreground": decoder, "backgrounds": jnp.asarray(behind)}
        return {"encoder": encoder.init(key_encoder), "decoder": layers}

    def posterior(params: Params, images: jax.Array, groups: jax.Array):
        seen = keyed(images, jnp.asarray(seen_behind)[groups], channels)
        mean, log_variance = jnp.split(encoder.apply(params, seen), 2, axis=1)
        return mean, jnp.clip(log_variance, -14, 6)

    def drawn(key: jax.Array, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
        return mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)

    def loss(key, params, batch):
        images, groups = batch
        mean, log_variance = posterior(params["encoder"], images, groups)
        latents = drawn(key, mean, log_variance)
        front = decoders.decode(params["decoder"]["foreground"], latents, front_shape)
        # Backgrounds are known, not learned.
        behind_each = jnp.asarray(seen_behind)[groups]
        decoded, cover = decoders.layered(front, behind_each, channels, hard=False)
        entropy = objectives.cross_entropy(decoded, images)
        kl = objectives.gaussian_kl(mean, log_variance)
        covered = jnp.mean(jnp.sum(cover, axis=1))
        total = entropy + architecture.kl_weight * kl + _COVER_COST * covered
        return total, {"cross_entropy": entropy, "kl": kl, "covered": covered}

    def encode(key, params, images, groups):
        return drawn(key, *posterior(params, images, groups))

    return Variant(init, loss, encode)
