"""Lossy subset: images downsampled, quantised and entropy coded; the baseline of distilled files.

A file of kind "lossy_subset" holds images quantised by `lgc.coresets.downsampling` and coded by
`fewbits.codecs.pixels.pixel_code`. With factor 1 and 8 bits nothing is lost, and it is the lossless
subset. `lgc/coresets/FORMAT.md` gives the file byte by byte.
"""

from __future__ import annotations

import numpy as np

from fewbits.coding import Archive, container, write_archive
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import quantised_images
from lgc.distillation.quantised_images import Fitted, QuantisedImages

KIND = "lossy_subset"


def write(images: np.ndarray, labels: np.ndarray, downsampling: Downsampling) -> bytes:
    """The file of all the given images.

    Args:
      images: uint8[n, height, width] or [n, height, width, channels].
      labels: int[n].
      downsampling: see `Downsampling`.

    Raises:
      ValueError: images or labels that cannot be stored.
    """
    return _file(quantised_images.quantise(images, labels, downsampling))


def largest(
    images: np.ndarray, labels: np.ndarray, budget_bytes: int, downsampling: Downsampling
) -> Fitted:
    """The file of as many images from the front as fit `budget_bytes`; of one image at least.

    Give the images in a random order or in a coreset's order of selection. Grey levels are fitted
    to all images given.
    """
    stored = quantised_images.quantise(images, labels, downsampling)
    return quantised_images.largest(
        lambda count: _file(stored.subset(slice(count))), len(stored.classes), budget_bytes
    )


def read(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8[n, height, width, channels] and labels int32[n], in the order of the file.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    return container.read_contents(data, KIND, _decoded)


def read_quantised(data: bytes) -> QuantisedImages:
    """The stored images before interpolation.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    return container.read_contents(data, KIND, _quantised)


def _file(images: QuantisedImages) -> bytes:
    header, pixels = quantised_images.pack(images)
    return write_archive(KIND, header, {"pixels": pixels})


def _decoded(stored: Archive) -> tuple[np.ndarray, np.ndarray]:
    found = _quantised(stored)
    return found.interpolated(), found.labels[found.classes].astype(np.int32)


def _quantised(stored: Archive) -> QuantisedImages:
    header, sections = stored.header, stored.sections
    if header.keys() != quantised_images.FIELDS:
        raise ValueError(f"header fields {sorted(header)}")
    if sections.keys() != {"pixels"}:
        raise ValueError(f"sections {sorted(sections)}")
    return quantised_images.unpack(header, sections["pixels"])
