"""Ten data sets of three kinds, and random splits of them with the same share of every class.

Small tables come with scikit-learn; larger tables are drawn from its generators, and one from a
model of forest cover (`benchmarks.reference_tables`); images are random subsets of handwritten
digits and of garments, those of 28 x 28 pixels reduced to 14 x 14 by means of 2 x 2.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from bitalloc import api, inputs
from bitalloc.fitting.fit import Problem, Sample
from experiments.runner import subprocesses
from experiments.runner.experiment import Data
from fewbits.io.datasets import Images

KIND = {
    **dict.fromkeys(("wine", "iris", "breast_cancer"), "small table"),
    **dict.fromkeys(("classification", "moons", "hastie", "cover"), "larger table"),
    **dict.fromkeys(("digits", "mnist", "fashion_mnist"), "images"),
}
"""Name -> kind."""

TEST_SHARE = 0.3
"""Of a table and of `digits`; the other images are tested on official test images."""


def split(name: str, seed: int, n_images: int, data: Data) -> tuple[Problem, Sample]:
    """One random split of a data set; generated tables are drawn anew for every seed.

    Args:
      name: a key of `KIND`.
      seed: of the split.
      n_images: to fit on and to test on, of `mnist` and `fashion_mnist`.
      data: where these are.

    Returns:
      What is fitted on, cut into its two parts, and what is tested on.
    """
    rng = np.random.default_rng(seed)
    if name in ("mnist", "fashion_mnist"):
        fitted, tested = (
            _few(rng, data.images(name, part), n_images) for part in ("train", "test")
        )
    else:
        path = data.path(f"{name}_{seed}.npz")
        subprocesses.python("benchmarks.reference_tables", [name, str(seed), path])
        with np.load(path) as table:
            parts = inputs.cut(rng, table["labels"], (TEST_SHARE,))
            fitted, tested = ((table["features"][one], table["labels"][one]) for one in parts)
    problem = api.problem(*fitted, key=jax.random.key(seed))
    features, _ = inputs.as_features(tested[0])
    return problem, Sample(features, inputs.class_numbers(tested[1], problem.classes))


def extreme(values: Mapping[Any, Sequence[float]], choose: Any, size: Any = np.mean) -> list[Any]:
    """[*condition, size, values] of the condition whose splits have the largest or least size."""
    key = choose(values, key=lambda key: size(values[key]))
    return [*key, float(size(values[key])), tuple(values[key])]


def _few(rng: np.random.Generator, images: Images, n_images: int) -> list[np.ndarray]:
    """Some of 28 x 28 pixels, as 14 x 14."""
    labels = np.asarray(images.labels)
    _, some = inputs.cut(rng, labels, (n_images / len(labels),))
    blocks = np.asarray(images.pixels)[some].reshape(-1, 14, 2, 14, 2)
    return [np.round(blocks.mean(axis=(2, 4))).astype(np.uint8), labels[some]]
