"""Bit allocation from 800 images, 20 random subsets, beside the published points.

The published system's own setting: 800 training, 200 validation and 500 test images. Twenty random
subsets of Fashion-MNIST's T-shirts, dresses and coats, the 500 test images drawn from the official
test set. Beside the published baseline, centralised and by quadrants with an equal split, is our
pixel encoder fitted on the same 800 images and tested on the same 500 and on all 3,000. The
published points are one subset, which is not public.

Cost: published: 25 min on 1 core; smoke: 1 min.
Data: fashion_mnist.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import jax
import numpy as np

from bitalloc.fitting import modes, published_baseline
from bitalloc.model import decode_numbers, encode
from experiments.bit_allocation import bitalloc_data
from experiments.runner import experiment as ex

BASELINE, PIXEL = "published baseline", "pixel"
Trial = tuple[str, str, int]
"""System, view, seed of the subset."""


@dataclass(frozen=True)
class Config:
    baseline_bits: tuple[int, ...] = (4, 8, 16, 32, 64, 160)
    pixel_bits: tuple[int, ...] = (2, 4, 8, 16, 32, 160)
    n_train: int = 800
    n_validation: int = 200
    n_test: int = 500
    importance_penalty: float = 3e-3
    retrain_penalty: float = 1e-3
    restarts: int = 10
    seeds: tuple[int, ...] = tuple(range(20))
    """One for each subset."""


class Row(NamedTuple):
    """800 training images: the published baseline, and ours.

    Mean ± standard deviation over twenty random subsets; the published points are one subset that
    is not public.
    """

    system: Annotated[str, ex.Key]
    view: Annotated[str, ex.Key, ex.Panel]
    bits: Annotated[int, ex.Key, ex.Axis("bits per image", scale="log2"), ex.Column("bits")]
    # The tolerances allow one percent of one of the twenty subsets, which verify fits again.
    few_test_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Axis("accuracy on 500 test images, %"),
        ex.Claim("bitalloc.published_recipe.{view}.{bits}", tolerance=0.05,
                 when=lambda row: row.system == BASELINE and row.bits in (4, 160)),
    ]  # fmt: skip
    all_test_percent: Annotated[
        float | None, ex.MeanOverSeeds("%"), ex.Column("on all 3,000, %"),
        ex.Claim("bitalloc.pixel800.{view}.{bits}", tolerance=0.05,
                 when=lambda row: row.system == PIXEL),
    ] = None  # fmt: skip
    subset: int | None = None


def grid(config: Config) -> Iterator[Trial]:
    for seed in config.seeds:
        yield from ((BASELINE, view, seed) for view in ("central", "quadrants"))
        yield PIXEL, "central", seed


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    """A system fitted to one subset for each budget, and tested."""
    ((system, view, seed),) = trials
    budgets = config.baseline_bits if system == BASELINE else config.pixel_bits
    problem = bitalloc_data.problem(config, seed, view, data)
    images, truth = bitalloc_data.three_classes("test", data.data_dir)
    if system == BASELINE:
        images, train = images / 255.0, problem.train
        scaled = problem._replace(train=train._replace(features=train.features / 255.0))
        penalties = (config.importance_penalty, config.retrain_penalty)
        models = published_baseline.fit_budgets(scaled, budgets, *penalties)
    else:
        settings = replace(bitalloc_data.RECORDED, restarts=config.restarts, networks=False)
        models = modes.fit_budgets(jax.random.key(seed), problem, "pixel", budgets, settings)
    few = np.random.default_rng(seed).permutation(len(truth))[: config.n_test]
    rows = []
    for bits, model in zip(budgets, models, strict=True):
        right = decode_numbers(model, encode(model, images), len(truth)) == truth
        of_few, of_all = (100 * float(np.mean(each)) for each in (right[few], right))
        rows.append(Row(system, view, bits, of_few, of_all, seed))
    return rows


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "published": Config(),
        "smoke": Config((4,), (2,), 150, 50, 100, importance_penalty=3e-2, restarts=0, seeds=(0,)),
    },
    published=[Row("as published", *at, value) for at, value in bitalloc_data.PUBLISHED.items()],
    recompute=lambda config, row, data: measure(
        replace(config, baseline_bits=(row.bits,), pixel_bits=(row.bits,)),
        [(row.system, row.view, row.subset)], data,
    ),
    figures=lambda records: bitalloc_data.against_published(EXPERIMENT, records["published"]),
    data="fashion_mnist",
)  # fmt: skip
