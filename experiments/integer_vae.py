"""The autoencoder of `experiments.image_vae` in whole numbers, and images coded with it.

Whoever decodes must compute the very distributions that the encoder used. Floating point does not
promise that from one machine to another, so here weights, activations and odds are whole numbers:
matrix products of whole numbers below 2^53 are exact in float64 in whatever order they are summed,
activations are rounded after each layer, and frequencies come from integer tables.

Images are coded in rows, one image for each lane: choose latents with the posterior (bits back),
encode the pixels given the latents, encode the latents under the prior. Decoding undoes that in
reverse, and what remains is the payload that the first row borrowed from.
"""

from __future__ import annotations

import decimal
import functools
from typing import Any, NamedTuple

import numpy as np

from coding import FormatError, bits_back, container, entropy_coder, shared_tables, tables, units
from coding.integer_normal import NormalBins, quantiles
from coding.lane_stack import PRECISION, LaneStack
from coding.wire import ByteReader
from experiments import image_vae
from experiments.image_vae import GREYS, LARGEST_LOG_SCALE, SMALLEST_LOG_SCALE

KIND = "integer_vae"
ACTIVATION_BITS = 10
"""Activations are in units of 2^-10."""
_LATENT_BINS = 1 << 12
_SHADE_STEPS = 16
_SHADE_BITS = 14
_ODDS_STEPS = 64
_ODDS_BITS = 16
_SCALE_STEPS = 64
_SIDE = 28


class Layer(NamedTuple):
    """One layer: (x @ kernel + bias) / 2^shift, in whole numbers.

    Attributes:
      kernel: int64[..., inputs, outputs].
      bias: int64[outputs], already in units of 2^-(10 + shift).
      shift: the kernel is in units of 2^-shift.
    """

    kernel: np.ndarray
    bias: np.ndarray
    shift: int


class IntegerVae(NamedTuple):
    """The model that both sides hold.

    Attributes:
      layers: by name.
      shades: int64[n_shades, 256], how far each grey value's log probability lies below the
        histogram's largest, in sixteenths of a nat.
    """

    layers: dict[str, Layer]
    shades: np.ndarray

    @property
    def n_latents(self) -> int:
        """Numbers in z."""
        return self.layers["decoder1"].kernel.shape[0]


def quantise(params: Any, bits: int) -> IntegerVae:
    """A trained model with kernels of at most `bits` bits, steps being powers of two."""
    layers = {}
    for name, layer in params.items():
        if name == "shades":
            continue
        kernel, bias = np.asarray(layer["kernel"]), np.asarray(layer["bias"])
        shift = bits - 1 - int(np.ceil(np.log2(np.abs(kernel).max())))
        limit = (1 << (bits - 1)) - 1
        whole = np.clip(np.rint(kernel * 2.0**shift), -limit, limit).astype(np.int64)
        # Biases are kept in units of 2^-8: fine enough, and few bytes.
        coarse = np.rint(bias * 2.0**8).astype(np.int64)
        layers[name] = Layer(whole, coarse, shift)
    logits = np.asarray(params["shades"]["logits"], np.float64)
    below = logits.max(axis=1, keepdims=True) - logits
    shades = np.rint(below * _SHADE_STEPS).astype(np.int64)
    return IntegerVae(layers, np.minimum(shades, 16 * _SHADE_STEPS))


def write(model: IntegerVae) -> bytes:
    """The model as a file."""
    names = sorted(model.layers)
    arrays = [part for n in names for part in (model.layers[n].kernel, model.layers[n].bias)]
    arrays.append(np.diff(model.shades, axis=1, prepend=0))
    numbers, fitted = shared_tables.fit(arrays)
    header = {
        "layers": {n: [model.layers[n].shift, *model.layers[n].kernel.shape] for n in names},
        "shades": model.shades.shape[0],
        "numbers": bytes(numbers),
        "tables": b"".join(one.code for one in fitted),
    }
    streams = [
        entropy_coder.SymbolStream(array, fitted[number].table)
        for array, number in zip(arrays, numbers, strict=True)
    ]
    return container.write_archive(KIND, header, {"symbols": entropy_coder.encode(streams)})


