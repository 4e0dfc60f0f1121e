"""Compressing an image set: train an autoencoder, fit a mixture to each class, write the archive.

The pipeline of the latent-Gaussian-compression report. It compiles its own programs, since it is
what a user calls; everything inside is pure.

Differs from the report: latents are standardised and dead ones dropped, which the decoder's first
layer absorbs (`autoencoders.fold_latents`); covariances are stored once, symmetric and quantised;
K is the best of all K tried, not the last before the criterion first rises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coding import model_file, units
from lgc import archive, autoencoders, em, gmm, images, mixture_code
from lgc.mixture_code import ClassMixture, Covariance
from training import evaluation, gradient_descent, loop

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, what is done and what there is to do."""

_DEAD = 1e-6
"""Standard deviation, relative to the largest, below which a latent dimension is a constant."""


_SMALL_WORK = 20_000_000
"""Numbers in the padded latents times components in all; below it one program is faster."""


@dataclass(frozen=True)
class Config:
    """How to compress; the defaults are the report's where it has a choice to follow."""

    hidden: int = 128
    latent: int = 64
    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 1e-3
    components: int | None = None
    """Gaussians per class; None selects from 1 to `max_components` by `selection`."""
    max_components: int = 10
    selection: Literal["bic", "bytes"] = "bic"
    """BIC counts (log n)/2 nats for each parameter, "bytes" what it takes in this very file."""
    covariance: Covariance = "full"
    bits: archive.Bits = 8

    def __post_init__(self):
        for name in ("hidden", "latent", "epochs", "batch_size", "max_components"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        if self.components is not None and self.components < 1:
            raise ValueError(f"components is {self.components}; use 1 or more, or None to select")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate is {self.learning_rate}; use a number below 1")
        if self.covariance not in mixture_code.COVARIANCES:
            raise ValueError(
                f"covariance {self.covariance!r} is not one of {mixture_code.COVARIANCES}"
            )


class Latents(NamedTuple):
    """Standardised latents, and the decoder that takes them."""

    values: np.ndarray
    """float32 (N, d), zero mean and unit variance in each of the d live dimensions."""
    decoder: autoencoders.Params


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
    latents = encode(checked.pixels, config, key_train, progress=progress)
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
    """Draw a data set from an archive; the same archive and seed give the same bytes.

    Args:
      data: of an `.lgc` file.
      per_class: images of each class; None for as many as the original had.
      seed: of the sampler.

    Returns:
      images uint8 (N, H, W, C) and labels int32 (N,), class by class.

    Raises:
      FormatError: not an undamaged archive.
    """
    return archive.sample(archive.read(data), per_class=per_class, seed=seed)


def encode(
    pixels: np.ndarray, config: Config, key: jax.Array, *, progress: Progress | None = None
) -> Latents:
    """Train the autoencoder and encode every image."""
    flat = jnp.asarray(pixels.reshape(len(pixels), -1))
    autoencoder = autoencoders.dense(flat.shape[1], config.hidden, config.latent)
    key_params, key_run = jax.random.split(key)
    method, plan = training_run(autoencoder, config, len(pixels))
    params = autoencoder.init(key_params)
    carry = jax.jit(partial(loop.start, method, plan))(key_run, params, flat)
    advance = jax.jit(partial(loop.advance, method, plan), donate_argnums=0)
    per_epoch = plan.steps // config.epochs
    for epoch in range(config.epochs):
        carry = advance(carry, flat, epoch * per_epoch, (epoch + 1) * per_epoch)
        _report(progress, "training the autoencoder", epoch + 1, config.epochs)
    trained = loop.finish(method, carry).params
    encode_batch = partial(_encode_bytes, autoencoder, trained["encoder"])
    values = jax.jit(partial(evaluation.map_batches, encode_batch, batch_size=1_000))(flat)
    return standardise(np.asarray(values), trained["decoder"])


def training_run(
    autoencoder: autoencoders.Autoencoder, config: Config, count: int
) -> tuple[Any, loop.Plan]:
    """The method and plan that train an autoencoder on `count` flat uint8 images."""

    def loss(key: jax.Array, params: autoencoders.Params, batch: jax.Array):
        del key  # deterministic
        scaled = batch.astype(jnp.float32) / 255
        return autoencoders.reconstruction_mse(autoencoder, params, scaled), {}

    batch_size = min(config.batch_size, count)
    hyperparameters = gradient_descent.Hyperparameters(config.learning_rate)
    method = gradient_descent.build(gradient_descent.GradientDescentConfig(hyperparameters), loss)
    return method, loop.Plan(config.epochs * (count // batch_size), batch_size)


def standardise(values: np.ndarray, decoder: autoencoders.Params) -> Latents:
    """Drop dead dimensions, scale the others to unit variance, and tell the decoder."""
    shift = values.mean(axis=0, dtype=np.float64)
    scale = values.std(axis=0, dtype=np.float64)
    kept = np.flatnonzero(scale > _DEAD * scale.max(initial=0.0))
    if kept.size == 0:  # all images alike: one dimension that never moves
        kept, scale = np.array([0]), np.ones_like(scale)
    folded = autoencoders.fold_latents(
        decoder,
        jnp.asarray(shift, jnp.float32),
        jnp.asarray(scale, jnp.float32),
        jnp.asarray(kept),
    )
    standard = (values[:, kept] - shift[kept]) / scale[kept]
    return Latents(standard.astype(np.float32), jax.tree.map(np.asarray, folded))


class Candidates(NamedTuple):
    """The mixtures of one class for every number of components that was tried."""

    latents: np.ndarray
    """(n, d)."""
    mixtures: list[ClassMixture]
    bic: np.ndarray
    """One for each mixture, in nats; less is better."""
    usable: np.ndarray
    """Whether the fit ended with finite numbers."""


def fit_candidates(
    latents: np.ndarray,
    classes: np.ndarray,
    config: Config,
    key: jax.Array,
    *,
    progress: Progress | None = None,
) -> list[Candidates]:
    """Fit mixtures to the latents of every class with every number of components."""
    parts = [latents[classes == index] for index in range(int(classes.max()) + 1)]
    longest = max(map(len, parts))
    padded = np.stack([np.pad(part, ((0, longest - len(part)), (0, 0))) for part in parts])
    mask = np.arange(longest)[None] < np.array([[len(part)] for part in parts])
    most = min(config.max_components, min(map(len, parts)))
    tried = range(1, most + 1) if config.components is None else [config.components]
    fit_config = em.Config(kind=config.covariance, max_iterations=200)
    keys = [jax.random.fold_in(key, count) for count in tried]
    if _side_by_side(padded.size * sum(tried)):
        _report(progress, "fitting mixtures", 0, 1)
        counts = jnp.array(list(tried))
        side_by_side = replace(fit_config, n_components=max(tried))
        fitted = _fit_side_by_side(jnp.stack(keys), padded, mask, counts, config=side_by_side)
        fits = [jax.tree.map(lambda a, i=i: np.asarray(a[i]), fitted) for i in range(len(keys))]
        _report(progress, "fitting mixtures", 1, 1)
    else:
        fits = []
        for done, (count, each) in enumerate(zip(tried, keys, strict=True)):
            _report(progress, "fitting mixtures", done, len(keys))
            swept = _fit_one_count(each, padded, mask, config=fit_config, component_counts=(count,))
            fits.append(jax.tree.map(lambda a: np.asarray(a[:, 0]), tuple(swept)))
        _report(progress, "fitting mixtures", len(keys), len(keys))
    return [
        Candidates(
            part,
            [_plain(jax.tree.map(lambda a, i=i: a[i], fit[0]), config.covariance) for fit in fits],
            np.array([fit[2][i] for fit in fits]),
            np.array([fit[1].finite[i] for fit in fits]),
        )
        for i, part in enumerate(parts)
    ]


def _side_by_side(work: int) -> bool:
    """Whether to fit all classes and numbers of components in one program.

    Padding to the largest number and waiting for the slowest costs more arithmetic and one
    compilation instead of many: right for small data, and for an accelerator at any size.
    """
    return jax.default_backend() != "cpu" or work < _SMALL_WORK


_fit_one_count = jax.jit(em.sweep, static_argnames=("config", "component_counts"))


@partial(jax.jit, static_argnames="config")
def _fit_side_by_side(
    keys: jax.Array, samples: jax.Array, mask: jax.Array, counts: jax.Array, *, config: em.Config
) -> tuple[gmm.Mixture, em.FitInfo, jax.Array]:
    """Mixtures, infos and BIC with leading axes (numbers of components, classes)."""

    def one(key: jax.Array, part: jax.Array, used: jax.Array, count: jax.Array):
        mixture, info = em.fit(key, part, used, config, count)
        score = gmm.bic(config.kind, mixture, info.log_likelihood, jnp.sum(used))
        return mixture, info, score

    def one_count(key: jax.Array, count: jax.Array):
        class_keys = jax.random.split(key, len(samples))
        return jax.vmap(one, in_axes=(0, 0, 0, None))(class_keys, samples, mask, count)

    return jax.vmap(one_count)(keys, counts)


def select(candidates: Candidates, config: Config) -> ClassMixture:
    """The mixture with the shortest description, by BIC or by the bits it takes in the file."""
    if config.selection == "bic":
        scores = candidates.bic
    else:
        scores = np.array(
            [description_bits(candidates.latents, m, config) for m in candidates.mixtures]
        )
    return candidates.mixtures[int(np.argmin(np.where(candidates.usable, scores, np.inf)))]


def description_bits(latents: np.ndarray, mixture: ClassMixture, config: Config) -> float:
    """Bits of the latents under the mixture as it will be read back, and of the mixture's file.

    Two-part code: -log2 p(z | stored parameters), at a common precision of the latents that
    drops out of comparisons, plus 8 times the bytes of the packed parameters.
    """
    tensors = mixture_code.to_tensors(mixture, config.covariance)
    header, sections = model_file.pack(tensors, config.bits)
    stored = model_file.unpack(header, sections)
    weights = mixture_code.weights_to_integers(mixture.weights)
    means, factors = mixture_code.from_tensors(stored, mixture.weights)
    nats = -mixture_code.log_density(latents, mixture.weights, means, factors).sum()
    file_bytes = (
        sum(map(len, sections.values())) + len(header.get("tables", b"")) + 3 * len(weights)
    )
    return float(units.nats_to_bits(nats)) + 8 * file_bytes


def _plain(mixture: gmm.Mixture, kind: Covariance) -> ClassMixture:
    """A fitted mixture without its empty places."""
    used = np.asarray(mixture.mask)
    factors = np.asarray(mixture.factors, np.float64)
    if kind != "tied":
        factors = factors[used]
    if kind in ("full", "tied"):
        covariances = factors @ factors.swapaxes(-1, -2)
        covariances = covariances[0] if kind == "tied" else covariances
    else:
        covariances = factors**2
    weights = np.exp(np.asarray(mixture.log_weights, np.float64)[used])
    return ClassMixture(weights / weights.sum(), np.asarray(mixture.means)[used], covariances)


def _encode_bytes(
    autoencoder: autoencoders.Autoencoder, encoder: autoencoders.Params, batch: jax.Array
) -> jax.Array:
    return autoencoder.encode(encoder, batch.astype(jnp.float32) / 255)


def _report(progress: Progress | None, stage: str, done: int, total: int) -> None:
    if progress is not None:
        progress(stage, done, total)
