"""A small variational autoencoder of grey images, the model that bits-back coding uses.

Latents z ~ N(0, 1); posterior N(mean, scale^2) from an encoder; every pixel is a mixture of
`n_shades` histograms over the 256 grey values, the same histograms everywhere, mixed in proportions
that the decoder gives for that pixel. Only convolutions with stride 1, ReLU and rearrangements of
pixels occur, so that `fewbits.codecs.latent_images.integer_vae` can evaluate it in whole numbers.

`python -m fewbits.codecs.latent_images.image_vae FOLDER` trains on a machine that has only JAX and
optax.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.io import datasets
from fewbits.io.outputs import open_output
from fewbits.training import evaluation, gradient_descent, loop
from fewbits.training.method import Key
from fewbits.training.models.convolution import conv2d
from fewbits.training.trees import from_named, named_leaves

GREY_LEVELS = 256
LARGEST_LOG_SCALE = 2.0
SMALLEST_LOG_SCALE = -5.0
_WARM_UP_STEPS = 300

Affine = Callable[[str, Any], Any]
"""(layer's name, activations) -> convolution with SAME padding or matrix product, plus bias."""


@dataclass(frozen=True)
class Config:
    """Sizes of the model and of its training; images are 28 x 28.

    Attributes:
      n_latents: numbers in the latent vector.
      n_shades: histograms over grey levels that a pixel's distribution is mixed from.
      wide: channels of the decoder's 3 x 3 convolutions, each on blocks of 4 x 4 pixels.
      medium: channels of the encoder's.
      narrow: channels between the latents and the convolutions.
      batch_size: images per step.
      epochs: passes through the training set.
      learning_rate: of Adam after a short warm-up; a cosine takes it to zero.
    """

    n_latents: int = 32
    n_shades: int = 12
    wide: int = 64
    medium: int = 48
    narrow: int = 16
    batch_size: int = 50
    epochs: int = 12
    learning_rate: float = 2e-3


class Posterior(NamedTuple):
    """q(z|x).

    Attributes:
      mean: Float[batch, n_latents].
      log_scale: Float[batch, n_latents], natural logarithm of the standard deviation.
    """

    mean: jax.Array
    log_scale: jax.Array


def init(config: Config, key: Key) -> Any:
    """Parameters: nested dicts of kernels and biases, and the histograms' logits."""
    n, medium, wide, narrow = config.n_latents, config.medium, config.wide, config.narrow
    layers = {
        "encoder1": (3, 3, 16, medium),
        "encoder2": (3, 3, medium, medium),
        "encoder3": (1, 1, medium, narrow),
        "encoder4": (49 * narrow, 2 * n),
        "decoder1": (n, 49 * narrow),
        "decoder2": (1, 1, narrow, medium),
        "decoder3": (3, 3, medium, wide),
        "decoder4": (3, 3, wide, wide),
        "decoder5": (1, 1, wide, 16 * config.n_shades),
    }
    params: dict[str, Any] = {}
    for (name, shape), one in zip(layers.items(), jax.random.split(key, len(layers)), strict=True):
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        kernel = scale * jax.random.normal(one, shape)
        params[name] = {"kernel": kernel, "bias": jnp.zeros(shape[-1])}
    # Latents start almost without noise: from noisy ones some seeds never learn to use any.
    log_scales = jnp.full(n, -2.0)
    params["encoder4"]["bias"] = jnp.concatenate([jnp.zeros(n), log_scales])
    # The first histogram starts as black, the others as bumps from dark to white.
    centres = np.linspace(0, GREY_LEVELS - 1, config.n_shades - 1)
    grey = np.arange(GREY_LEVELS)
    bumps = -np.abs(grey - centres[:, None]) * config.n_shades / GREY_LEVELS
    black = np.where(grey == 0, 8.0, 0.0)
    logits = np.concatenate([black[None], bumps])
    params["shades"] = {"logits": jnp.asarray(logits, jnp.float32)}
    return params


def encode(params: Any, pixels: jax.Array) -> Posterior:
    """q(z|x) for UInt8[batch, 28, 28, 1]."""
    outputs = encoder(_affine(params), pixels.astype(jnp.float32) / 256)
    mean, log_scale = jnp.split(outputs, 2, axis=-1)
    return Posterior(mean, jnp.clip(log_scale, SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE))


def decode(params: Any, latents: jax.Array) -> jax.Array:
    """Logits of the mixtures, Float[batch, 28, 28, n_shades], for Float[batch, n_latents]."""
    return decoder(_affine(params), latents)


def encoder(affine: Affine, x: Any) -> Any:
    """Pixels [batch, 28, 28, 1] to means and log scales [batch, 2 n_latents], in any arithmetic."""
    x = relu(affine("encoder1", gather_pixels(gather_pixels(x))))
    x = relu(affine("encoder2", x))
    x = relu(affine("encoder3", x))
    return affine("encoder4", x.reshape(x.shape[0], -1))


def decoder(affine: Affine, x: Any) -> Any:
    """Latents [batch, n_latents] to logits [batch, 28, 28, n_shades], in any arithmetic."""
    x = relu(affine("decoder1", x))
    x = relu(affine("decoder2", x.reshape(x.shape[0], 7, 7, -1)))
    x = relu(affine("decoder3", x))
    x = relu(affine("decoder4", x))
    return spread_pixels(spread_pixels(affine("decoder5", x)))


def negative_elbo(key: Key, params: Any, pixels: jax.Array) -> jax.Array:
    """-log p(x|z) + KL(q(z|x) || p(z)) for one sample of z, nats, Float[batch]."""
    posterior = encode(params, pixels)
    noise = jax.random.normal(key, posterior.mean.shape)
    logits = decode(params, posterior.mean + jnp.exp(posterior.log_scale) * noise)
    mixture = jax.nn.log_softmax(logits)
    shades = jax.nn.log_softmax(params["shades"]["logits"])
    likelihood = jax.nn.logsumexp(mixture + shades.T[pixels[..., 0]], axis=-1)
    variance = jnp.exp(2 * posterior.log_scale)
    divergence = 0.5 * (variance + jnp.square(posterior.mean) - 1) - posterior.log_scale
    return divergence.sum(axis=-1) - likelihood.sum(axis=(1, 2))


def train(
    config: Config, key: Key, pixels: jax.Array, log_points: int = 20
) -> tuple[Any, jax.Array, jax.Array]:
    """Parameters, the loss's log in nats per image, and whether all stayed finite; traceable."""
    steps = config.epochs * (pixels.shape[0] // config.batch_size)
    warm_up = min(_WARM_UP_STEPS, steps // 10)
    decay = optax.warmup_cosine_decay_schedule(0.0, 1.0, warm_up, steps)

    def loss(key: Key, params: Any, batch: jax.Array):
        return negative_elbo(key, params, batch).mean(), {}

    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(
            gradient_descent.Hyperparameters(config.learning_rate)
        ),
        loss,
        lambda rate: optax.chain(
            optax.clip_by_global_norm(200.0),
            optax.adam(rate),
            optax.scale_by_schedule(decay),
        ),
    )
    key_params, key_run = jax.random.split(key)
    plan = loop.Plan(steps, config.batch_size, log_points=log_points)
    result = loop.run(method, plan, key_run, init(config, key_params), pixels)
    return result.params, result.log.loss_nats, result.finite


def bits_per_dimension(params: Any, key: Key, pixels: jax.Array) -> jax.Array:
    """Mean negative ELBO of images, in bits per pixel."""
    keys = jax.random.split(key, pixels.shape[0])
    nats = evaluation.map_batches(
        lambda batch: jax.vmap(lambda k, x: negative_elbo(k, params, x[None])[0])(*batch),
        (keys, pixels),
        500,
    )
    return nats.mean() / (pixels[0].size * np.log(2))


def relu(x: Any) -> Any:
    """max(x, 0) in any array library."""
    return x * (x > 0)


def gather_pixels(x: Any) -> Any:
    """Two by two pixels as channels of one: [batch, h, w, c] -> [batch, h/2, w/2, 4 c]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // 2, width // 2, 4 * channels)


def spread_pixels(x: Any) -> Any:
    """The inverse of `gather_pixels`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, channels // 4)


def _affine(params: Any) -> Affine:
    """The layers in floating point."""

    def affine(name: str, x: jax.Array) -> jax.Array:
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        linear = x @ kernel if kernel.ndim == 2 else conv2d(x, kernel)
        return linear + bias.reshape((1,) * (linear.ndim - 1) + (-1,))

    return affine


class Trained(NamedTuple):
    """One model and what is known of it.

    Attributes:
      params: float32.
      test_bits_per_dimension: negative ELBO of the test images, one sample of z each.
      seconds: of training, with its compilation.
      device: that it was trained on.
    """

    params: Any
    test_bits_per_dimension: float
    seconds: float
    device: str


def save(path: Path, model: Trained) -> None:
    """One model in an npz, whole or not there."""
    arrays = {f"params/{name}": leaf for name, leaf in named_leaves(model.params).items()}
    known: Any = {name: np.array(value) for name, value in model._asdict().items()}
    known.pop("params")
    with open_output(path, force=True) as file:
        np.savez(file, **arrays, **known)


def load(path: Path) -> Trained:
    """What `save` wrote.

    Raises:
      DataError: no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            tree = from_named({name: stored[name] for name in stored})
    except OSError as error:
        raise datasets.DataError(f"no trained autoencoder: {error}") from error
    known = {name: value.item() for name, value in tree.items() if name != "params"}
    return Trained(params=tree["params"], **known)


def train_seeds(
    config: Config,
    seeds: tuple[int, ...],
    train_pixels: np.ndarray,
    test_pixels: np.ndarray,
    folder: Path,
    report: Callable[[str], None] = lambda line: None,
) -> list[Trained]:
    """One model for each seed, through one compiled program; those in the folder are cached.

    Raises:
      DataError: the folder holds models of another config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note, content = folder / "config.json", json.dumps(asdict(config), indent=1) + "\n"
    if note.exists() and note.read_text() != content:
        raise datasets.DataError(f"{folder} holds models of another config: name a new folder")
    note.write_text(content)
    program = jax.jit(lambda key, pixels: train(config, key, pixels))
    score = jax.jit(bits_per_dimension)
    data, test = jnp.asarray(train_pixels), jnp.asarray(test_pixels)
    for seed in seeds:
        path = folder / f"seed{seed}.npz"
        if path.exists():
            continue
        began = time.perf_counter()
        params, log, finite = jax.block_until_ready(program(jax.random.key(seed), data))
        seconds = time.perf_counter() - began
        bits = float(score(params, jax.random.key(seed + 1), test))
        save(path, Trained(params, bits, seconds, jax.devices()[0].device_kind))
        nats = ", ".join(f"{value:.0f}" for value in np.asarray(log)[::4])
        report(
            f"seed {seed}: {seconds:.0f} s, nats {nats}; {bits:.4f} bits/dim on the test "
            f"set, finite {bool(finite)}"
        )
    return [load(folder / f"seed{seed}.npz") for seed in seeds]


def main(arguments: list[str]) -> int:
    """`FOLDER [--seeds 0 1 2] [--epochs 12]`."""
    parser = argparse.ArgumentParser(prog="python -m fewbits.codecs.latent_images.image_vae")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--epochs", type=int, default=Config().epochs)
    parser.add_argument("--data-dir")
    options = parser.parse_args(arguments)
    config = replace(Config(), epochs=options.epochs)

    def report(line: str) -> None:
        print(line, flush=True)

    try:
        images = [
            datasets.load("mnist", split, data_dir=options.data_dir) for split in ("train", "test")
        ]
        pixels = [one.pixels for one in images]
        train_seeds(config, tuple(options.seeds), pixels[0], pixels[1], options.folder, report)
    except datasets.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
