"""The autoencoder of `fewbits.codecs.latent_images.image_vae` in whole numbers.

Whoever decodes must compute the very distributions that the encoder used. Floating point does not
promise that from one machine to another, so here weights, activations and odds are whole numbers.
Matrix products of whole numbers are exact in float64, in whatever order they are summed, while
every partial sum stays below 2^53; the limits below see to that for all that `vae_file` accepts:

    6272 inputs * 2^20 (activation) * 2^15 (kernel) + 2^20 * 2^26 (bias) < 2^49.

Activations are rounded and clipped after each layer, and frequencies come from integer tables.
"""

from __future__ import annotations

import decimal
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fewbits.codecs.latent_images import image_vae
from fewbits.codecs.latent_images.image_vae import LARGEST_LOG_SCALE, SMALLEST_LOG_SCALE
from fewbits.coding import tables
from fewbits.coding.bits_back.integer_normal import NormalBins, quantiles

ACTIVATION_BITS = 10
"""Activations are in units of 2^-10."""
LATENT_BINS = 1 << 12
_SHADE_STEPS = 16
SHADE_BITS = 14
_ODDS_STEPS = 64
_ODDS_BITS = 16
_SCALE_STEPS = 64
SIDE = 28
_ACTIVATION_LIMIT = 1 << 20
KERNEL_LIMIT = (1 << 15) - 1
BIAS_LIMIT = 1 << 20
MAX_SHIFT = 24
SHADE_LIMIT = 16 * _SHADE_STEPS
_BATCH = 16


class Sizes(NamedTuple):
    """What the shapes of all layers follow from; see `image_vae.Config`.

    Attributes:
      n_latents: numbers in the latent vector.
      n_shades: histograms over grey levels.
      wide: channels of the decoder's 3 x 3 convolutions.
      medium: channels of the encoder's.
      narrow: channels between the latents and the convolutions.
    """

    n_latents: int
    n_shades: int
    wide: int
    medium: int
    narrow: int


class Layer(NamedTuple):
    """One layer: (x @ kernel + bias) / 2^shift, in whole numbers.

    Attributes:
      kernel: int32[..., inputs, outputs], at most 2^15 - 1 in magnitude.
      bias: int32[outputs], in units of 2^-8, at most 2^20 in magnitude.
      shift: 0 to 24; the kernel is in units of 2^-shift.
    """

    kernel: np.ndarray
    bias: np.ndarray
    shift: int


class IntegerVae(NamedTuple):
    """The model that both sides hold.

    Attributes:
      layers: by name, those of `layer_shapes`.
      shades: int32[n_shades, 256], how far each grey value's log probability lies below the
        histogram's largest, in sixteenths of a nat; 0 to 256.
    """

    layers: dict[str, Layer]
    shades: np.ndarray

    @property
    def sizes(self) -> Sizes:
        """What the shapes follow from."""
        outputs = {name: layer.kernel.shape[-1] for name, layer in self.layers.items()}
        return Sizes(
            n_latents=outputs["encoder4"] // 2,
            n_shades=self.shades.shape[0],
            wide=outputs["decoder3"],
            medium=outputs["encoder1"],
            narrow=outputs["encoder3"],
        )


def layer_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Shape of every layer's kernel, in the order of the file; `image_vae.init` has the same."""
    n_latents, n_shades, wide, medium, narrow = sizes
    return {
        "decoder1": (n_latents, 49 * narrow),
        "decoder2": (1, 1, narrow, medium),
        "decoder3": (3, 3, medium, wide),
        "decoder4": (3, 3, wide, wide),
        "decoder5": (1, 1, wide, 16 * n_shades),
        "encoder1": (3, 3, 16, medium),
        "encoder2": (3, 3, medium, medium),
        "encoder3": (1, 1, medium, narrow),
        "encoder4": (49 * narrow, 2 * n_latents),
    }


def quantise(params: Any, bits: int) -> IntegerVae:
    """A trained model with kernels of at most `bits` bits, steps being powers of two.

    Args:
      params: of `image_vae.init`.
      bits: 2 to 16.

    Raises:
      ValueError: weights that are not finite or beyond the format's limits.
    """
    layers = {}
    for name, layer in params.items():
        if name == "shades":
            continue
        kernel, bias = np.asarray(layer["kernel"], np.float64), np.asarray(layer["bias"])
        reach = float(np.abs(kernel).max(initial=2.0**-MAX_SHIFT))
        if not (reach < 1 << bits - 1 and np.abs(bias).max(initial=0) < BIAS_LIMIT >> 8):
            raise ValueError(f"{name}: weights up to {reach} do not fit {bits} bits")
        shift = min(bits - 1 - math.ceil(math.log2(reach)), MAX_SHIFT)
        limit = (1 << (bits - 1)) - 1
        whole = np.clip(np.rint(kernel * 2.0**shift), -limit, limit).astype(np.int32)
        # Biases are kept in units of 2^-8: fine enough, and few bytes.
        layers[name] = Layer(whole, np.rint(bias * 2.0**8).astype(np.int32), shift)
    logits = np.asarray(params["shades"]["logits"], np.float64)
    below = logits.max(axis=1, keepdims=True) - logits
    shades = np.minimum(np.rint(below * _SHADE_STEPS), SHADE_LIMIT)
    return IntegerVae(layers, shades.astype(np.int32))


