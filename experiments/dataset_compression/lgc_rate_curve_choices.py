"""What `lgc_rate_curve` chooses for a budget on validation images: our operating point."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax

from experiments.runner.experiment import Data
from experiments.runner.rows import restore
from fewbits.io.datasets import Images
from fewbits.io.progress import Bar
from lgc.distillation import SubsetConfig, distilled_file
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import budget_search, stages
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.stages import Comparison


@dataclass(frozen=True)
class Settings(SubsetConfig):
    """How operating points are chosen, and the best subset."""

    search: DistillConfig = DistillConfig()
    brightness: tuple[str, ...] = ()
    """Data sets whose search has the stage of brightness augmentation, ten minutes a budget."""
    distilled_up_to: dict[str, int] = field(
        default_factory=lambda: {"mnist": 0, "fashion_mnist": 30_000}
    )
    """Largest budget, by data set, with the stage of distillation, which takes ten minutes."""


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
        trial = stages.trial(train.pixels, train.labels, size, point, key, settings.search)
        return stage(trial, point, key, settings.search, bar)

    point = restore(OperatingPoint, cached("first", first))
    compared = {}
    for stage, wanted in (
        (stages.brightness, name in settings.brightness),
        (stages.distillation, size <= settings.distilled_up_to.get(name, 0)),
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
