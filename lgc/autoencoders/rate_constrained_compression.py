"""Compress an image set by rate-constrained joint training of decoder and mixtures.

As `compression`, with `rate_constrained` in place of an autoencoder, mixtures fitted afterwards and
a fixed number of bits. Parameters are quantised during training as they are in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import InputError
from fewbits.training import loop, networks, sweep
from fewbits.training.method import Key, Method, Params
from lgc import archive, images
from lgc.arguments import typed_key
from lgc.autoencoders import fitting, rate_constrained
from lgc.autoencoders.rate_constrained import Hyperparameters, RateConstrainedConfig
from lgc.config import Progress
from lgc.gmm import label_mixture
from lgc.images import LabelledImages

_FEATURES = 64
"""Outputs of the feature networks."""
_LEAST_SIDE = 8
"""Of the images of the feature networks."""


@dataclass(frozen=True)
class Config:
    """How a file is made.

    Attributes:
      steps: of training, on a cosine to zero.
      batch_size: real images a step.
      latent: numbers per image.
      components: Gaussians per class.
      widths: channels of the decoder; see `decoders.init_convolutional`.
      decoder_bits: of the grid of the decoder's kernels.
      features_width: channels of the feature networks.
      temperature: the mixtures' standard deviations are multiplied by it; costs no bytes.
      hyperparameters: of `rate_constrained`; `bits_weight` is lambda.
    """

    steps: int = 6_000
    batch_size: int = 100
    latent: int = 12
    components: int = 4
    widths: tuple[int, int, int] = (16, 16, 8)
    decoder_bits: int = 4
    features_width: int = 16
    temperature: float = 1.0
    hyperparameters: Hyperparameters = Hyperparameters()

    def __post_init__(self):
        for name in ("steps", "batch_size", "latent", "components", "features_width"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; use 1 or more")
        if not 2 <= self.decoder_bits <= 16:
            raise InputError(f"decoder_bits is {self.decoder_bits}; use 2 to 16")
        if not 0 < self.temperature <= 10:
            raise InputError(f"temperature is {self.temperature}; use a number up to 10, about 1")


def compress(
    pixels: np.ndarray,
    labels: np.ndarray,
    *,
    config: Config = Config(),  # noqa: B008
    key: Key | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The bytes of an `.lgc` archive whose decoder and mixtures were trained jointly.

    Args:
      pixels: uint8 (N, H, W) or (N, H, W, C), sides of at least 8.
      labels: integers (N,).
      config: see `Config`.
      key: typed PRNG key; None for `jax.random.key(0)`.
      progress: see `lgc.config.Progress`.

    Raises:
      InputError: images or labels that cannot be compressed; a training that did not stay finite.
    """
    key = typed_key(key)
    checked = images.check(pixels, labels)
    method, plan, start = training(config, checked)
    key_params, key_run = jax.random.split(key)
    data = (jnp.asarray(checked.pixels), jnp.asarray(checked.classes, jnp.int32))
    result = fitting.in_parts(
        method, plan, key_run, start(key_params), data,
        stage="training decoder and mixtures", progress=progress,
    )  # fmt: skip
    return write(result.params, config, checked)


def compress_each(
    pixels: np.ndarray,
    labels: np.ndarray,
    bits_weights: Sequence[float],
    *,
    config: Config = Config(),  # noqa: B008
    seed: int = 0,
    runs_per_chunk: int | None = None,
) -> list[bytes]:
    """Archives at several weights of the bits, trained in one program: bytes against accuracy.

    Args:
      pixels: uint8 (N, H, W) or (N, H, W, C), sides of at least 8.
      labels: integers (N,).
      bits_weights: lambda of each archive, in place of the config's.
      config: see `Config`.
      seed: of all of them.
      runs_per_chunk: trainings side by side; as many as fit in memory if not given.

    Raises:
      InputError: images or labels that cannot be compressed; a training that did not stay finite.
    """
    checked = images.check(pixels, labels)
    method, plan, start = training(config, checked)

    def one(key: Key, point: Hyperparameters, arrays: Any) -> loop.Result:
        key_params, key_run = jax.random.split(key)
        result = loop.run(method, plan, key_run, start(key_params), arrays, point)
        return result._replace(state=None)

    chosen = config.hyperparameters._replace(bits_weight=jnp.array(bits_weights))
    points = jax.tree.map(
        lambda value: jnp.broadcast_to(jnp.float32(value), len(bits_weights)), chosen
    )
    arrays = (checked.pixels, checked.classes.astype(np.int32))
    found = sweep(one, points, (seed,), arrays, runs_per_chunk=runs_per_chunk)
    if not np.all(found.finite):
        raise InputError(f"a training of seed {seed} did not stay finite; lower learning_rate")
    return [
        write(jax.tree.map(lambda leaf, i=i: leaf[i, 0], found.params), config, checked)
        for i in range(len(bits_weights))
    ]


def training(config: Config, checked: LabelledImages) -> tuple[Method, loop.Plan, Any]:
    """Method, plan and starting parameters (a function of a key), all to be traced.

    Data are (pixels uint8[N, H, W, C], classes int32[N]); `fewbits.training.sweep` can run over
    lambda. A `utility_weight` of 0 in the config leaves the utility out of the program, and with it
    most of the work: no sweep brings it back.

    Raises:
      InputError: images too small.
    """
    shape = checked.pixels.shape[1:]
    if min(shape[:2]) < _LEAST_SIDE:
        raise InputError(f"images of {shape[:2]}; each side needs {_LEAST_SIDE} pixels or more")
    model = _model(config, checked)
    features = None
    if config.hyperparameters.utility_weight != 0:
        features = networks.convnet(shape, _FEATURES, config.features_width)
    plan = loop.Plan(config.steps, min(config.batch_size, len(checked.classes)))
    method = rate_constrained.build(model, features, config.steps)
    return method, plan, lambda key: rate_constrained.init_params(key, model)


def write(params: Params, config: Config, checked: LabelledImages) -> bytes:
    """The archive that holds trained parameters.

    Args:
      params: that a run of `training` ended with.
      config: see `Config`.
      checked: the image set.
    """
    model = _model(config, checked)
    mixtures = [
        each._replace(covariances=config.temperature**2 * each.covariances)
        for each in label_mixture.class_mixtures(params["mixture"])
    ]
    return archive.write(
        jax.tree.map(np.asarray, params["decoder"]),
        mixtures,
        image_shape=checked.pixels.shape[1:],
        labels=checked.labels,
        counts=checked.counts,
        covariance="diagonal",
        bits=lambda path, tensor: model.bits(path),
    )


def _model(config: Config, checked: LabelledImages) -> RateConstrainedConfig:
    plain = RateConstrainedConfig(checked.pixels.shape[1:], len(checked.labels))
    return replace(
        plain,
        latent=config.latent,
        components=config.components,
        widths=config.widths,
        decoder_bits=config.decoder_bits,
        synthetic=max(plain.synthetic, 5 * len(checked.labels)),
        hyperparameters=config.hyperparameters,
    )
