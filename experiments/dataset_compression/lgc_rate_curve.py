"""Accuracy against bytes, 1 kB to 1 MB, beside the best subset of the same bytes.

For every data set and budget two things are chosen on validation images: the operating point of
`lgc.distill`, and the best baseline among lossless and quantised subsets, at random or as coresets,
with our augmentation or without. Then every seed writes its files, a subprocess decodes and draws
60,000 images from each, and three classifiers are trained on them with hard labels and tested on
the official test set.

Cost: cpu: 30 min a choice, 15 more to distil, 10 min a file on 1 core; smoke (digits): 1 min.
Data: mnist, fashion_mnist.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets
from experiments.common.decoded_sets import CONVNET, REPORT_CNN
from experiments.dataset_compression.lgc_mnist import PUBLISHED_BYTES, PUBLISHED_PERCENT
from experiments.runner import experiment as ex
from experiments.runner import plots
from experiments.runner.folder import plain
from experiments.runner.plots import draw
from experiments.runner.rows import restore
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.progress import Bar
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc.distillation import BestSubset, SubsetConfig, best_subset, distilled_file
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import budget_search
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.stages import Comparison

FILES = {"lgc": "ours", "best subset": "subset"}
"""Condition -> part of its files' names."""
SHOWN_ONCE = ("lenet5",)
"""Classifiers that are trained with the first seed alone, and neither claimed nor drawn."""
LARGEST = 100
"""Kilobytes: larger files are measured, not published."""


@dataclass(frozen=True)
class Settings(SubsetConfig):
    """How operating points are chosen, and the best subset."""

    search: DistillConfig = DistillConfig()
    distilled_up_to: dict[str, int] = field(
        default_factory=lambda: {"mnist": 0, "fashion_mnist": 30_000}
    )
    """Largest budget, by data set, with the stage of distillation, which takes ten minutes."""


@dataclass(frozen=True)
class Config:
    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    budgets: tuple[int, ...] = (12_000, 30_000, 100_000)
    """Bytes, with all seeds."""
    first_seed_budgets: tuple[int, ...] = (1_000, 1_000_000)
    """With the first seed alone, to draw the curve."""
    classifiers: dict[str, ClassifierConfig] = field(
        default_factory=lambda: {
            "convnet": CONVNET,
            "lenet5": ClassifierConfig("lenet_5_caffe", 4_000, 64, 1e-3, None, True),
            "report_cnn": REPORT_CNN,
        }
    )
    choice: Settings = Settings()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    per_class: int = 6_000
    validation_images: int = 5_000


Trial = tuple[str, int, int, str]
"""One file: data, budget in bytes, seed and condition."""


class Row(NamedTuple):
    """Test accuracy at equal bytes, %.

    Mean ± standard deviation over seeds (one seed without ±); hard labels, official test set.
    Operating points were chosen on validation images. `report_cnn` is the small CNN of "Latent
    Gaussian Compression".
    """

    data: Annotated[str, ex.Key, ex.Panel]
    budget_bytes: Annotated[int, ex.Key, ex.Axis("bytes at most")]
    condition: Annotated[str, ex.Key, ex.Column("file")]
    chosen: Annotated[str, ex.Column("operating point")]
    classifier: Annotated[str, ex.Key, ex.Across]
    seed: int
    bytes: Annotated[int, ex.Axis("bytes on disk", "log", x=True)]
    accuracy_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Axis("test accuracy, %"),
        ex.Claim("lgc.{data}.{kilobytes}kB.{classifier}{suffix}", 0.5,
                 when=lambda row: row.kilobytes <= LARGEST and row.classifier not in SHOWN_ONCE),
    ]  # fmt: skip
    file: Annotated[Path, ex.Artifact]

    @property
    def kilobytes(self) -> int:
        """The budget."""
        return self.budget_bytes // 1000

    @property
    def suffix(self) -> str:
        """Of the claim's id."""
        return "" if self.condition == "lgc" else ".best_subset"


class Distillation(NamedTuple):
    """Published dataset distillations, for comparison.

    Test accuracy of a ConvNet of width 128, for which each set was made; not run here. These are no
    files: numbers are counted, not coded.
    """

    method: Annotated[str, ex.Key]
    values: Annotated[int, ex.Key, ex.Column("bytes at 8 bits", ",.0f")]
    float32_bytes: Annotated[int, ex.Key, ex.Column("bytes as float32", ",.0f")]
    data: Annotated[str, ex.Key, ex.Across]
    accuracy_percent: Annotated[float, ex.Over(np.mean, "%"), ex.Column(format=".1f")]


PUBLISHED = [
    Distillation(method, values, 4 * values, data, percent)
    for values, method, mnist, fashion_mnist in (
        (7_840, "DC (Zhao et al. 2021)", 91.7, 70.5),
        (7_840, "IDC (Kim et al. 2022)", 94.2, 81.0),
        (7_840, "RTP (Deng and Russakovsky 2022)", 98.7, 88.5),
        (78_400, "DC (Zhao et al. 2021)", 97.4, 82.3),
        (78_400, "IDC (Kim et al. 2022)", 98.4, 86.0),
        (78_400, "RTP (Deng and Russakovsky 2022)", 99.3, 90.0),
    )
    for data, percent in (("mnist", mnist), ("fashion_mnist", fashion_mnist))
]
"""One or ten images of each class."""


