"""What `lgc_rate_curve` chooses for a budget on validation images: our operating point."""

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
from lgc.distillation.search import budget_search
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
) -> tuple[OperatingPoint, dict[str, Comparison]]:
    """The point for so many bytes of a data set; stages are cached one by one."""

    def cached(stage: str, kind: type, compute: Callable[[], Any]) -> Any:
        return restore(kind, data.cached(f"{name}_{size}_{stage}", compute))

    wanted = {
        "brightness": name in settings.brightness,
        "distillation": size <= settings.distilled_up_to.get(name, 0),
    }
    with Bar(f"{name}, {size:,} bytes") as bar:
        return budget_search.search(
            train.pixels, train.labels, size, jax.random.key(0),
            later=[stage for stage in wanted if wanted[stage]],  # type: ignore[arg-type]
            config=settings.search, cached=cached, progress=bar,
        )  # fmt: skip


def file(settings: Settings, train: Images, size: int, point: OperatingPoint, seed: int) -> bytes:
    """The file of the training images at an operating point."""
    steps, key = settings.search.upsampler_steps, jax.random.key(seed)
    return distilled_file.write(train.pixels, train.labels, size, point, key, upsampler_steps=steps)
