"""Image sets that TensorFlow Datasets has prepared, read without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fewbits.io.errors import InputError


def is_prepared(folder: Path) -> bool:
    """Whether a folder holds a prepared data set, or a version of one."""
    return _version(folder) is not None


def read(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images uint8 (N, H, W, C), class numbers int32 (N,) and the classes' names.

    Args:
      folder: NAME or NAME/VERSION, as prepared.
      split: "train", "test" or another that the data set has.

    Raises:
      InputError: no image with a class label in it, images of several sizes, or no such split.
    """
    import logging

    logging.getLogger("absl").setLevel(logging.ERROR)  # it recommends OpenCV at every start
    import tensorflow_datasets as tfds

    version = _version(folder)
    assert version is not None
    try:
        builder: Any = tfds.builder_from_directory(version)
        features = dict(builder.info.features)
        splits = tuple(builder.info.splits)
    except Exception as error:
        line = " ".join(str(error).split())[:120]
        raise InputError(f"{folder} is no sound TFDS folder: {line}") from error
    image = [name for name, kind in features.items() if isinstance(kind, tfds.features.Image)]
    label = [name for name, kind in features.items() if isinstance(kind, tfds.features.ClassLabel)]
    if len(image) != 1 or len(label) != 1:
        raise InputError(
            f"{folder} has the features {', '.join(features)}; one image and one class label are "
            "needed"
        )
    if split not in splits:
        raise InputError(f"{folder} has the splits {', '.join(splits)}, no {split!r}")
    shape = features[image[0]].shape
    if None in shape:
        raise InputError(f"{folder} has images of several sizes {shape}; resize them")
    source = builder.as_data_source(split=split)
    pixels = np.empty((len(source), *shape), np.uint8)
    numbers = np.empty(len(source), np.int32)
    for row in range(len(source)):
        example = source[row]
        pixels[row], numbers[row] = example[image[0]], example[label[0]]
    return pixels, numbers, tuple(features[label[0]].names)


def _version(folder: Path) -> Path | None:
    if (folder / "dataset_info.json").is_file():
        return folder
    versions = sorted(path.parent for path in folder.glob("*/dataset_info.json"))
    return versions[-1] if versions else None
