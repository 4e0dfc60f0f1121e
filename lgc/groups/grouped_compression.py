"""Compress images with known groups: train layers, fit class mixtures, write the file.

As `compression`, for data in which class and background are correlated; see `grouped`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer, Key, UInt8

from fewbits.training import gradient_descent, loop
from lgc import archive
from lgc.arguments import typed_key
from lgc.autoencoders import decoders, fitting
from lgc.autoencoders.variants import Variant
from lgc.config import Config as Mixtures
from lgc.config import Progress
from lgc.gmm import selection
from lgc.groups import grouped
from lgc.groups.grouped import Architecture
from lgc.images import check, check_groups


@dataclass(frozen=True)
class Config:
    """How an archive of groups is made.

    Attributes:
      architecture: of the networks.
      steps: of training, on a cosine to zero.
      batch_size: images a step.
      learning_rate: of Adam.
      equal_share: share of the training images that are drawn from all groups equally, the others
        in their original proportions: separates a foreground from its class's usual background.
      mixtures: covariance, components, selection and bits of each stored parameter; other fields
        are ignored.
    """

    architecture: Architecture = Architecture()
    steps: int = 4_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    equal_share: float = 0.3
    mixtures: Mixtures = Mixtures(components=16)

    def __post_init__(self):
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        if not 0 <= self.equal_share <= 1:
            raise ValueError(f"equal_share is {self.equal_share}; use a share from 0 to 1")


class Compressed(NamedTuple):
    """An archive, and what pictures of its decoder need.

    Attributes:
      data: of the file.
      reconstruct: (pixels uint8[n, height, width, channels], groups Int[n], numbered from 0) ->
        images of the same type: through encoder and decoder, as trained.
    """

    data: bytes
    reconstruct: Callable[[np.ndarray, np.ndarray], np.ndarray]


def compress(
    images: UInt8[np.ndarray, "n height width *channels"],
    labels: Integer[np.ndarray, " n"],
    groups: Integer[np.ndarray, " n"],
    *,
    config: Config = Config(),  # noqa: B008
    key: Key[Array, ""] | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Compress a labelled image set with known groups.

    Args:
      images: uint8, 0 to 255.
      labels: any integers that fit int32, at least two images of each value.
      groups: integers, the kind of background of each image; at least two values.
      config: see `Config`.
      key: typed PRNG key; None for `jax.random.key(0)`.
      progress: called with a stage's name, the work done and the work in all.

    Raises:
      InputError: images, labels or groups that cannot be compressed.
    """
    key = typed_key(key)
    checked = check(images, labels)
    names, members = check_groups(groups, checked.classes)
    key_params, key_run, key_encode, key_fit, key_mix = jax.random.split(key, 5)
    shape = checked.pixels.shape[1:]
    behind = grouped.backgrounds(checked.pixels, checked.classes, members)
    variant = grouped.build(config.architecture, shape, behind)
    both = len(names) * checked.classes + members
    rows = _mixed(both, config.equal_share, np.asarray(jax.random.key_data(key_mix)))
    shown = (checked.pixels[rows], members[rows])
    params = _train(variant, shown, config, key_params, key_run, progress)
    latents = _encode(variant, params, checked.pixels, members, key_encode)
    candidates = selection.fit_candidates(
        latents, checked.classes, config.mixtures, key_fit, progress=progress
    )
    data = archive.write(
        jax.tree.map(np.asarray, params["decoder"]),
        [selection.select(each, config.mixtures) for each in candidates],
        image_shape=shape,
        labels=checked.labels,
        counts=np.bincount(both, minlength=len(names) * len(checked.labels)).tolist(),
        covariance=config.mixtures.covariance,
        bits=config.mixtures.bits,
        groups=names,
    )

    def reconstruct(pixels: np.ndarray, groups: np.ndarray) -> np.ndarray:
        codes = jnp.asarray(_encode(variant, params, pixels, groups, key_encode))
        joined = jnp.concatenate([codes, jax.nn.one_hot(groups, len(names))], axis=1)
        decoded = decoders.decode(params["decoder"], joined, shape)
        return np.asarray(jnp.round(255 * decoded).astype(jnp.uint8)).reshape(-1, *shape)

    return Compressed(data, reconstruct)


def equal_groups(groups: np.ndarray, size: int, seed: int | np.ndarray) -> np.ndarray:
    """int64[size]: rows in random order that name each group equally often, to within one.

    Images of a group that is smaller than its share are repeated.

    Args:
      groups: int[n].
      size: of what is returned.
      seed: whatever `numpy.random.default_rng` takes.
    """
    rng = np.random.default_rng(seed)
    present = rng.permutation(np.unique(groups))
    rows = []
    for place, group in enumerate(present):
        share = size // len(present) + (place < size % len(present))
        members = np.flatnonzero(groups == group)
        epochs = [rng.permutation(members) for _ in range(-(-share // len(members)))]
        rows.append(np.concatenate([*epochs, members[:0]])[:share])
    return rng.permutation(np.concatenate(rows))


def _mixed(groups: np.ndarray, equal_share: float, seed: np.ndarray) -> np.ndarray:
    size = len(groups)
    equal = equal_groups(groups, round(equal_share * size), seed)
    plain = np.random.default_rng(seed).permutation(size)[: size - len(equal)]
    return np.concatenate([plain, equal])


def _train(
    variant: Variant,
    shown: tuple[np.ndarray, np.ndarray],
    config: Config,
    key_params: jax.Array,
    key_run: jax.Array,
    progress: Progress | None,
) -> Any:
    def loss(key: jax.Array, params: Any, batch: tuple[jax.Array, jax.Array]):
        pixels, groups = batch
        return variant.loss(key, params, (pixels.astype(jnp.float32) / 255, groups))

    hyperparameters = gradient_descent.Hyperparameters(config.learning_rate)
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(hyperparameters),
        loss,
        gradient_descent.falling_adam(config.steps),
    )
    pixels, groups = shown
    plan = loop.Plan(config.steps, min(config.batch_size, len(groups)))
    data = (jnp.asarray(pixels.reshape(len(groups), -1)), jnp.asarray(groups))
    start = variant.init(key_params)
    return fitting.in_parts(method, plan, key_run, start, data, progress=progress).params


def _encode(
    variant: Variant, params: Any, pixels: np.ndarray, groups: np.ndarray, key: jax.Array
) -> np.ndarray:
    return fitting.latents(
        lambda key, flat, told: variant.encode(key, params["encoder"], flat, told),
        key,
        jnp.asarray(pixels.reshape(len(groups), -1)),
        jnp.asarray(groups),
    )
