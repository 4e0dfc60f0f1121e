"""Compressing an image set: train an autoencoder, fit a mixture to each class, write the archive.

The pipeline of the latent-Gaussian-compression report. It compiles its own programs, since it is
what a user calls; everything inside is pure.

Differs from the report: latents are standardised and dead ones dropped, which the decoder's first
layer absorbs (`autoencoders.fold_latents`); covariances are stored once, symmetric and quantised;
K is the best of all K tried, not the last before the criterion first rises.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import gradient_descent, loop
from lgc import archive, files, images
from lgc.autoencoders import architectures, fitting, initialisation, variants
from lgc.autoencoders.decoders import Params
from lgc.config import Config, Progress
from lgc.gmm.selection import fit_candidates, select

_DEAD = 1e-6
"""Standard deviation, relative to the largest, below which a latent dimension is a constant."""


class Latents(NamedTuple):
    """Standardised latents, and the decoder that takes them."""

    values: np.ndarray
    """float32 (N, d), zero mean and unit variance in each of the d live dimensions."""
    decoder: Params


def compress(
    pixels: np.ndarray,
    labels: np.ndarray,
    config: Config,
    key: jax.Array,
    *,
    progress: Progress | None = None,
) -> bytes:
    """The bytes of an `.lgc` archive from which a like data set can be drawn.

    Args:
      pixels: uint8 (N, H, W) or (N, H, W, C).
      labels: integers (N,).
      config: see `Config`.
      key: typed PRNG key.
      progress: see `Progress`.

    Raises:
      InputError: images or labels that cannot be compressed.
    """
    checked = images.check(pixels, labels)
    key_train, key_fit = jax.random.split(key)
    latents = encode(checked.pixels, checked.classes, config, key_train, progress=progress)
    candidates = fit_candidates(latents.values, checked.classes, config, key_fit, progress=progress)
    mixtures = [select(each, config) for each in candidates]
    return archive.write(
        latents.decoder,
        mixtures,
        image_shape=checked.pixels.shape[1:],
        labels=checked.labels,
        counts=checked.counts,
        covariance=config.covariance,
        bits=config.bits,
    )


def decompress(
    data: bytes, *, per_class: int | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a data set from a file of any of `files.KINDS`; the same file and seed, the same bytes.

    Args:
      data: of the file.
      per_class: images of each class; None for as many as the original had (mixtures), or as are
        in the file (exemplars).
      seed: of the sampler.

    Returns:
      images uint8 (N, H, W, C) and labels int32 (N,), class by class.

    Raises:
      FormatError: not an undamaged archive.
    """
    return files.sample(data, per_class=per_class, seed=seed)


def encode(
    pixels: np.ndarray,
    classes: np.ndarray,
    config: Config,
    key: jax.Array,
    *,
    progress: Progress | None = None,
) -> Latents:
    """Train the autoencoder and encode every image.

    Args:
      pixels: uint8 (N, H, W, C).
      classes: int (N,), 0 to the number of classes - 1.
      config: see `Config`.
      key: typed PRNG key.
      progress: see `Progress`.
    """
    data = (jnp.asarray(pixels.reshape(len(pixels), -1)), jnp.asarray(classes, jnp.int32))
    variant = variants.build(
        config.variant, pixels.shape[1:], int(classes.max()) + 1, config.hidden, config.latent
    )
    key_params, key_run = jax.random.split(key)
    method, plan = training_run(variant, config, len(pixels))
    start = initialisation.begun(config.initialisation, key_params, variant.init(key_params))
    trained = fitting.in_parts(method, plan, key_run, start, data, progress=progress).params
    key_encode = jax.random.fold_in(key_run, plan.steps)
    values = fitting.latents(
        lambda key, flat, told: variant.encode(key, trained["encoder"], flat, told),
        key_encode,
        *data,
    )
    return standardise(values, trained["decoder"])


def training_run(variant: variants.Variant, config: Config, count: int) -> tuple[Any, loop.Plan]:
    """The method and plan that train on `count` images: (flat uint8 pixels, classes)."""

    def loss(key: jax.Array, params: Params, batch: tuple[jax.Array, jax.Array]):
        pixels, classes = batch
        return variant.loss(key, params, (pixels.astype(jnp.float32) / 255, classes))

    batch_size = min(config.batch_size, count)
    hyperparameters = gradient_descent.Hyperparameters(config.learning_rate)
    method = gradient_descent.build(gradient_descent.GradientDescentConfig(hyperparameters), loss)
    return method, loop.Plan(config.epochs * (count // batch_size), batch_size)


def standardise(values: np.ndarray, decoder: Params) -> Latents:
    """Drop dead dimensions, scale the others to unit variance, and tell the decoder."""
    shift = values.mean(axis=0, dtype=np.float64)
    scale = values.std(axis=0, dtype=np.float64)
    kept = np.flatnonzero(scale > _DEAD * scale.max(initial=0.0))
    if kept.size == 0:  # all images alike: one dimension that never moves
        kept, scale = np.array([0]), np.ones_like(scale)
    folded = architectures.fold_latents(
        decoder,
        jnp.asarray(shift, jnp.float32),
        jnp.asarray(scale, jnp.float32),
        jnp.asarray(kept),
    )
    standard = (values[:, kept] - shift[kept]) / scale[kept]
    return Latents(standard.astype(np.float32), jax.tree.map(np.asarray, folded))
