"""The autoencoders of "Latent Gaussian Compression" (Zhao, Arihara, Tang and Webster).

Plain, variational and conditional, with and without a contrastive loss.

The plain ones are 784-128-64 and back; the variational ones have three hidden layers on each side,
and a head each for mean and log variance. All but one are dense: the convolutional one has a LeNet
for an encoder, and a decoder of fewer than half as many weights. The mixtures are fitted to what
`encode` gives: the latent vector, for the variational ones a sample of it, as published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from fewbits.training import networks
from fewbits.training.networks import Network
from lgc.autoencoders import architectures, decoders, objectives
from lgc.autoencoders.decoders import ImageShape, Params
from lgc.autoencoders.objectives import Form

Name = Literal[
    "ae", "contrastive_ae", "vae", "conditional_vae", "contrastive_vae", "convolutional_vae"
]
NAMES: tuple[Name, ...] = get_args(Name)

CONTRAST_WEIGHT = {"contrastive_ae": 0.1, "contrastive_vae": 20.0}
"""As published; beside a mean squared error, and beside nats per image."""
TEMPERATURE = 0.5
HIDDEN_LAYERS = 3
"""Of the variational encoders and decoders."""
CHANNELS = (16, 32)
"""Of the convolutional encoder."""


class Variant(NamedTuple):
    """Pure functions of one autoencoder; images are flat, with values in [0, 1].

    Attributes:
      init: key -> {"encoder": ..., "decoder": ...}.
      loss: (key, params, (images Float[n, pixels], classes Int[n])) -> (loss, aux).
      encode: (key, encoder parameters, images, classes) -> latents Float[n, d].
    """

    init: Callable[[jax.Array], Params]
    loss: Callable[[jax.Array, Params, Any], tuple[jax.Array, dict[str, jax.Array]]]
    encode: Callable[[jax.Array, Params, jax.Array, jax.Array], jax.Array]


def build(
    name: Name,
    image_shape: ImageShape,
    n_classes: int,
    hidden: int = 128,
    latent: int = 64,
    contrast: Form = "coded",
) -> Variant:
    """One of the variants.

    Args:
      name: see `NAMES`.
      image_shape: (height, width, channels).
      n_classes: K.
      hidden: width of every hidden layer.
      latent: numbers per image, without the class that the conditional one adds.
      contrast: which form of the contrastive loss.

    Raises:
      ValueError: no such variant.
    """
    if name not in NAMES:
        raise ValueError(f"no variant {name!r}; known are {', '.join(NAMES)}")
    weight = CONTRAST_WEIGHT.get(name, 0.0)
    if name in ("ae", "contrastive_ae"):
        height, width, channels = image_shape
        return _plain(height * width * channels, hidden, latent, weight, contrast)
    conditional = n_classes if name == "conditional_vae" else 0
    layers = _convolutional if name == "convolutional_vae" else _dense
    return _variational(layers(image_shape, hidden, latent, conditional), weight, contrast)


def _plain(pixels: int, hidden: int, latent: int, weight: float, contrast: Form) -> Variant:
    autoencoder = architectures.dense(pixels, hidden, latent)

    def loss(key, params, batch):
        del key  # deterministic
        images, classes = batch
        latents = autoencoder.encode(params["encoder"], images)
        error = objectives.squared_error(autoencoder.decode(params["decoder"], latents), images)
        if not weight:
            return error, {}
        pulled = objectives.supervised_contrastive(latents, classes, TEMPERATURE, contrast)
        return error + weight * pulled, {"squared_error": error, "contrast": pulled}

    def encode(key, encoder, images, classes):
        del key, classes
        return autoencoder.encode(encoder, images)

    return Variant(autoencoder.init, loss, encode)


class _Layers(NamedTuple):
    """What a variational autoencoder is made of."""

    image_shape: ImageShape
    trunk: Network
    """Features Float[n, hidden], before their ReLU."""
    heads: Network
    """Mean and log variance, side by side."""
    init_decoder: Callable[[jax.Array], Params]
    conditional: int
    """Classes appended, one-hot, to images and latents; 0 for none."""


def _dense(image_shape: ImageShape, hidden: int, latent: int, conditional: int) -> _Layers:
    pixels = image_shape[0] * image_shape[1] * image_shape[2]
    sizes = [hidden] * HIDDEN_LAYERS
    return _Layers(
        image_shape,
        networks.mlp((pixels + conditional, *sizes)),
        networks.mlp((hidden, 2 * latent)),
        lambda key: decoders.init_dense(key, latent + conditional, sizes, pixels),
        conditional,
    )


def _convolutional(image_shape: ImageShape, hidden: int, latent: int, conditional: int) -> _Layers:
    lenet = networks.lenet_5_caffe(image_shape, hidden, (*CHANNELS, hidden))

    def features(params: Params, flat: jax.Array) -> jax.Array:
        return lenet.apply(params, flat.reshape(len(flat), *image_shape))

    return _Layers(
        image_shape,
        Network(lenet.init, features),
        networks.mlp((hidden, 2 * latent)),
        lambda key: decoders.init_convolutional(key, latent, image_shape),
        conditional,
    )


def _variational(layers: _Layers, weight: float, contrast: Form) -> Variant:
    trunk, heads, conditional = layers.trunk, layers.heads, layers.conditional

    def init(key: jax.Array) -> Params:
        key_trunk, key_heads, key_decoder = jax.random.split(key, 3)
        return {
            "encoder": {"trunk": trunk.init(key_trunk), "heads": heads.init(key_heads)},
            "decoder": layers.init_decoder(key_decoder),
        }

    def with_class(values: jax.Array, classes: jax.Array) -> jax.Array:
        if not conditional:
            return values
        one_hot = jax.nn.one_hot(classes, conditional, dtype=values.dtype)
        return jnp.concatenate([values, one_hot], axis=1)

    def posterior(encoder, images, classes):
        features = jax.nn.relu(trunk.apply(encoder["trunk"], with_class(images, classes)))
        mean, log_variance = jnp.split(heads.apply(encoder["heads"], features), 2, axis=1)
        return mean, log_variance

    def drawn(key, mean, log_variance):
        return mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)

    def loss(key, params, batch):
        images, classes = batch
        key_latent, key_contrast = jax.random.split(key)
        mean, log_variance = posterior(params["encoder"], images, classes)
        latents = with_class(drawn(key_latent, mean, log_variance), classes)
        decoded = decoders.decode(params["decoder"], latents, layers.image_shape)
        entropy = objectives.cross_entropy(decoded, images)
        kl = objectives.gaussian_kl(mean, log_variance)
        parts = {"cross_entropy": entropy, "kl": kl}
        if not weight:
            return entropy + kl, parts
        second = drawn(key_contrast, mean, log_variance)
        pulled = objectives.supervised_contrastive(second, classes, TEMPERATURE, contrast)
        return entropy + kl + weight * pulled, {**parts, "contrast": pulled}

    def encode(key, encoder, images, classes):
        mean, log_variance = posterior(encoder, images, classes)
        return with_class(drawn(key, mean, log_variance), classes)

    return Variant(init, loss, encode)
