"""Compress an image set: train an autoencoder, fit a mixture to each class, write the archive.

The pipeline of "Latent Gaussian Compression: Dataset Compression and Reconstruction with
Autoencoders and Gaussian Mixture Models" (Zhao, Arihara, Tang and Webster). Differences: latents
are standardised and dead dimensions dropped, which the decoder's first layer absorbs
(`architectures.fold_latents`); covariances are stored once, symmetric and quantised; the number of
components is the best of all tried, not the last before the criterion first rises.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer, Key, Num, Shaped, UInt8
from numpy.typing import ArrayLike

from fewbits.coding import InputError
from fewbits.io.image_sets import forms
from fewbits.training import gradient_descent, loop
from lgc import archive
from lgc.arguments import check_config, typed_key
from lgc.autoencoders import architectures, fitting, initialisation, variants
from lgc.autoencoders.decoders import Params
from lgc.config import Config, Progress
from lgc.distillation.augmentation import MILD
from lgc.gmm.mixture_code import ClassMixture
from lgc.gmm.selection import Candidates, fit_candidates, select
from lgc.images import LabelledImages, check, own_form
from lgc.teachers import network, teacher_file, training
from lgc.teachers.mixing import Mixing

_DEAD = 1e-6
"""Standard deviation, relative to the largest, below which a latent dimension is a constant."""


class Latents(NamedTuple):
    """Standardised latents, and the decoder that takes them.

    Attributes:
      values: float32[N, d], zero mean and unit variance in each of the d live dimensions.
      decoder: its parameters.
    """

    values: np.ndarray
    decoder: Params


class Fitted(NamedTuple):
    """A model that `to_bytes` writes at any precision.

    Attributes:
      images: the checked training images.
      latents: of them, with their decoder.
      candidates: of each class, the mixtures of every number of components that was tried.
    """

    images: LabelledImages
    latents: Latents
    candidates: list[Candidates]

    def mixtures(self, config: Config) -> list[ClassMixture]:
        """The mixture of each class that `config.selection` selects."""
        return [select(each, config) for each in self.candidates]


def compress(
    images: Num[ArrayLike, "n height width *channels"],
    labels: Shaped[ArrayLike, " n *columns"],
    *,
    config: Config = Config(),  # noqa: B008
    key: Key[Array, ""] | None = None,
    progress: Progress | None = None,
) -> bytes:
    """Compress a labelled image set to a decoder and a Gaussian mixture of latents for each class.

    Trains an autoencoder on the images, fits p(z | y) = sum_k w_k N(z; m_k, C_k) to the latents of
    each class y by EM, and stores the decoder and the mixtures, quantised. `lgc.decompress` draws
    new images from them: the images themselves are not stored.

    "Latent Gaussian Compression: Dataset Compression and Reconstruction with Autoencoders and
    Gaussian Mixture Models" (Zhao, Arihara, Tang and Webster); differences are in the docstring of
    `lgc.compression`.

    Args:
      images: uint8, or any numbers, which are rounded to 256 levels; `lgc.decompress` gives images
        of the same dtype, unit and axes.
      labels: whole numbers, text, booleans, a column or one-hot, at least two images of each class;
        they come back as they are.
      config: see `Config`.
      key: typed PRNG key; None for `jax.random.key(0)`.
      progress: called with a stage's name, the work done and the work in all.

    Returns:
      The bytes of an `.lgc` archive.

    Raises:
      InputError: images or labels that cannot be compressed.

    Example:
      >>> import lgc, numpy as np
      >>> images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
      >>> config = lgc.Config(hidden=8, latent=2, epochs=1, components=1)
      >>> data = lgc.compress(images, np.arange(40) % 2, config=config)
      >>> len(data) < images.size
      True
    """
    check_config(config, Config)
    key = typed_key(key)
    levels, numbers, form = own_form(images, labels)
    width = 0
    if config.teacher_bytes:  # a wrong size is an error before the long fit
        n_classes = len(np.unique(numbers))
        width = network.width_for(levels.shape[1:], n_classes, config.teacher_bytes)
        if not width:
            raise InputError(
                f"no teacher takes as few as {config.teacher_bytes} bytes; use 1000, say"
            )
    fitted = fit(levels, numbers, config=config, key=key, progress=progress)
    data = to_bytes(fitted, config)
    if width:
        data = _with_teacher(data, fitted.images, width, config, key, progress)
    return forms.attach(data, form)


def _with_teacher(
    data: bytes,
    checked: LabelledImages,
    width: int,
    config: Config,
    key: Key[Array, ""] | None,
    progress: Progress | None,
) -> bytes:
    """The file with a teacher that is trained on all images."""
    key = jax.random.fold_in(typed_key(key), 2)
    heavy = Mixing(MILD, 25, 35)
    weights = training.train(
        key, checked.pixels, checked.classes, width, config.teacher_steps, ranges=MILD,
        progress=progress,
    )  # fmt: skip
    return teacher_file.attach(data, weights, heavy)


def fit(
    images: UInt8[np.ndarray, "n height width *channels"],
    labels: Integer[np.ndarray, " n"],
    *,
    config: Config = Config(),  # noqa: B008
    key: Key[Array, ""] | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Everything that `compress` trains, before it is quantised; arguments are those of it."""
    key = typed_key(key)
    checked = check(images, labels)
    key_train, key_fit = jax.random.split(key)
    latents = encode(checked.pixels, checked.classes, config, key_train, progress=progress)
    candidates = fit_candidates(latents.values, checked.classes, config, key_fit, progress=progress)
    return Fitted(checked, latents, candidates)


def to_bytes(fitted: Fitted, config: Config) -> bytes:
    """The archive of a fitted model; `selection`, `covariance` and `bits` of `config` are used."""
    return archive.write(
        fitted.latents.decoder,
        fitted.mixtures(config),
        image_shape=fitted.images.pixels.shape[1:],
        labels=fitted.images.labels,
        counts=fitted.images.counts,
        covariance=config.covariance,
        bits=config.bits,
    )


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
    start = initialisation.initialise(config.initialisation, key_params, variant.init(key_params))
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
    return method, loop.Plan(config.steps(count), batch_size)


def standardise(values: np.ndarray, decoder: Params) -> Latents:
    """Drop dead dimensions, scale the others to unit variance, and fold both into the decoder."""
    shift = values.mean(axis=0, dtype=np.float64)
    scale = values.std(axis=0, dtype=np.float64)
    live = np.flatnonzero(scale > _DEAD * scale.max(initial=0.0))
    if live.size == 0:  # all images are equal: one constant dimension
        live, scale = np.array([0]), np.ones_like(scale)
    folded = architectures.fold_latents(
        decoder,
        jnp.asarray(shift, jnp.float32),
        jnp.asarray(scale, jnp.float32),
        jnp.asarray(live),
    )
    standard = (values[:, live] - shift[live]) / scale[live]
    return Latents(standard.astype(np.float32), jax.tree.map(np.asarray, folded))
