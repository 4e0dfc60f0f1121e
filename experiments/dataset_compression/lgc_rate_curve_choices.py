"""What `lgc_rate_curve` chooses for a budget on validation images: our file and the best subset."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

import lgc
from experiments.runner.experiment import Data
from experiments.runner.rows import restore
from fewbits.coding import InputError
from fewbits.io.datasets import Images
from fewbits.io.progress import Bar
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc import files
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.coresets.strategies import CORESETS, worthwhile
from lgc.distillation import budget_search, distilled_file, search_stages
from lgc.distillation.augmentation import NONE, Augmentation
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search_config import DistillConfig
from lgc.distillation.search_stages import Comparison

BASELINE_DOWNSAMPLINGS = (LOSSLESS, Downsampling(1, 2), Downsampling(2, 2))
ALIKE_POINTS = 1.0
"""Accuracies on 5,000 images that are no further apart do not say which is better."""


@dataclass(frozen=True)
class Settings:
    """How operating points are chosen."""

    search: DistillConfig = DistillConfig()
    brightness: tuple[str, ...] = ()
    """Data sets whose search has the stage of brightness augmentation, ten minutes a budget."""
    distilled_up_to: dict[str, int] = field(
        default_factory=lambda: {"mnist": 0, "fashion_mnist": 30_000}
    )
    """Largest budget, by data set, with the stage of distillation, which takes ten minutes."""
    proxy: ClassifierConfig = ClassifierConfig(steps=4_000, falling=True)
    """Compares baselines."""
    second_proxy: ClassifierConfig = ClassifierConfig("convnet", 1_000, 64, 2e-3, 32, True)
    """Decides between baselines that `proxy` finds alike."""
    proxy_per_class: int = 2_000
    strategies: tuple[str, ...] = tuple(CORESETS)
    """Coresets among the baselines."""
    coresets_up_to: int = 30_000
    """Largest budget whose baselines try coresets, which takes five minutes each of many images;
    below it none has beaten random images."""


class Candidate(NamedTuple):
    """A baseline."""

    downsampling: Downsampling
    augmentation: Augmentation
    strategy: str
    images: int
    validation_percent: float
    second_validation_percent: float | None = None

    @property
    def point(self) -> OperatingPoint:
        """To write its file."""
        return OperatingPoint(self.downsampling, 0, self.augmentation, 0.0, self.strategy)


class Subset(NamedTuple):
    """The best baseline, and all that were tried."""

    best: Candidate
    tried: tuple[Candidate, ...]


def search(
    settings: Settings, data: Data, name: str, size: int, train: Images
) -> tuple[OperatingPoint, dict[str, Any]]:
    """The operating point that `lgc.distill` would find; its stages are cached one by one.

    Args:
      settings: see `Settings`.
      data: of the run.
      name: of the data set.
      size: bytes.
      train: the images, without the validation part of the experiment.

    Returns:
      The point, and what each later stage compared.
    """
    key = jax.random.key(0)

    def cached(stage: str, compute: Callable[[Bar], Any]) -> Any:
        def with_bar() -> Any:
            with Bar(f"{name}, {size:,} bytes: {stage}") as bar:
                return compute(bar)

        return data.cached(f"{name}_{size}_{stage}", with_bar)

    def first(bar: Bar) -> OperatingPoint:
        return budget_search.first_stage(
            train.pixels, train.labels, size, key, config=settings.search, progress=bar
        )

    def compare(stage: Callable[..., Comparison], point: OperatingPoint, bar: Bar) -> Comparison:
        trial = search_stages.trial(train.pixels, train.labels, size, point, key, settings.search)
        return stage(trial, point, key, settings.search, bar)

    point = restore(OperatingPoint, cached("first", first))
    compared = {}
    for stage, wanted in (
        (search_stages.brightness, name in settings.brightness),
        (search_stages.distillation, size <= settings.distilled_up_to.get(name, 0)),
    ):
        if wanted:
            found = cached(stage.__name__, functools.partial(compare, stage, point))
            point = restore(Comparison, found).point
            compared[stage.__name__] = found
    return point, compared


def file(settings: Settings, train: Images, size: int, point: OperatingPoint, seed: int) -> bytes:
    """The file of the training images at an operating point."""
    steps, key = settings.search.upsampler_steps, jax.random.key(seed)
    return distilled_file.write(train.pixels, train.labels, size, point, key, upsampler_steps=steps)


def best_subset(
    settings: Settings, size: int, train: Images, validation: Images, augmentation: Augmentation
) -> Subset:
    """The best baseline on validation images, augmented like ours or not at all."""

    @functools.cache
    def made(point: OperatingPoint) -> bytes:
        return file(settings, train, size, point, 0)

    def percent(point: OperatingPoint, proxy: ClassifierConfig) -> float:
        drawn = lgc.decompress(made(point), per_class=settings.proxy_per_class, seed=0)
        return downstream.accuracy_percent(proxy, drawn[:2], validation, seed=0)

    def tried(downsampling: Downsampling, augmentation: Augmentation, strategy: str) -> None:
        point = OperatingPoint(downsampling, 0, augmentation, 0.0, strategy)
        try:
            images = files.summary(made(point))["images"]
        except InputError:
            return  # not even one image of each class
        accuracy = percent(point, settings.proxy)
        found.append(Candidate(downsampling, augmentation, strategy, images, accuracy))
        print(
            f"  subset {downsampling} {strategy}: {found[-1].validation_percent:.2f} %", flush=True
        )

    found: list[Candidate] = []
    for downsampling in BASELINE_DOWNSAMPLINGS:
        for each in dict.fromkeys((NONE, augmentation)):
            tried(downsampling, each, "random")
    best = best_of(found)
    if size <= settings.coresets_up_to and worthwhile(best.images, len(train.labels)):
        for strategy in settings.strategies:
            tried(best.downsampling, best.augmentation, strategy)
    compared = {each: percent(each.point, settings.second_proxy) for each in contested(found)}
    best = max(compared, key=lambda each: compared[each]) if compared else best_of(found)
    again = {each: each._replace(second_validation_percent=compared.get(each)) for each in found}
    return Subset(again[best], tuple(again.values()))


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
        for downsampling in BASELINE_DOWNSAMPLINGS
        if any(each.downsampling == downsampling for each in candidates)
    ]
    alike = [each for each in each_best if each.validation_percent >= limit]
    return alike if len(alike) > 1 else []


def description(point: OperatingPoint) -> str:
    """An operating point in a few words."""
    factor, bits = point.downsampling.factor, point.downsampling.bits
    side = "full side" if factor == 1 else f"1/{factor} side"
    lossless = point.downsampling == LOSSLESS
    parts = ["lossless" if lossless else f"{side}, {bits} bit{'s'[: bits - 1]}"]
    parts += [point.strategy] * (point.strategy != "random")
    parts += [f"upsampler of width {point.width}"] * bool(point.width)
    parts += ["distilled"] * bool(point.distillation_steps)
    plain = point.augmentation._replace(brightness=0) == NONE
    parts.append("not augmented" if plain else "augmented")
    return ", ".join(parts + ["brightness augmentation"] * bool(point.augmentation.brightness))
