"""Ten data sets of three kinds, and random splits of them with the same share of every class.

Small tables come with scikit-learn; larger tables are drawn from its generators, and one from a
model of forest cover (`cover`); images are random subsets of handwritten digits and of garments,
those of 28 x 28 pixels reduced to 14 x 14 by means of 2 x 2.
"""

from typing import Any, NamedTuple

import numpy as np

from bitalloc import inputs
from experiments.runner.experiment import Data

KIND = {
    "wine": "small table",
    "iris": "small table",
    "breast_cancer": "small table",
    "classification": "larger table",
    "moons": "larger table",
    "hastie": "larger table",
    "cover": "larger table",
    "digits": "images",
    "mnist": "images",
    "fashion_mnist": "images",
}
"""Name -> kind."""

TEST_SHARE = 0.3
"""Of a table and of `digits`; the other images are tested on official test images."""


class Split(NamedTuple):
    """What is fitted on, the validation part included, and what is tested on."""

    features: np.ndarray
    labels: np.ndarray
    test_features: np.ndarray
    test_labels: np.ndarray


def split(name: str, seed: int, n_images: int, data: Data) -> Split:
    """One random split of a data set; generated tables are drawn anew for every seed.

    Args:
      name: a key of `KIND`.
      seed: of the split.
      n_images: to fit on and to test on, of `mnist` and `fashion_mnist`.
      data: where these are.
    """
    rng = np.random.default_rng(seed)
    if name in ("mnist", "fashion_mnist"):
        parts = []
        for part in ("train", "test"):
            images = data.images(name, part)
            share = n_images / len(images.labels)
            _, some = inputs.cut(rng, np.asarray(images.labels), (share,))
            blocks = np.asarray(images.pixels)[some].reshape(-1, 14, 2, 14, 2)
            pixels = np.round(blocks.mean(axis=(2, 4))).astype(np.uint8)
            parts += [pixels, np.asarray(images.labels)[some]]
        return Split(*parts)
    features, labels = _table(name, seed)
    fitted, test = inputs.cut(rng, labels, (TEST_SHARE,))
    return Split(features[fitted], labels[fitted], features[test], labels[test])


def _table(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
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
    load = {"wine": datasets.load_wine, "iris": datasets.load_iris}
    found = load.get(name, datasets.load_breast_cancer)()
    return found.data, found.target


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
