"""Archives of random halves of one pool: the targets of an attack and its shadows."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.io.datasets import Images
from fewbits.training import loop, sweep
from lgc import archive, compression
from lgc.autoencoders import architectures, variants
from lgc.autoencoders.decoders import ImageShape
from lgc.config import Config as Compression
from lgc.gmm import selection

_DEAD = 1e-6
"""Standard deviation, relative to the largest, below which a latent dimension is a constant."""


class Pool(NamedTuple):
    """Images of which every archive holds half: equally many of each class, class by class.

    Attributes:
      pixels: uint8[n, height, width, channels].
      classes: int32[n], ascending.
      n_classes: of the data set.
    """

    pixels: np.ndarray
    classes: np.ndarray
    n_classes: int

    @property
    def flat(self) -> np.ndarray:
        """uint8[n, height * width * channels]."""
        return self.pixels.reshape(len(self.pixels), -1)


def make_pool(images: Images, per_class: int) -> Pool:
    """The first `per_class` images of every class.

    Raises:
      ValueError: an odd number, or more than a class has.
    """
    n_classes = len(images.label_names)
    fewest = np.bincount(images.labels, minlength=n_classes).min()
    if per_class < 4 or per_class % 2 or per_class > fewest:
        raise ValueError(f"per_class is {per_class}; use an even number from 4 to {fewest}")
    rows = [np.flatnonzero(images.labels == label)[:per_class] for label in range(n_classes)]
    chosen = np.concatenate(rows)
    return Pool(images.pixels[chosen], images.labels[chosen], n_classes)


class _Archive(NamedTuple):
    """What differs between archives."""

    number: jax.Array | np.ndarray
    members: jax.Array | np.ndarray
    """Int[members], rows of the pool."""


class _Trained(NamedTuple):
    decoder: Any
    latents: jax.Array
    finite: jax.Array


def mixtures(
    pool: Pool,
    halves: np.ndarray,
    config: Compression,
    seed: int,
    runs_per_chunk: int | None = 1,
    progress: Any = None,
) -> list[bytes]:
    """Archives of mixtures; all their autoencoders are one sweep.

    Args:
      pool: see there.
      halves: bool[archives, n], which images an archive is made of.
      config: with a fixed number of components, so that all archives have the same shape.
      seed: of initialisation, training and fits.
      runs_per_chunk: autoencoders trained side by side: one is fastest on a CPU, None takes as
        many as fit in memory.
      progress: called with (stage, done, total).
    """
    members = np.stack([np.flatnonzero(half) for half in halves])
    points = _Archive(np.arange(len(halves), dtype=np.int32), members.astype(np.int32))
    trained: _Trained = sweep(
        partial(_train, config, pool.pixels.shape[1:], pool.n_classes),
        points,
        (seed,),
        (pool.flat, pool.classes),
        runs_per_chunk=runs_per_chunk,
        progress=None if progress is None else partial(progress, "training autoencoders"),
    )
    made = []
    for number, rows in enumerate(members):
        if not trained.finite[number, 0]:
            raise ValueError(f"the autoencoder of archive {number} did not stay finite")
        decoder = jax.tree.map(lambda leaf, n=number: leaf[n, 0], trained.decoder)
        latents, classes = np.asarray(trained.latents[number, 0]), pool.classes[rows]
        key_fit = jax.random.fold_in(jax.random.key(seed), number)
        made.append(_archive(latents, decoder, classes, pool, config, key_fit))
        if progress is not None:
            progress("fitting mixtures", number + 1, len(members))
    return made


def _train(
    config: Compression, image_shape: ImageShape, n_classes: int, key: jax.Array, point: _Archive,
    pool: Any,
) -> _Trained:  # fmt: skip
    pixels, classes = pool
    data = (pixels[point.members], classes[point.members])
    variant = variants.build(config.variant, image_shape, n_classes, config.hidden, config.latent)
    method, plan = compression.training_run(variant, config, point.members.shape[0])
    key_params, key_run, key_encode = jax.random.split(jax.random.fold_in(key, point.number), 3)
    result = loop.run(method, plan, key_run, variant.init(key_params), data)
    scaled = data[0].astype(jnp.float32) / 255
    latents = variant.encode(key_encode, result.params["encoder"], scaled, data[1])
    return _Trained(result.params["decoder"], latents, result.finite)


def _archive(
    latents: np.ndarray, decoder: Any, classes: np.ndarray, pool: Pool, config: Compression,
    key: jax.Array,
) -> bytes:  # fmt: skip
    """Unlike `compression.standardise`, dead dimensions stay: one program serves all archives."""
    shift, scale = latents.mean(axis=0), latents.std(axis=0)
    scale = np.where(scale > _DEAD * scale.max(), scale, 1).astype(np.float32)
    every = jnp.arange(len(shift))
    folded = architectures.fold_latents(decoder, jnp.asarray(shift), jnp.asarray(scale), every)
    standard = (latents - shift) / scale
    candidates = selection.fit_candidates(standard, classes, config, key)
    return archive.write(
        jax.tree.map(np.asarray, folded),
        [each.mixtures[0] for each in candidates],
        image_shape=pool.pixels.shape[1:],
        labels=range(pool.n_classes),
        counts=np.bincount(classes, minlength=pool.n_classes).tolist(),
        covariance=config.covariance,
        bits=config.bits,
    )
