"""Files of distilled images: quantised low-resolution images, an upsampler, an augmentation.

A file of kind "exemplars" holds images downsampled and quantised like those of a `lossy_subset`
and, beside them, what makes a training set of any size of them: an upsampler trained on the whole
image set, and ranges of augmentation. Without an upsampler the images are interpolated, so a lossy
subset is a special case. The names in the header are those of the first version of the format.

The stored images are recognisable training images or close to them: such a file is not private.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import Archive, container, write_archive
from fewbits.coding.weights import model_file
from fewbits.training import evaluation
from fewbits.training.method import Params
from lgc.distillation import quantised_images, upsampler
from lgc.distillation.augmentation import (
    NONE,
    Augmentation,
    augment_jitted,
    augmented_set,
    blurred,
)
from lgc.distillation.augmentation import check as check_augmentation
from lgc.distillation.quantised_images import QuantisedImages

KIND = "exemplars"
Batch = tuple[np.ndarray, np.ndarray]
"""Images uint8[n, height, width, channels] and labels int32[n]."""
_PREFIX = "enlarger_"
"""Of the names of the upsampler's sections."""
_UPSAMPLER, _AUGMENTATION = _PREFIX.removesuffix("_"), "moves"
"""Entries of the header, which have the names of the first version of the format."""
_BATCH = 1000


class Contents(NamedTuple):
    """A decoded file.

    Attributes:
      images: quantised low-resolution images.
      upsampler: its weights as stored; None for interpolation.
      augmentation: of images drawn from the file.
    """

    images: QuantisedImages
    upsampler: Params | None
    augmentation: Augmentation


def write(contents: Contents, bits: Any = 4) -> bytes:
    """The bytes of a file.

    Args:
      contents: the upsampler at any precision.
      bits: of each of its tensors; see `fewbits.coding.weights.model_file`.
    """
    header, pixels = quantised_images.pack(contents.images)
    ranges = list(contents.augmentation)
    given = contents.augmentation
    left_out = 0 if given.blur else 1 if given.brightness else 2
    header[_AUGMENTATION] = ranges[: len(ranges) - left_out]
    sections = {"pixels": pixels}
    if contents.upsampler is not None:
        header[_UPSAMPLER], packed = model_file.pack(contents.upsampler, bits, prefix=_PREFIX)
        sections |= packed
    return write_archive(KIND, header, sections)


def on_grid(params: Params, bits: int) -> Params:
    """An upsampler's weights as a file gives them back."""
    return model_file.quantise(params, bits)


def read(data: bytes) -> Contents:
    """Decode a file.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    return container.read_contents(data, KIND, _contents)


def upsampled(images: QuantisedImages, params: Params | None) -> np.ndarray:
    """The images at full resolution, uint8[n, height, width, channels]."""
    if params is None:
        return images.interpolated()
    draw = partial(_upsample, images.shape, params)
    return np.asarray(
        jax.jit(partial(evaluation.map_batches, draw, batch_size=_BATCH))(images.grey_levels())
    )


def batches(contents: Contents, batch_size: int, seed: int) -> Iterator[Batch]:
    """Endless batches of augmented images; see `lgc.stream`.

    Args:
      contents: a decoded file.
      batch_size: images of a batch.
      seed: of the order and the augmentation.
    """
    stored, key = contents.images, jax.random.key(seed)
    rng = np.random.default_rng(seed)
    upsample = jax.jit(partial(_upsample, stored.shape))
    rows = _balanced_rows(rng, stored.classes)
    for number in itertools.count():
        chosen = np.fromiter(itertools.islice(rows, batch_size), np.int64, batch_size)
        part = stored.subset(chosen)
        if contents.upsampler is None:
            found = upsampled(part, None)
        else:
            found = np.asarray(upsample(contents.upsampler, part.grey_levels()))
        if contents.augmentation != NONE:
            key_batch = jax.random.fold_in(key, number)
            floats = found.astype(np.float32)
            found = augment_jitted(key_batch, floats, contents.augmentation, 255.0)
            found = np.rint(found).astype(np.uint8)
            found = blurred(np.random.default_rng([seed, number]), found, contents.augmentation)
        yield found, stored.labels[part.classes].astype(np.int32)


def _balanced_rows(rng: np.random.Generator, classes: np.ndarray) -> Iterator[int]:
    """Images without end: one of each class in random order, those of a class in shuffled turns."""
    members = [np.flatnonzero(classes == number) for number in np.unique(classes)]
    turns = [_shuffled_turns(rng, each) for each in members]
    while True:
        for number in rng.permutation(len(turns)):
            yield next(turns[number])


def _shuffled_turns(rng: np.random.Generator, members: np.ndarray) -> Iterator[int]:
    while True:
        yield from rng.permutation(members)


def _upsample(shape: tuple[int, int, int], params: Params, levels: jax.Array) -> jax.Array:
    shown = upsampler.logits(params, levels.astype(jnp.float32) / 255, shape)
    return jnp.rint(255 * jax.nn.sigmoid(shown)).astype(jnp.uint8)


def sample(
    contents: Contents, *, per_class: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A training set: the stored images of each class in turn, each time augmented anew.

    Args:
      contents: a decoded file.
      per_class: images of each class; None for the stored images themselves, not augmented.
      seed: of the augmentation.

    Returns:
      uint8[n, height, width, channels] and int32[n] labels, class by class.
    """
    large = upsampled(contents.images, contents.upsampler)
    labels = contents.images.labels[contents.images.classes].astype(np.int32)
    if per_class is None:
        order = np.argsort(labels, kind="stable")
        return large[order], labels[order]
    return augmented_set(seed, large, labels, per_class, contents.augmentation)


def _contents(stored: Archive) -> Contents:
    header, sections = stored.header, stored.sections
    has_upsampler = _UPSAMPLER in header
    expected = (
        quantised_images.FIELDS | {_AUGMENTATION} | ({_UPSAMPLER} if has_upsampler else set())
    )
    if header.keys() - {quantised_images.CONTRAST} != expected:
        raise ValueError(f"header fields {sorted(header)}, expected {sorted(expected)}")
    ranges = quantised_images.integers(header[_AUGMENTATION], _AUGMENTATION, 0, 255)
    if not len(NONE) - 2 <= len(ranges) <= len(NONE):  # without brightness and blur, or blur
        raise ValueError(f"{len(ranges)} ranges of augmentation")
    augmentation = Augmentation(*ranges)
    check_augmentation(augmentation)
    others = {name: data for name, data in sections.items() if name != "pixels"}
    params = None
    if has_upsampler:
        # Before the pixels, which take longest to decode: an error here is reported at once.
        params = model_file.unpack(header[_UPSAMPLER], others, prefix=_PREFIX)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise ValueError("a weight is not finite")
    elif others:
        raise ValueError(f"sections {sorted(sections)}")
    images = quantised_images.unpack(header, sections["pixels"])
    if params is not None:
        upsampler.check(params, images.pixels.shape[1:], images.factor)
    return Contents(images, params, augmentation)
