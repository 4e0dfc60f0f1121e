"""The hard baseline: a subset of the images, smaller and in few greys, under our best codec.

A file of kind "lossy_subset" holds images reduced by `lgc.coresets.downsampling` and coded by
`fewbits.codecs.pixels.pixel_code`. With factor 1 and 8 bits nothing is lost, and it is the lossless
subset. `lgc/coresets/FORMAT.md` gives the file byte by byte.
"""

from __future__ import annotations

import numpy as np

from fewbits.coding import Archive, container, write_archive
from lgc.coresets.downsampling import Reduction, enlarge
from lgc.distillation import quantised_images
from lgc.distillation.quantised_images import Fitted, SmallImages

KIND = "lossy_subset"


def write(images: np.ndarray, labels: np.ndarray, reduction: Reduction) -> bytes:
    """The file of all the given images.

    Args:
      images: uint8[n, height, width] or [n, height, width, channels].
      labels: int[n].
      reduction: see `Reduction`.

    Raises:
      ValueError: images or labels that cannot be stored.
    """
    return _file(quantised_images.reduce(images, labels, reduction))


def largest(
    images: np.ndarray, labels: np.ndarray, budget_bytes: int, reduction: Reduction
) -> Fitted:
    """The file of as many images from the front as fit `budget_bytes`; of one image at least.

    Put a random order or a coreset's order of selection in front. Levels suit all images given.
    """
    small = quantised_images.reduce(images, labels, reduction)
    return quantised_images.largest(
        lambda count: _file(small.subset(slice(count))), len(small.classes), budget_bytes
    )


def read(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8[n, height, width, channels] and labels int32[n], in the order of the file.

    Raises:
      FormatError: not an undamaged file of this kind.
    """
    return container.read_contents(data, KIND, _decoded)


def _file(small: SmallImages) -> bytes:
    header, pixels = quantised_images.pack(small)
    return write_archive(KIND, header, {"pixels": pixels})


def _decoded(stored: Archive) -> tuple[np.ndarray, np.ndarray]:
    header, sections = stored.header, stored.sections
    if header.keys() != quantised_images.FIELDS:
        raise ValueError(f"header fields {sorted(header)}")
    if sections.keys() != {"pixels"}:
        raise ValueError(f"sections {sorted(sections)}")
    small = quantised_images.unpack(header, sections["pixels"])
    images = enlarge(small.greys(), small.factor, *small.shape[:2])
    return images, small.labels[small.classes].astype(np.int32)
