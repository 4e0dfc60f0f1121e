"""Accuracy against bytes, 1 kB to 1 MB, beside the best subset of the same bytes.

For every data set and budget two things are chosen on validation images: the operating point of
`lgc.distill`, and the best baseline among lossless and quantised subsets, at random or as coresets,
with our augmentation or without. Then every seed writes its files, a subprocess decodes and draws
60,000 images from each, and three classifiers are trained on them with hard labels and tested on
the official test set.

Cost: cpu: 30 min a choice, 15 more to distil, 10 min a file on 1 core; smoke (digits): 1 min.
Data: mnist, fashion_mnist.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets
from experiments.dataset_compression import lgc_rate_curve_choices as choices
from experiments.dataset_compression.lgc_mnist import PUBLISHED_BYTES, PUBLISHED_PERCENT
from experiments.runner import experiment as ex
from experiments.runner import plots
from experiments.runner.folder import plain
from experiments.runner.rows import grouped, mean_over_seeds, restore
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc.distillation import BestSubset, Downsampling, best_subset
from lgc.distillation.augmentation import NONE
from lgc.distillation.search.config import DistillConfig

FILES = {"lgc": "ours", "best subset": "subset"}
"""Condition -> part of its files' names."""
CLAIMED_UP_TO = 100_000
"""Bytes: larger files are measured, not published."""


@dataclass(frozen=True)
class Config:
    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    budgets: tuple[int, ...] = (12_000, 30_000, 100_000)
    """Bytes, with all seeds."""
    first_seed_budgets: tuple[int, ...] = (1_000, 1_000_000)
    """With the first seed alone, to draw the curve."""
    classifiers: dict[str, ClassifierConfig] = field(
        default_factory=lambda: {
            "convnet": ClassifierConfig("convnet", 4_000, 64, 2e-3, 32, True),
            "lenet5": ClassifierConfig("lenet_5_caffe", 4_000, 64, 1e-3, None, True),
            "report_cnn": ClassifierConfig(steps=8_000, falling=True),
        }
    )
    first_seed_classifiers: tuple[str, ...] = ("lenet5",)
    """Trained with the first seed alone."""
    choice: choices.Settings = choices.Settings()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    per_class: int = 6_000
    validation_images: int = 5_000


class Trial(NamedTuple):
    """One file."""

    data: str
    budget_bytes: int
    seed: int
    condition: str


