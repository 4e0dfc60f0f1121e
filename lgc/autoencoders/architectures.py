"""Autoencoders: images to latent vectors and back.

The archive holds a decoder only, so encoder and decoder parameters are separate. `fold_latents`
folds an affine map of the latents into the decoder's first layer, where it takes no bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from lgc.autoencoders.decoders import Params, decode_dense


class Autoencoder(NamedTuple):
    """Pure functions of one autoencoder; images are flat, with values in [0, 1].

    Attributes:
      init: key -> {"encoder": ..., "decoder": ...}.
      encode: (encoder parameters, images Float[n, pixels]) -> latents Float[n, latent].
      decode: (decoder parameters, latents Float[n, latent]) -> images Float[n, pixels] in (0, 1).
    """

    init: Callable[[jax.Array], Params]
    encode: Callable[[Params, jax.Array], jax.Array]
    decode: Callable[[Params, jax.Array], jax.Array]


class _DenseEncoder(nn.Module):
    """pixels - hidden - ReLU - latent - ReLU; the last ReLU is as published."""

    hidden: int
    latent: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        hidden = nn.relu(nn.Dense(self.hidden, name="hidden")(images))
        return nn.relu(nn.Dense(self.latent, name="latent")(hidden))


class _DenseDecoder(nn.Module):
    """latent - hidden - ReLU - pixels; only initialised, see `decoders.decode_dense`."""

    hidden: int
    pixels: int

    @nn.compact
    def __call__(self, latents: jax.Array) -> jax.Array:
        hidden = nn.relu(nn.Dense(self.hidden, name="hidden")(latents))
        return nn.Dense(self.pixels, name="pixels")(hidden)


def dense(pixels: int, hidden: int = 128, latent: int = 64) -> Autoencoder:
    """The plain autoencoder of "Latent Gaussian Compression": 784-128-64 and back on MNIST.

    Args:
      pixels: values per image, H * W * C.
      hidden: width of the one hidden layer on each side.
      latent: width of the latent layer.
    """
    encoder = _DenseEncoder(hidden, latent)
    decoder = _DenseDecoder(hidden, pixels)

    def init(key: jax.Array) -> Params:
        key_encoder, key_decoder = jax.random.split(key)
        return {
            "encoder": encoder.init(key_encoder, jnp.zeros((1, pixels)))["params"],
            "decoder": decoder.init(key_decoder, jnp.zeros((1, latent)))["params"],
        }

    def encode(params: Params, images: jax.Array) -> jax.Array:
        return encoder.apply({"params": params}, images)  # pyright: ignore[reportReturnType]

    return Autoencoder(init, encode, decode_dense)


def fold_latents(decoder: Params, shift: jax.Array, scale: jax.Array, live: jax.Array) -> Params:
    """The decoder that takes u instead of z, where z[live] = shift[live] + scale[live] * u.

    Other dimensions are taken to be constant at `shift`, which is exact for dead
    ReLU latents. Standardised latents quantise better and dead ones are not stored; the map
    itself costs no bytes, since it disappears into the first layer:
    W u-row = scale * W z-row, b' = b + shift W.

    Args:
      decoder: parameters of a decoder that `decoders.check` accepts.
      shift: (latent,) mean of each dimension.
      scale: (latent,) standard deviation of each dimension.
      live: (m,) indices of the dimensions that stay.
    """
    name = "hidden" if "hidden" in decoder else "seed"
    first = decoder[name]
    return {
        **decoder,
        name: {
            "kernel": scale[live, None] * first["kernel"][live],
            "bias": first["bias"] + shift @ first["kernel"],
        },
    }
