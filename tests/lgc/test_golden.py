"""Files of earlier versions, which must be readable for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jax
import numpy as np

from lgc.coresets import lossy_subset
from lgc.distillation import distilled_images
from lgc.distillation.augmentation import Augmentation

GOLDEN = Path(__file__).parent / "golden"


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def test_the_golden_distilled_images():
    contents = distilled_images.read((GOLDEN / "v1.exemplars").read_bytes())
    assert contents.augmentation == Augmentation(rotation=5, elastic=3, flip=1)
    stored = contents.images
    assert stored.shape == (9, 9, 1)
    assert stored.pixels.shape == (14, 5, 5, 1)
    weights = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(contents.upsampler)]
    labels = stored.labels[stored.classes].astype(np.int64)
    assert digest(stored.pixels, labels, *weights) == EXEMPLARS


def test_the_golden_images_with_more_contrast():
    contents = distilled_images.read((GOLDEN / "contrast.lgc").read_bytes())
    assert contents.images.contrast == 200
    images, labels = distilled_images.sample(contents, per_class=None, seed=0)
    assert digest(images, labels.astype(np.int64)) == CONTRAST


def test_the_golden_lossy_subset():
    images, labels = lossy_subset.read((GOLDEN / "v1.lossy_subset").read_bytes())
    assert images.shape == (9, 8, 8, 3)
    assert digest(images, labels.astype(np.int64)) == LOSSY_SUBSET


EXEMPLARS = "ce4494a0f95074580b2219ddb8e8c7d7081c06f9922851e20dd1a549141fb77f"
LOSSY_SUBSET = "ec48eab5cdbf08da15d9a095b57edab25c83c10000616ab54b8a386b7b68dd1f"
CONTRAST = "f247017e97da731398fa19d7d9144b597445e3e10a3cf66ea7be73c77a1b2640"