class Row(NamedTuple):
    """Test accuracy at equal bytes, %.

    Mean ± standard deviation over seeds (one seed without ±); hard labels, official test set.
    Operating points were chosen on validation images. `report_cnn` is the small CNN of "Latent
    Gaussian Compression".
    """

    data: Annotated[str, ex.Key]
    budget_bytes: Annotated[int, ex.Key, ex.Column("bytes at most")]
    condition: Annotated[str, ex.Key, ex.Column("file")]
    chosen: Annotated[str, ex.Column("operating point")]
    classifier: Annotated[str, ex.Key, ex.Across]
    seed: int
    bytes: int
    accuracy_percent: Annotated[
        float, ex.MeanOverSeeds("%"),
        ex.Claim("lgc.{data}.{kilobytes}kB.{classifier}{suffix}", 0.5,
                 when=lambda row: row.budget_bytes <= CLAIMED_UP_TO and row.classifier != "lenet5"),
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


class Gain(NamedTuple):
    """Difference to the best subset, mean over the logarithm of the bytes, points."""

    data: Annotated[str, ex.Key]
    classifier: Annotated[str, ex.Key, ex.Across]
    points: Annotated[float, ex.Over(np.mean), ex.Column(format="+.2f")]


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
                yield from (Trial(name, size, seed, condition) for condition in FILES)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> ex.Measurement:
    """Choose, write, decode in a subprocess, train and test."""
    ((name, size, seed, condition),) = trials
    whole = data.images(name, "train")
    train, validation = datasets.split_validation(whole, config.validation_images)
    point, compared = choices.search(config.choice, data, name, size, train)
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
        container.save(path, choices.file(config.choice, train, size, point, file_seed))
    decoded = decoded_sets.from_archive(path, config.per_class, seed)
    test, said = data.images(name, "test"), point.description()
    rows = [
        Row(
            name, size, condition, said, classifier, seed, path.stat().st_size,
            downstream.accuracy_percent(settings, decoded, test, seed), path,
        )
        for classifier, settings in config.classifiers.items()
        if seed == config.seeds[0] or classifier not in config.first_seed_classifiers
    ]  # fmt: skip
    first = seed == config.seeds[0]
    extras = {"choices": {name: {str(size): {condition: plain(chosen)}}}} if first else {}
    return ex.Measurement(rows, extras)


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Decode the file in a subprocess, train the classifier again, test it."""
    settings, test = config.classifiers[row.classifier], data.images(row.data, "test")
    return decoded_sets.percent_learned(row.file, config.per_class, row.seed, settings, test)


def derive(record: ex.Record) -> list[Gain]:
    """The area between the curves of files and subsets over the width of the budgets."""
    found = []
    by_curve = grouped(record.of(Row), lambda row: (row.data, row.classifier))
    for (data, classifier), mine in by_curve.items():
        sizes = sorted({row.budget_bytes for row in mine})
        ours, theirs = (
            np.array([
                mean_over_seeds(mine, "accuracy_percent", budget_bytes=size, condition=each).mean
                for size in sizes
            ])
            for each in FILES
        )  # fmt: skip
        logarithm = np.log(sizes)
        width = logarithm[-1] - logarithm[0]
        area = np.trapezoid(ours - theirs, logarithm) / width if width else (ours - theirs)[0]
        found.append(Gain(data, classifier, float(area)))
    return found


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Accuracy against bytes, one panel for each data set."""
    measured = records["cpu"].of(Row)
    by_data = grouped(measured, lambda row: row.data)
    figure, axes = plots.subplots(len(by_data), width=8.0)
    colours = {"lgc": plots.OURS, "best subset": plots.BASELINE}
    shown = {"convnet": ("ConvNet", "o-"), "report_cnn": ("small CNN", "o--")}
    for axis, (data, mine) in zip(axes, by_data.items(), strict=True):
        by_curve = grouped(mine, lambda row: (row.condition, row.classifier))
        for (condition, name), curve in by_curve.items():
            if name in shown:
                title, style = shown[name]
                points = grouped(curve, lambda row: row.budget_bytes)
                found = [mean_over_seeds(each, "accuracy_percent") for each in points.values()]
                axis.errorbar(
                    list(points), [each.mean for each in found], [each.std or 0 for each in found],
                    fmt=style, color=colours[condition], capsize=3, label=f"{condition}, {title}",
                )  # fmt: skip
        red: dict[str, Any] = {"color": plots.PUBLISHED}
        if data == "mnist":
            label = "Latent Gaussian Compression, as published"
            axis.plot(PUBLISHED_BYTES, PUBLISHED_PERCENT, "*", ms=10, label=label, **red)
        for number, each in enumerate(row for row in PUBLISHED if row.data == data):
            label = None if number else "published distillations, 8 to 32 bits"
            span, height = (each.values, each.float32_bytes), each.accuracy_percent
            axis.plot(span, (height, height), "|-", label=label, **red)
            axis.annotate(
                each.method.split()[0], (span[0], height), (-4, 0), textcoords="offset points",
                ha="right", va="center", fontsize="x-small", **red,
            )  # fmt: skip
        axis.set(xscale="log", xlabel="bytes on disk", ylabel="test accuracy, %")
        axis.set_title(data, loc="left")
        axis.legend(fontsize="small")
    return {"accuracy_against_bytes": figure}


_QUICK = DistillConfig(
    downsamplings=(Downsampling(1, 2),), augmentations=(NONE,), candidate_upsampler_steps=5,
    upsampler_steps=20, screening_steps=5, final_steps=5, finalists=1, proxy_images_per_class=20,
    proxy_width=4, proxy_batch_size=16, strategies=(), distillation_steps=0, evaluation_seeds=1,
    brightness_percent=(30,),
)  # fmt: skip

EXPERIMENT = ex.of_module(
    __name__,
    (Row, Gain, Distillation),
    {
        "cpu": Config(),
        "smoke": Config(
            data=("digits",),
            budgets=(700,),
            first_seed_budgets=(),
            classifiers={"report_cnn": ClassifierConfig(steps=100)},
            choice=choices.Settings(
                search=_QUICK,
                brightness=("digits",),
                distilled_up_to={},
                proxy=ClassifierConfig(steps=20),
                second_proxy=ClassifierConfig("convnet", 5, 64, 2e-3, 4, True),
                proxy_per_class=20,
                strategies=(),
            ),
            seeds=(0,),
            per_class=50,
            validation_images=300,
        ),
    },
    published=PUBLISHED,
    data=lambda config: ", ".join(config.data),
    free=("seeds", "data", "budgets", "first_seed_budgets"),
    headline="lgc.mnist.12kB.convnet",
)
