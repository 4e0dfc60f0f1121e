"""Images as bits on a stack, by bits-back coding with the model of `integer_vae`.

Images are coded in rows, one image for each stream: choose latents with the posterior (bits back),
encode the pixels given the latents, encode the latents under the prior. Decoding undoes that in
reverse, and what remains is the payload that the first row borrowed from.
"""

from __future__ import annotations

import functools

import numpy as np

from fewbits.codecs.latent_images.image_vae import GREY_LEVELS
from fewbits.codecs.latent_images.integer_vae import (
    LATENT_BINS,
    SHADE_BITS,
    SIDE,
    IntegerVae,
    pixel_odds,
    posterior,
    shade_counts,
)
from fewbits.coding import units
from fewbits.coding.bits_back import bits_back
from fewbits.coding.bits_back.stream_stack import PRECISION, StreamStack

_PRIOR = (1 << PRECISION) // LATENT_BINS


def encode(model: IntegerVae, pixels: np.ndarray, n_streams: int, payload: bytes) -> StreamStack:
    """Codes all images, row by row, each row `n_streams` images.

    Args:
      model: see `IntegerVae`.
      pixels: uint8[count, 28, 28, 1].
      n_streams: images side by side; the last row may be shorter.
      payload: what the first row borrows from; it comes back at the end of decoding.

    Raises:
      FormatError: the payload is too short.
    """
    stack = StreamStack(n_streams, payload)
    counts = shade_counts(model)
    for first in range(0, len(pixels), n_streams):
        row = pixels[first : first + n_streams]
        latents = [bits_back.choose(stack, one) for one in posterior(model, row)]
        odds = pixel_odds(model, np.stack(latents, axis=1))
        values = row.reshape(len(row), -1).astype(np.int64)
        start = below(odds, counts, values)
        size = below(odds, counts, values + 1) - start
        for pixel in range(values.shape[1]):
            stack.push(start[:, pixel], size[:, pixel])
        for bins in latents:
            stack.push(bins * _PRIOR, np.full(bins.size, _PRIOR))
    return stack


def decode(model: IntegerVae, stack: StreamStack, count: int) -> np.ndarray:
    """The inverse of `encode`: uint8[count, 28, 28, 1]; `stack.payload()` is then the payload.

    Raises:
      FormatError: the stack does not hold so many images.
    """
    counts = shade_counts(model)
    pixels = np.zeros((count, SIDE, SIDE, 1), np.uint8)
    for first in reversed(range(0, count, stack.n_streams)):
        row = pixels[first : first + stack.n_streams]
        latents = []
        for _ in range(model.sizes.n_latents):
            bins = stack.peek(len(row)) // _PRIOR
            stack.pop(bins * _PRIOR, np.full(bins.size, _PRIOR))
            latents.append(bins)
        latents.reverse()
        odds = pixel_odds(model, np.stack(latents, axis=1))
        flat = row.reshape(len(row), -1)
        for pixel in reversed(range(flat.shape[1])):
            cumulative = functools.partial(below, odds[:, pixel], counts)
            flat[:, pixel] = stack.pop_indices(cumulative, GREY_LEVELS, len(row))
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
            stack = StreamStack(len(row), rng.bytes(8 * len(row)))
            before = stack.size_bits
            latents.append(bits_back.choose(stack, one))
            total += len(row) * units.log2(np.float64(LATENT_BINS)) + stack.size_bits - before
        odds = pixel_odds(model, np.stack(latents, axis=1))
        values = row.reshape(len(row), -1).astype(np.int64)
        size = below(odds, counts, values + 1) - below(odds, counts, values)
        total += float((PRECISION - units.log2(size.astype(np.float64))).sum())
    return total


def below(odds: np.ndarray, counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Cumulative count, of 2^28, of the grey values below `values`: strictly increasing.

    Args:
      odds: int64[..., n_shades].
      counts: `shade_counts`.
      values: int64[...], 0 to 256.
    """
    mixed = (odds * counts[values]).sum(axis=-1)
    whole = odds.sum(axis=-1) << SHADE_BITS
    return mixed * ((1 << PRECISION) - GREY_LEVELS) // whole + values
