"""A user's .npz files: images or feature vectors, with labels for fitting."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bitalloc.inputs import as_features, as_labels
from fewbits.coding import InputError
from fewbits.io.arrays import read_arrays


def read_features(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The file's images or features as they are stored, and the labels if there are any.

    The file holds `images`, N x H x W or N x H x W x C, or `features`, N x M, and
    perhaps `labels`.

    Raises:
      InputError: for a file or an array that is no such thing.
    """
    arrays = read_arrays(path)
    names = [name for name in ("images", "features") if name in arrays]
    if len(names) != 1:
        raise InputError(
            f"{path} holds {', '.join(arrays) or 'nothing'}; it needs one array 'images' "
            "(N x H x W or N x H x W x C) or 'features' (N x M), saved with numpy.savez"
        )
    name, labels = names[0], arrays.get("labels")
    features = arrays[name]
    if features.ndim not in ((3, 4) if name == "images" else (2,)):
        raise InputError(f"{path}: {name} has shape {features.shape}")
    as_features(features, f"{path}: {name}")
    return features, None if labels is None else as_labels(labels, len(features), f"{path}: labels")
