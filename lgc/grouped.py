"""Archives of groups: a decoder that is told the group, and class mixtures shared by all groups.

Every training image has a class and a *group* that is known too (a background's colour, say). What
makes the image beside the group is the latent vector; the group itself comes to the decoder as a
one-hot vector after it. A class's mixture is fitted to the latents of all its images, whatever
their group, so that a combination of class and group with a handful of images gets the variety of
the whole class. For that the latents must not know the group, which nearly gives the class away
and would be drawn along with it: the encoder sees no image, but how far each of its pixels is from
the group's mean.

The archive holds one mixture for each (class, group): the class's, at a constant one-hot vector.
Its label is n_groups * class + group. Drawing as many of each label as there were gives the
original proportions, drawing equally many gives equal groups: the choice costs no bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from lgc import decoders, objectives
from lgc.decoders import ImageShape, Params
from lgc.mixture_code import ClassMixture
from lgc.variants import Variant
from training.networks import mlp

_TOLD_VARIANCE = 1e-6
"""Of a one-hot dimension: an archive stores the logarithm, and zero has none."""
_TINY = 1e-12
"""Instead of the largest squared deviation of an image that is its group's mean."""


@dataclass(frozen=True)
class Architecture:
    """Shape of the networks.

    Attributes:
      decoder: "dense" or "convolutional"; see `decoders`.
      latent: numbers per image beside the group.
      hidden: width of the encoder's two layers, which are not in the file.
      dense_hidden: widths of a dense decoder's layers.
      widths: channels of a convolutional one.
    """

    decoder: Literal["dense", "convolutional"] = "convolutional"
    latent: int = 16
    hidden: int = 256
    dense_hidden: tuple[int, ...] = (128,)
    widths: tuple[int, int, int] = (16, 16, 8)

    def __post_init__(self):
        if self.decoder not in ("dense", "convolutional"):
            raise ValueError(f"decoder is {self.decoder!r}; use 'dense' or 'convolutional'")
        for name in ("latent", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")


def group_means(images: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean image of every group, each class in it counted equally; float32[groups, pixels].

    Args:
      images: uint8[n, pixels].
      classes: int[n].
      groups: int[n], 0 to the number of groups - 1, each with an image.
    """
    means = []
    for group in range(int(groups.max()) + 1):
        of_group = groups == group
        parts = [
            images[of_group & (classes == label)].mean(axis=0)
            for label in np.unique(classes[of_group])
        ]
        means.append(np.mean(parts, axis=0) / 255)
    return np.array(means, np.float32)


def deviations(images: jax.Array, means: jax.Array, channels: int) -> jax.Array:
    """How far each pixel is from the group's mean, the image's farthest at one.

    Args:
      images: Float[n, pixels * channels].
      means: of the same shape, each image's group's.
      channels: values of a pixel, whose Euclidean distance is taken.

    Returns:
      Float[n, pixels].
    """
    apart = jnp.sum((images - means).reshape(len(images), -1, channels) ** 2, axis=-1)
    farthest = jnp.max(apart, axis=1, keepdims=True)
    return jnp.sqrt(apart / jnp.maximum(farthest, _TINY))


def build(architecture: Architecture, image_shape: ImageShape, means: np.ndarray) -> Variant:
    """A variational autoencoder whose decoder is told the group, and whose encoder is kept from it.

    Loss on batches (images Float[n, pixels] in [0, 1], groups Int[n]):
    E_q -log p(x | z, group) + KL(q(z | x) || N(0, I)), nats per image; q sees `deviations` alone.
    `encode` draws from q.

    Args:
      architecture: see there.
      image_shape: (height, width, channels).
      means: float32[n_groups, pixels], see `group_means`.
    """
    height, width, channels = image_shape
    pixels, n_groups = height * width * channels, len(means)
    latent = architecture.latent
    encoder = mlp((height * width, architecture.hidden, architecture.hidden, 2 * latent))

    def init(key: jax.Array) -> Params:
        key_encoder, key_decoder = jax.random.split(key)
        told = latent + n_groups
        if architecture.decoder == "dense":
            decoder = decoders.init_dense(key_decoder, told, architecture.dense_hidden, pixels)
        else:
            decoder = decoders.init_convolutional(
                key_decoder, told, image_shape, architecture.widths
            )
        return {"encoder": encoder.init(key_encoder), "decoder": decoder}

    def posterior(params: Params, images: jax.Array, groups: jax.Array):
        seen = deviations(images, jnp.asarray(means)[groups], channels)
        mean, log_variance = jnp.split(encoder.apply(params, seen), 2, axis=1)
        return mean, jnp.clip(log_variance, -14, 6)

    def drawn(key: jax.Array, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
        return mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)

    def loss(key, params, batch):
        images, groups = batch
        mean, log_variance = posterior(params["encoder"], images, groups)
        told = jax.nn.one_hot(groups, n_groups)
        latents = jnp.concatenate([drawn(key, mean, log_variance), told], axis=1)
        decoded = decoders.decode(params["decoder"], latents, image_shape)
        entropy = objectives.cross_entropy(decoded, images)
        kl = objectives.gaussian_kl(mean, log_variance)
        return entropy + kl, {"cross_entropy": entropy, "kl": kl}

    def encode(key, params, images, groups):
        return drawn(key, *posterior(params, images, groups))

    return Variant(init, loss, encode)


def at_every_group(of_classes: list[ClassMixture], n_groups: int) -> list[ClassMixture]:
    """The archive's mixtures: each class's at each group, class by class.

    Args:
      of_classes: diagonal mixtures of latents Float[K, d].
      n_groups: length of the one-hot vector that is appended.
    """
    found = []
    for mixture in of_classes:
        count = len(mixture.weights)
        fixed = np.full((count, n_groups), _TOLD_VARIANCE)
        variances = np.concatenate([mixture.covariances, fixed], axis=1)
        for group in range(n_groups):
            told = np.zeros((count, n_groups))
            told[:, group] = 1
            means = np.concatenate([mixture.means, told], axis=1)
            found.append(ClassMixture(mixture.weights, means, variances))
    return found