def read(data: bytes) -> IntegerVae:
    """The inverse of `write`.

    Raises:
      FormatError: not an undamaged model file.
    """
    archive = container.read_archive(data, kind=KIND)
    try:
        header = archive.header
        known = shared_tables.read(ByteReader(header["tables"], "header"))
        shapes = {name: tuple(shape) for name, (_, *shape) in header["layers"].items()}
        parts = [part for name in sorted(shapes) for part in (shapes[name], shapes[name][-1:])]
        parts.append((header["shades"], GREYS))
        plan = [
            entropy_coder.StreamPlan(int(np.prod(shape)), known[number])
            for shape, number in zip(parts, header["numbers"], strict=True)
        ]
        decoded = entropy_coder.decode(archive.sections["symbols"], plan)
        arrays = [a.reshape(s).astype(np.int64) for a, s in zip(decoded, parts, strict=True)]
        layers = {
            name: Layer(arrays[2 * i], arrays[2 * i + 1], header["layers"][name][0])
            for i, name in enumerate(sorted(shapes))
        }
        return IntegerVae(layers, np.cumsum(arrays[-1], axis=1))
    except FormatError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FormatError(f"not a model of this kind: {error}", "header") from error


def posterior(model: IntegerVae, pixels: np.ndarray) -> list[NormalBins]:
    """q(z|x) in bins of equal prior mass: one row of m distributions for each latent.

    Args:
      model: see `IntegerVae`.
      pixels: uint8[m, 28, 28, 1].
    """
    x = pixels.astype(np.float64) * (1 << ACTIVATION_BITS - 8)
    outputs = image_vae.encoder(_affine(model), x).astype(np.int64)
    mean, log_scale = np.split(outputs, 2, axis=1)
    lowest, highest = (int(v * _SCALE_STEPS) for v in (SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE))
    step = np.clip(log_scale >> ACTIVATION_BITS - 6, lowest, highest) - lowest
    inverse = _inverse_scales()[step]
    edges, _ = _latent_bins()
    shifted = mean << 16 - ACTIVATION_BITS
    return [NormalBins(edges, shifted[:, i], inverse[:, i]) for i in range(model.n_latents)]


def pixel_odds(model: IntegerVae, bins: np.ndarray) -> np.ndarray:
    """Weights of the histograms at each pixel, int64[m, 784, n_shades], for latents int64[m, n]."""
    _, centres = _latent_bins()
    latents = (centres[bins] >> 16 - ACTIVATION_BITS).astype(np.float64)
    logits = image_vae.decoder(_affine(model), latents).astype(np.int64)
    logits = logits.reshape(bins.shape[0], _SIDE * _SIDE, -1)
    below = (logits.max(axis=-1, keepdims=True) - logits) * _ODDS_STEPS >> ACTIVATION_BITS
    table = _exponentials(_ODDS_STEPS, _ODDS_BITS)
    return table[np.minimum(below, table.size - 1)]


def shade_counts(model: IntegerVae) -> np.ndarray:
    """Cumulative counts of the histograms, int64[257, n_shades], each ending at 2^14."""
    table = _exponentials(_SHADE_STEPS, 24)
    columns = []
    for below in model.shades:
        weights = table[np.clip(below, 0, table.size - 1)]
        counts = tables.expand(weights, minimum=0, precision=_SHADE_BITS).counts
        columns.append(np.concatenate([[0], np.cumsum(counts)]))
    return np.stack(columns, axis=1)


def encode(model: IntegerVae, pixels: np.ndarray, n_lanes: int, payload: bytes) -> LaneStack:
    """Codes all images, row by row, each row `n_lanes` images.

    Args:
      model: see `IntegerVae`.
      pixels: uint8[count, 28, 28, 1].
      n_lanes: images side by side; the last row may be shorter.
      payload: what the first row borrows from; it comes back at the end of decoding.

    Raises:
      FormatError: the payload is too short.
    """
    stack = LaneStack(n_lanes, payload)
    counts, prior = shade_counts(model), _prior()
    for first in range(0, len(pixels), n_lanes):
        row = pixels[first : first + n_lanes]
        latents = [bits_back.choose(stack, one) for one in posterior(model, row)]
        odds = pixel_odds(model, np.stack(latents, axis=1))
        values = row.reshape(len(row), -1).astype(np.int64)
        start = _below(odds, counts, values)
        size = _below(odds, counts, values + 1) - start
        for pixel in range(values.shape[1]):
            stack.push(start[:, pixel], size[:, pixel])
        for bins in latents:
            stack.push(bins * prior, np.full(bins.size, prior))
    return stack


