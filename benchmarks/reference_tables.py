"""Tables that classifiers are compared on, as one .npz file with `features` and `labels`.

Small tables and digits come with scikit-learn; the others are drawn anew for every seed.

    python -m benchmarks.reference_tables NAME SEED TABLE.npz

NAME: wine, iris, breast_cancer, digits, classification, moons, hastie or cover.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def table(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features, images of digits included, and labels."""
    from sklearn import datasets as sklearn_datasets

    datasets: Any = sklearn_datasets
    if name == "cover":
        return cover(seed)
    if name == "digits":
        digits = datasets.load_digits()
        return digits.images.astype(np.uint8), digits.target
    if name == "classification":
        return datasets.make_classification(
            1_500, n_features=20, n_informative=8, n_redundant=4, n_classes=3, flip_y=0.05,
            random_state=seed,
        )  # fmt: skip
    if name == "moons":
        x, y = datasets.make_moons(1_000, noise=0.25, random_state=seed)
        columns = np.random.default_rng(seed).normal(size=(len(x), 4))
        return np.concatenate([x, columns], axis=1), y
    if name == "hastie":
        x, y = datasets.make_hastie_10_2(2_000, random_state=seed)
        return x, (y > 0).astype(int)
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def cover(seed: int, n: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    """A table like the forest cover types': 10 quantities, 4 and 40 indicator columns, 7 classes.

    A cover's odds depend on the elevation in a band of its own, on the soil, on the area and on the
    slope's direction, and on the distance to water; Gumbel noise makes them a draw.

    Args:
      seed: of the table; how covers depend on their place is the same for all.
      n: rows.

    Returns:
      Features [n, 54] and labels Int[n].
    """
    fixed, rng = np.random.default_rng(1), np.random.default_rng([2, seed])
    centre = np.array([3130, 2920, 2390, 2220, 2790, 2420, 3360.0])
    soil_affinity, area_affinity = fixed.normal(size=(40, 7)), fixed.normal(size=(4, 7))
    phase = fixed.uniform(0, 2 * np.pi, 7)
    elevation = rng.normal(2950, 280, n)
    aspect, slope = rng.uniform(0, 360, n), rng.gamma(3.5, 4, n)
    water = rng.exponential(270, n)
    others = np.stack(
        [rng.normal(46, 58, n), rng.gamma(2.3, 1_000, n), rng.normal(212, 27, n),
         rng.normal(223, 20, n), rng.normal(142, 38, n), rng.gamma(2.2, 900, n)], axis=1
    )  # fmt: skip
    soil = np.clip(np.round((elevation - 2_000) / 50 + rng.normal(0, 4, n)), 0, 39).astype(int)
    area = rng.integers(0, 4, n)
    odds = -0.5 * ((elevation[:, None] - centre) / 160) ** 2
    odds += 1.2 * soil_affinity[soil] + area_affinity[area]
    odds += slope[:, None] / 15 * np.cos(np.radians(aspect)[:, None] - phase)
    odds += np.log1p(water)[:, None] / 5 * np.cos(3 * phase)
    labels = np.argmax(odds + 0.6 * rng.gumbel(size=odds.shape), axis=1)
    quantities = np.stack([elevation, aspect, slope, water], axis=1)
    indicators = [np.eye(4)[area], np.eye(40)[soil]]
    return np.concatenate([quantities, others, *indicators], axis=1).round(2), labels


if __name__ == "__main__":
    features, labels = table(sys.argv[1], int(sys.argv[2]))
    np.savez(sys.argv[3], features=features, labels=labels)
