"""Archives of coloured digits, by `lgc.grouped`, and pictures of what their decoders make."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.spuco_mnist import Grouped, equal_groups
from lgc import Config as Compression
from lgc import archive, decoders, grouped, selection
from lgc.grouped import Architecture
from lgc.mixture_code import Covariance
from lgc.variants import Variant
from training import evaluation, gradient_descent, loop

Decoder = Literal["dense", "convolutional"]


@dataclass(frozen=True)
class ArchiveConfig:
    """How an archive of groups is made.

    Attributes:
      latent: numbers per image beside the background.
      hidden: width of the encoder's layers.
      dense_hidden: of the dense decoder's one hidden layer.
      widths: channels of the convolutional decoder.
      steps: of training, on a cosine to zero.
      batch_size: images a step.
      learning_rate: of Adam.
      equal_share: share of the training images that are drawn from all groups equally, the others
        as they come; so the decoder has seen each class on each background.
      kl_weight: of the divergence from the prior.
      components: Gaussians for each class.
      covariance: their kind.
      bits: of each stored parameter.
    """

    latent: int = 24
    hidden: int = 256
    dense_hidden: int = 128
    widths: tuple[int, int, int] = (16, 16, 8)
    steps: int = 4_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    equal_share: float = 0.3
    kl_weight: float = 0.3
    components: int = 16
    covariance: Covariance = "full"
    bits: int = 8

    def architecture(self, decoder: Decoder) -> Architecture:
        """The networks' shapes."""
        dense = (self.dense_hidden,)
        return Architecture(decoder, self.latent, self.hidden, dense, self.widths, self.kl_weight)


class Made(NamedTuple):
    """An archive's bytes, and what its pictures need.

    Attributes:
      data: of the file; label n * class + background.
      reconstruct: Grouped -> uint8 images, by encoder and decoder as trained.
    """

    data: bytes
    reconstruct: Any


def make(
    train: Grouped, decoder: Decoder, config: ArchiveConfig, seed: int, progress: Any = None
) -> Made:
    """Train, fit and write one archive.

    Args:
      train: images with known backgrounds.
      decoder: "dense" or "convolutional".
      config: see there.
      seed: of everything.
      progress: called with (stage, done, total).
    """
    key_params, key_run, key_encode, key_fit = jax.random.split(jax.random.key(seed), 4)
    n_groups = train.n_classes
    shape = train.pixels.shape[1:]
    behind = grouped.backgrounds(train.pixels, train.classes, train.backgrounds)
    variant = grouped.build(config.architecture(decoder), shape, behind)
    params = _train(variant, _mixed(train, config, seed), config, key_params, key_run, progress)
    latents = _encode(variant, params, train, key_encode)
    settings = Compression(
        covariance=config.covariance, components=config.components, bits=config.bits
    )
    candidates = selection.fit_candidates(
        latents, train.classes, settings, key_fit, progress=progress
    )
    data = archive.write(
        jax.tree.map(np.asarray, params["decoder"]),
        [each.mixtures[0] for each in candidates],
        image_shape=shape,
        labels=range(train.n_classes * n_groups),
        counts=train.counts().tolist(),
        covariance=config.covariance,
        bits=config.bits,
        groups=n_groups,
    )

    def reconstruct(shown: Grouped) -> np.ndarray:
        codes = jnp.asarray(_encode(variant, params, shown, key_encode))
        told = jax.nn.one_hot(shown.backgrounds, n_groups)
        joined = jnp.concatenate([codes, told], axis=1)
        images = decoders.decode(params["decoder"], joined, shape)
        return np.asarray(jnp.round(255 * images).astype(jnp.uint8)).reshape(-1, *shape)

    return Made(data, reconstruct)


def _mixed(train: Grouped, config: ArchiveConfig, seed: int) -> Grouped:
    size = len(train.classes)
    equal = equal_groups(train.groups, round(config.equal_share * size), seed)
    plain = np.random.default_rng(seed).permutation(size)[: size - len(equal)]
    return train.take(np.concatenate([plain, equal]))


def _train(
    variant: Variant,
    mixed: Grouped,
    config: ArchiveConfig,
    key_params: jax.Array,
    key_run: jax.Array,
    progress: Any,
) -> Any:
    def loss(key: jax.Array, params: Any, batch: tuple[jax.Array, jax.Array]):
        pixels, backgrounds = batch
        return variant.loss(key, params, (pixels.astype(jnp.float32) / 255, backgrounds))

    hyperparameters = gradient_descent.Hyperparameters(config.learning_rate)
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(hyperparameters),
        loss,
        gradient_descent.falling_adam(config.steps),
    )
    size = len(mixed.classes)
    plan = loop.Plan(config.steps, min(config.batch_size, size))
    data = (jnp.asarray(mixed.pixels.reshape(size, -1)), jnp.asarray(mixed.backgrounds))
    carry = jax.jit(partial(loop.start, method, plan))(key_run, variant.init(key_params), data)
    advance = jax.jit(partial(loop.advance, method, plan), donate_argnums=0)
    ends = np.linspace(0, config.steps, 21).astype(int)
    for first, last in zip(ends, ends[1:], strict=False):
        carry = advance(carry, data, first, last)
        if progress is not None:
            progress("training the autoencoder", int(last), config.steps)
    result = loop.finish(method, carry)
    if not result.finite:
        raise ValueError("the autoencoder's training did not stay finite")
    return result.params


def _encode(variant: Variant, params: Any, images: Grouped, key: jax.Array) -> np.ndarray:
    count = len(images.classes)
    flat = jnp.asarray(images.pixels.reshape(count, -1))
    data = (jax.random.split(key, count), flat, jnp.asarray(images.backgrounds))

    def batch(part: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        def one(key: jax.Array, image: jax.Array, background: jax.Array) -> jax.Array:
            scaled = image.astype(jnp.float32)[None] / 255
            return variant.encode(key, params["encoder"], scaled, background[None])[0]

        return jax.vmap(one)(*part)

    return np.asarray(jax.jit(partial(evaluation.map_batches, batch, batch_size=1_000))(data))