def decode(model: IntegerVae, stack: LaneStack, count: int) -> np.ndarray:
    """The inverse of `encode`: uint8[count, 28, 28, 1]; `stack.payload()` is then the payload.

    Raises:
      FormatError: the stack does not hold so many images.
    """
    counts, prior = shade_counts(model), _prior()
    pixels = np.zeros((count, _SIDE, _SIDE, 1), np.uint8)
    for first in reversed(range(0, count, stack.n_lanes)):
        row = pixels[first : first + stack.n_lanes]
        latents = []
        for _ in range(model.n_latents):
            bins = stack.peek(len(row)) // prior
            stack.pop(bins * prior, np.full(bins.size, prior))
            latents.append(bins)
        latents.reverse()
        odds = pixel_odds(model, np.stack(latents, axis=1))
        flat = row.reshape(len(row), -1)
        for pixel in reversed(range(flat.shape[1])):
            here = odds[:, pixel]
            below = functools.partial(_below, here, counts)
            flat[:, pixel] = stack.pop_indices(below, GREYS, len(row))
        pairs = list(zip(posterior(model, row), latents, strict=True))
        for one, bins in reversed(pairs):
            bits_back.refund(stack, one, bins)
    return pixels


def ideal_bits(model: IntegerVae, pixels: np.ndarray, rng: np.random.Generator) -> float:
    """What coding more images would cost, by sampling: pixels given latents, plus prior minus q."""
    total = 0.0
    counts = shade_counts(model)
    for first in range(0, len(pixels), 100):
        row = pixels[first : first + 100]
        latents = []
        for one in posterior(model, row):
            stack = LaneStack(len(row), rng.bytes(8 * len(row)))
            before = stack.size_bits
            latents.append(bits_back.choose(stack, one))
            total += len(row) * units.log2(np.float64(_LATENT_BINS)) + stack.size_bits - before
        odds = pixel_odds(model, np.stack(latents, axis=1))
        values = row.reshape(len(row), -1).astype(np.int64)
        size = _below(odds, counts, values + 1) - _below(odds, counts, values)
        total += float((PRECISION - units.log2(size.astype(np.float64))).sum())
    return total


def _affine(model: IntegerVae) -> image_vae.Affine:
    """The layers in whole numbers, as float64 that are whole."""

    def affine(name: str, x: np.ndarray) -> np.ndarray:
        layer = model.layers[name]
        kernel = layer.kernel.astype(np.float64)
        if kernel.ndim == 4 and kernel.shape[0] > 1:
            x = _patches(x, kernel.shape[0])
        total = x @ kernel.reshape(-1, kernel.shape[-1])
        bias = layer.bias * 2.0 ** (ACTIVATION_BITS + layer.shift - 8)
        return np.floor((total + np.floor(bias)) * 2.0**-layer.shift + 0.5)

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


def _below(odds: np.ndarray, counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Cumulative count, of 2^28, of the grey values below `values`: strictly increasing.

    Args:
      odds: int64[..., n_shades].
      counts: `shade_counts`.
      values: int64[...], 0 to 256.
    """
    mixed = (odds * counts[values]).sum(axis=-1)
    whole = odds.sum(axis=-1) << _SHADE_BITS
    return mixed * ((1 << PRECISION) - GREYS) // whole + values


def _prior() -> int:
    return (1 << PRECISION) // _LATENT_BINS


@functools.cache
def _latent_bins() -> tuple[np.ndarray, np.ndarray]:
    """Inner edges and centres of bins with equal mass under N(0, 1), in units of 2^-16."""
    edges = quantiles(np.arange(1, _LATENT_BINS), _LATENT_BINS)
    centres = quantiles(2 * np.arange(_LATENT_BINS) + 1, 2 * _LATENT_BINS)
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
