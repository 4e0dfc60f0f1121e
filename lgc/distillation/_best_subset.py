"""The best subset of a budget: what distilled images of the same bytes have to beat.

Anybody can store some of the images, lossless or at fewer pixels and grey levels. Which of these
subsets trains the best classifier depends on the data and the budget, so it is chosen on validation
images, as the operating point of `lgc.distill` is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fewbits.coding import InputError
from fewbits.io.datasets import Images
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from fewbits.training.method import Key
from lgc import files
from lgc.arguments import typed_key
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.coresets.strategies import CORESETS, RANDOM, worthwhile
from lgc.decompression import decompress
from lgc.distillation import distilled_file
from lgc.distillation.augmentation import NONE, Augmentation
from lgc.distillation.distilled_file import OperatingPoint

DOWNSAMPLINGS = (LOSSLESS, Downsampling(1, 2), Downsampling(2, 2))
ALIKE_POINTS = 1.0
"""Accuracies on 5,000 images that are no further apart do not say which is better."""


@dataclass(frozen=True)
class SubsetConfig:
    """How subsets are compared.

    Attributes:
      proxy: classifier whose validation accuracy is a subset's score.
      second_proxy: of another kind; decides between downsamplings that `proxy` finds alike.
      proxy_per_class: images of each class drawn from a file.
      strategies: coreset selection strategies to try beside random images.
      coresets_up_to: largest budget in bytes at which they are tried, which takes five minutes each
        for many images; above it none has beaten random images.
    """

    proxy: ClassifierConfig = ClassifierConfig(steps=4_000, falling=True)
    second_proxy: ClassifierConfig = ClassifierConfig("convnet", 1_000, 64, 2e-3, 32, True)
    proxy_per_class: int = 2_000
    strategies: tuple[str, ...] = tuple(CORESETS)
    coresets_up_to: int = 30_000


class Candidate(NamedTuple):
    """A subset; accuracies are in percent."""

    downsampling: Downsampling
    augmentation: Augmentation
    strategy: str
    images: int
    validation_percent: float
    second_validation_percent: float | None = None

    @property
    def point(self) -> OperatingPoint:
        """To write its file with `distilled_file.write`."""
        return OperatingPoint(self.downsampling, 0, self.augmentation, 0.0, self.strategy)


class BestSubset(NamedTuple):
    """The best subset, and all that were tried."""

    best: Candidate
    tried: tuple[Candidate, ...]


def best_subset(
    train: Images,
    validation: Images,
    budget_bytes: int,
    *,
    augmentation: Augmentation = NONE,
    config: SubsetConfig = SubsetConfig(),  # noqa: B008
    key: Key | None = None,
    say: Callable[[str], None] | None = None,
) -> BestSubset:
    """The best subset of a labelled image set within a budget of bytes.

    Args:
      train: images to choose from, sides of 8 pixels or more.
      validation: images on which classifiers trained on the subsets are compared.
      budget_bytes: no file is longer than this.
      augmentation: tried beside none; that of a distilled file makes the comparison fair.
      config: see `SubsetConfig`.
      key: typed PRNG key of the subsets; None for `jax.random.key(0)`.
      say: told of every subset in a line.

    Raises:
      InputError: images that cannot be compressed, or a budget that holds no image of each class.

    Example:
      >>> from fewbits.io import datasets
      >>> from lgc import distillation
      >>> train, validation = datasets.split_validation(datasets.load("digits", "train"), 200)
      >>> distillation.SubsetConfig().coresets_up_to  # `strategies` are tried up to here
      30000
      >>> found = distillation.best_subset(train, validation, 5_000)  # doctest: +SKIP
    """
    key = typed_key(key)
    distilled_file.check(train.pixels, train.labels)

    @functools.cache
    def made(point: OperatingPoint) -> bytes:
        return distilled_file.write(train.pixels, train.labels, budget_bytes, point, key)

    def percent(point: OperatingPoint, proxy: ClassifierConfig) -> float:
        drawn = decompress(made(point), per_class=config.proxy_per_class, seed=0)
        return downstream.accuracy_percent(proxy, drawn[:2], validation, seed=0)

    def tried(downsampling: Downsampling, augmentation: Augmentation, strategy: str) -> None:
        point = OperatingPoint(downsampling, 0, augmentation, 0.0, strategy)
        try:
            images = files.summary(made(point))["images"]
        except InputError:
            return  # not even one image of each class
        accuracy = percent(point, config.proxy)
        found.append(Candidate(downsampling, augmentation, strategy, images, accuracy))
        if say is not None:
            say(f"subset {point.description()}: {accuracy:.2f} %")

    found: list[Candidate] = []
    for downsampling in DOWNSAMPLINGS:
        for each in dict.fromkeys((NONE, augmentation)):
            tried(downsampling, each, RANDOM)
    if not found:
        raise InputError(f"a budget of {budget_bytes} bytes holds no image of each class")
    best = best_of(found)
    if budget_bytes <= config.coresets_up_to and worthwhile(best.images, len(train.labels)):
        for strategy in config.strategies:
            tried(best.downsampling, best.augmentation, strategy)
    compared = {each: percent(each.point, config.second_proxy) for each in contested(found)}
    best = max(compared, key=lambda each: compared[each]) if compared else best_of(found)
    again = {each: each._replace(second_validation_percent=compared.get(each)) for each in found}
    return BestSubset(again[best], tuple(again.values()))


def best_of(candidates: list[Candidate]) -> Candidate:
    """The best on validation images, by the first proxy."""
    return max(candidates, key=lambda each: each.validation_percent)


def contested(candidates: list[Candidate]) -> list[Candidate]:
    """The best candidate of each downsampling within `ALIKE_POINTS` of the best; none if it is one.

    A classifier of another kind can find them far apart.
    """
    limit = best_of(candidates).validation_percent - ALIKE_POINTS
    each_best = [
        best_of([each for each in candidates if each.downsampling == downsampling])
        for downsampling in DOWNSAMPLINGS
        if any(each.downsampling == downsampling for each in candidates)
    ]
    alike = [each for each in each_best if each.validation_percent >= limit]
    return alike if len(alike) > 1 else []