def posterior(model: IntegerVae, pixels: np.ndarray) -> list[NormalBins]:
    """q(z|x) in bins of equal prior mass: one row of m distributions for each latent.

    Args:
      model: see `IntegerVae`.
      pixels: uint8[m, 28, 28, 1].
    """
    x = pixels.astype(np.float64) * (1 << ACTIVATION_BITS - 8)
    outputs = _in_batches(functools.partial(image_vae.encoder, _affine(model)), x).astype(np.int64)
    mean, log_scale = np.split(outputs, 2, axis=1)
    lowest, highest = (int(v * _SCALE_STEPS) for v in (SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE))
    step = np.clip(log_scale >> ACTIVATION_BITS - 6, lowest, highest) - lowest
    inverse = _inverse_scales()[step]
    edges, _ = latent_bins()
    shifted = mean << 16 - ACTIVATION_BITS
    return [NormalBins(edges, shifted[:, i], inverse[:, i]) for i in range(mean.shape[1])]


def pixel_odds(model: IntegerVae, bins: np.ndarray) -> np.ndarray:
    """Weights of the histograms at each pixel, int64[m, 784, n_shades], for latents int64[m, n]."""
    _, centres = latent_bins()
    latents = (centres[bins] >> 16 - ACTIVATION_BITS).astype(np.float64)
    table = _exponentials(_ODDS_STEPS, _ODDS_BITS)

    def odds(latents: np.ndarray) -> np.ndarray:
        logits = image_vae.decoder(_affine(model), latents).astype(np.int64)
        logits = logits.reshape(latents.shape[0], SIDE * SIDE, -1)
        below = (logits.max(axis=-1, keepdims=True) - logits) * _ODDS_STEPS >> ACTIVATION_BITS
        return table[np.minimum(below, table.size - 1)]

    return _in_batches(odds, latents)


def shade_counts(model: IntegerVae) -> np.ndarray:
    """Cumulative counts of the histograms, int64[257, n_shades], each ending at 2^14."""
    table = _exponentials(_SHADE_STEPS, 24)
    columns = []
    for below in model.shades:
        weights = table[np.minimum(below, table.size - 1)]
        counts = tables.expand(weights, minimum=0, precision=SHADE_BITS).counts
        columns.append(np.concatenate([[0], np.cumsum(counts)]))
    return np.stack(columns, axis=1)


def _in_batches(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """A function of images applied to a few at a time, so that memory stays bounded."""
    return np.concatenate([function(x[i : i + _BATCH]) for i in range(0, len(x), _BATCH)])


def _affine(model: IntegerVae) -> image_vae.Affine:
    """The layers in whole numbers, as float64 that are whole."""

    def affine(name: str, x: np.ndarray) -> np.ndarray:
        layer = model.layers[name]
        kernel = layer.kernel.astype(np.float64)
        if kernel.ndim == 4 and kernel.shape[0] > 1:
            x = _patches(x, kernel.shape[0])
        total = x @ kernel.reshape(-1, kernel.shape[-1])
        bias = layer.bias * 2.0 ** (ACTIVATION_BITS + layer.shift - 8)
        rounded = np.floor((total + bias) * 2.0**-layer.shift + 0.5)
        return np.clip(rounded, -_ACTIVATION_LIMIT, _ACTIVATION_LIMIT)

    return affine


def _patches(x: np.ndarray, size: int) -> np.ndarray:
    """The neighbourhood of each pixel as its channels, zeros beyond the border."""
    margin = size // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = x.shape[1:3]
    return np.concatenate(
        [padded[:, i : i + height, j : j + width] for i in range(size) for j in range(size)],
        axis=-1,
    )


@functools.cache
def latent_bins() -> tuple[np.ndarray, np.ndarray]:
    """Inner edges and centres of bins with equal mass under N(0, 1), in units of 2^-16."""
    edges = quantiles(np.arange(1, LATENT_BINS), LATENT_BINS)
    centres = quantiles(2 * np.arange(LATENT_BINS) + 1, 2 * LATENT_BINS)
    return edges, centres


@functools.cache
def _inverse_scales() -> np.ndarray:
    """2^16 / scale for every log scale from the smallest to the largest, in steps of 1/64."""
    lowest, highest = (int(v * _SCALE_STEPS) for v in (SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE))
    with decimal.localcontext(decimal.Context(prec=40)):
        values = [
            int((decimal.Decimal(-step) / _SCALE_STEPS).exp() * (1 << 16))
            for step in range(lowest, highest + 1)
        ]
    return np.array(values, np.int64)


@functools.cache
def _exponentials(steps: int, bits: int) -> np.ndarray:
    """floor(exp(-k / steps) 2^bits) for k = 0, 1, ... while it is not zero, then one zero."""
    values = []
    with decimal.localcontext(decimal.Context(prec=40)):
        ratio = (decimal.Decimal(-1) / steps).exp()
        value = decimal.Decimal(1 << bits)
        while value >= 1:
            values.append(int(value))
            value *= ratio
    return np.array([*values, 0], np.int64)
