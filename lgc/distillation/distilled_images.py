"""Files of explicit latents: small coded images, the network that enlarges them, and their moves.

A file of kind "exemplars" holds images reduced like those of a `lossy_subset` and, beside them,
what makes a training set of any size of them: an `enlarger` trained on the whole image set, and
how far a drawn image may be moved without leaving its class (`deformations`). Without an enlarger
the small images are interpolated, so a lossy subset is a special case.

Explicit latents are images of the training set, recognisably: such a file is not private.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import Archive, container, write_archive
from fewbits.coding.weights import model_file
from fewbits.training import evaluation
from fewbits.training.method import Params
from lgc.coresets.downsampling import enlarge
from lgc.distillation import augmentation, quantised_images
from lgc.distillation import upsampler as enlarger
from lgc.distillation.augmentation import NONE, Deformation
from lgc.distillation.quantised_images import SmallImages

KIND = "exemplars"
_PREFIX = "enlarger_"
_BATCH = 1000


class Contents(NamedTuple):
    """A decoded file.

    Attributes:
      small: the exemplars.
      enlarger: weights, as the file has them; None for interpolation.
      deformation: how far drawn images may be moved.
    """

    small: SmallImages
    enlarger: Params | None
    deformation: Deformation


def write(contents: Contents, bits: Any = 4) -> bytes:
    """The bytes of a file.

    Args:
      contents: the enlarger at any precision.
      bits: of each of its tensors; see `fewbits.coding.weights.model_file`.
    """
    header, pixels = quantised_images.pack(contents.small)
    moves = list(contents.deformation)
    header["moves"] = moves if contents.deformation.light else moves[:-1]
    sections = {"pixels": pixels}
    if contents.enlarger is not None:
        header["enlarger"], packed = model_file.pack(contents.enlarger, bits, prefix=_PREFIX)
        sections |= packed
    return write_archive(KIND, header, sections)


def on_grid(params: Params, bits: int) -> Params:
    """An enlarger's weights as a file gives them back."""
    return model_file.quantise(params, bits)


def read(data: bytes) -> Contents:
    """Decode a file.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    return container.read_contents(data, KIND, _contents)


def drawn_large(small: SmallImages, params: Params | None) -> np.ndarray:
    """The exemplars at their full size, uint8[n, height, width, channels]."""
    if params is None:
        return enlarge(small.greys(), small.factor, *small.shape[:2])

    def draw(greys: jax.Array) -> jax.Array:
        shown = enlarger.logits(params, greys.astype(jnp.float32) / 255, small.shape)
        return jnp.rint(255 * jax.nn.sigmoid(shown)).astype(jnp.uint8)

    return np.asarray(
        jax.jit(partial(evaluation.map_batches, draw, batch_size=_BATCH))(small.greys())
    )


def sample(
    contents: Contents, *, per_class: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A training set: the exemplars of each class in turn, each time moved anew.

    Args:
      contents: a decoded file.
      per_class: images of each class; None for the exemplars themselves, not moved.
      seed: of the moves.

    Returns:
      uint8[n, height, width, channels] and int32[n] labels, class by class.
    """
    large = drawn_large(contents.small, contents.enlarger)
    labels = contents.small.labels[contents.small.classes].astype(np.int32)
    if per_class is None:
        order = np.argsort(labels, kind="stable")
        return large[order], labels[order]
    return augmentation.drawn(seed, large, labels, per_class, contents.deformation)


def _contents(stored: Archive) -> Contents:
    header, sections = stored.header, stored.sections
    has_enlarger = "enlarger" in header
    expected = quantised_images.FIELDS | {"moves"} | ({"enlarger"} if has_enlarger else set())
    if header.keys() != expected:
        raise ValueError(f"header fields {sorted(header)}, expected {sorted(expected)}")
    strengths = quantised_images.integers(header["moves"], "moves", 0, 255)
    if len(strengths) not in (len(NONE) - 1, len(NONE)):  # without light and with it
        raise ValueError(f"{len(strengths)} strengths of moves")
    moves = Deformation(*strengths)
    augmentation.check(moves)
    others = {name: data for name, data in sections.items() if name != "pixels"}
    params = None
    if has_enlarger:
        # Before the pixels, which take longest: what is wrong here needs no wait.
        params = model_file.unpack(header["enlarger"], others, prefix=_PREFIX)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise ValueError("a weight is not finite")
    elif others:
        raise ValueError(f"sections {sorted(sections)}")
    small = quantised_images.unpack(header, sections["pixels"])
    if params is not None:
        enlarger.check(params, small.pixels.shape[1:], small.factor)
    return Contents(small, params, moves)