def grid(config: Config) -> Iterator[Trial]:
    for name in config.data:
        for size in sorted((*config.budgets, *config.first_seed_budgets)):
            for seed in config.seeds if size in config.budgets else config.seeds[:1]:
                yield from ((name, size, seed, condition) for condition in FILES)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> ex.Measurement:
    """Choose, write, decode in a subprocess, train and test."""
    ((name, size, seed, condition),) = trials
    whole = data.images(name, "train")
    train, validation = datasets.split_validation(whole, config.validation_images)
    point, compared = _point(config.choice, data, name, size, train)
    chosen: dict[str, Any] = {"point": point, **compared}
    if condition != "lgc":
        augmentation = point.augmentation
        subset = data.cached(
            f"{name}_{size}_subset",
            lambda: best_subset(
                train, validation, size, augmentation=augmentation, config=config.choice, say=print
            ),
        )
        chosen, point = subset, restore(BestSubset, subset).best.point
    # Distilling takes ten minutes: its file is written once, for the first seed.
    file_seed = config.seeds[0] if point.distillation_steps else seed
    path = data.path(f"{name}_{size}_{FILES[condition]}_{file_seed}.lgc")
    if file_seed == seed or not path.exists():
        content = distilled_file.write(
            train.pixels, train.labels, size, point, jax.random.key(file_seed),
            upsampler_steps=config.choice.search.upsampler_steps,
        )  # fmt: skip
        container.save(path, content)
    decoded = decoded_sets.from_archive(path, config.per_class, seed)
    test, said = data.images(name, "test"), point.description()
    rows = [
        Row(
            name, size, condition, said, classifier, seed, path.stat().st_size,
            downstream.accuracy_percent(settings, decoded, test, seed), path,
        )
        for classifier, settings in config.classifiers.items()
        if seed == config.seeds[0] or classifier not in SHOWN_ONCE
    ]  # fmt: skip
    first = seed == config.seeds[0]
    extras = {"choices": {name: {str(size): {condition: plain(chosen)}}}} if first else {}
    return ex.Measurement(rows, extras)


def _point(
    settings: Settings, data: ex.Data, name: str, size: int, train: datasets.Images
) -> tuple[OperatingPoint, dict[str, Comparison]]:
    """Ours for so many bytes of a data set; stages are cached one by one."""

    def cached(stage: str, kind: type, compute: Callable[[], Any]) -> Any:
        return restore(kind, data.cached(f"{name}_{size}_{stage}", compute))

    distils = size <= settings.distilled_up_to.get(name, 0)
    with Bar(f"{name}, {size:,} bytes") as bar:
        return budget_search.search(
            train.pixels, train.labels, size, jax.random.key(0), config=settings.search,
            later=("distillation",) if distils else (), cached=cached, progress=bar,
        )  # fmt: skip


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Decode the file in a subprocess, train the classifier again, test it."""
    settings, test = config.classifiers[row.classifier], data.images(row.data, "test")
    return decoded_sets.percent_learned(row.file, config.per_class, row.seed, settings, test)


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Accuracy against bytes, one panel for each data set, with published results."""
    shown = [row for row in records["cpu"].of(Row) if row.classifier not in SHOWN_ONCE]
    figure, axes = draw(EXPERIMENT, shown)
    red: dict[str, Any] = {"color": plots.PUBLISHED}
    for each in PUBLISHED:
        span, height = (each.values, each.float32_bytes), each.accuracy_percent
        axes[each.data].plot(span, (height, height), "|-", **red)
        axes[each.data].annotate(
            each.method.split()[0], (span[0], height), (-4, 0), textcoords="offset points",
            ha="right", va="center", fontsize="x-small", **red,
        )  # fmt: skip
    axes["mnist"].plot(PUBLISHED_BYTES, PUBLISHED_PERCENT, "*", ms=10, **red)
    for axis in axes.values():
        axis.set_xscale("log")  # powers of ten alone, over so many of them
        axis.plot([], [], "|-", **red, label="published: 8 to 32 bits; star: Gaussian mixtures")
        axis.legend(fontsize=7)
    return {"accuracy_against_bytes": figure}


EXPERIMENT = ex.of_module(
    __name__,
    (Row, Distillation),
    {
        "cpu": Config(),
        "smoke": Config(
            data=("digits",), budgets=(700,), first_seed_budgets=(), seeds=(0,),
            classifiers={"report_cnn": ClassifierConfig(steps=100)},
            choice=Settings(
                search=DistillConfig.quick(), distilled_up_to={}, proxy=ClassifierConfig(steps=20),
                second_proxy=ClassifierConfig("convnet", 5, 64, 2e-3, 4, True),
                proxy_per_class=20, strategies=(),
            ),
            per_class=50, validation_images=300,
        ),
    },
    published=PUBLISHED,
    data=lambda config: ", ".join(config.data),
    free=("seeds", "data", "budgets", "first_seed_budgets"),
    headline="lgc.mnist.12kB.convnet",
)  # fmt: skip
