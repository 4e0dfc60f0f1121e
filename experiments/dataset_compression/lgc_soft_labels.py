"""Files of distilled images with a teacher: soft labels, hard labels, and the teacher alone.

Images of two or four grey levels and a teacher; all points were chosen on validation images.
A subprocess draws images, mixed and cut, for a ConvNet that learns their hard labels, another that
learns the soft ones, and the published CNN. Of CIFAR-10 (JPEG pixels), beside random images of the
same bytes under WebP or AVIF, at the quality that teaches ridge most on validation images.

Cost: a preset: 15 min a seed on 1 core, cifar: 30 min; smoke (digits): 1 min.
Data: fashion_mnist, mnist, cifar10_jpeg; smoke: digits (embedded).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import numpy as np

import lgc
from experiments.common import decoded_sets
from experiments.runner import experiment as ex
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.datasets import Images
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc.distillation import Downsampling, distilled_file
from lgc.distillation.augmentation import MILD, Augmentation, augmented_set
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import panel, plain_codecs, teaching
from lgc.distillation.search.config import WIDE
from lgc.teachers import network, training
from lgc.teachers.mixing import Mixing

NO_FLIPS, FEW_IMAGES = Mixing(WIDE, 25, 35), teaching.mixings(WIDE, 50)[-1]
ALONE, CODEC = (-1, "teacher"), (0, "codec")
USES = {
    "convnet.with_teacher": (0, "hard"), "convnet.soft": (0, "soft"),
    "report_cnn.soft": (1, "soft"), "teacher_alone": ALONE, "convnet.best_codec": CODEC,
}  # fmt: skip
"""Number of the classifier, and which labels of the teacher, or what else, it learns from."""


@dataclass(frozen=True)
class Config:
    kilobytes: int
    teacher_bytes: int
    data: str = "fashion_mnist"
    teacher_steps: int = 16_000
    downsampling: Downsampling = Downsampling(2, 2)
    width: int = 8  # of the upsampler
    heavy: Mixing = Mixing(Augmentation(translation=4, flip=1), 25, 35)
    bits_weight: float = 0.0
    contrast: int = 0
    temperature: float = 1.0
    uses: tuple[str, ...] = tuple(USES)[:4]
    """Names in `USES`."""
    classifiers: tuple[ClassifierConfig, ...] = (decoded_sets.CONVNET, decoded_sets.REPORT_CNN)
    seeds: tuple[int, ...] = (0, 1, 2)
    per_class: int = 6_000
    validation_images: int = 5_000


class Row(NamedTuple):
    """Test accuracy of what a file with a teacher gives, %.

    ConvNet of width 32 trained on hard and on soft labels, the published CNN of 5,254 parameters on
    soft ones, and the teacher itself. Without a deviation it is one seed.
    """

    data: Annotated[str, ex.Key]
    kilobytes: Annotated[int, ex.Key, ex.Column("kB at most")]
    use: Annotated[str, ex.Key]
    seed: int
    bytes: Annotated[int, ex.Over(max), ex.Column("bytes", ",.0f")]
    accuracy_percent: Annotated[
        float, ex.MeanOverSeeds("%"),
        ex.Claim("lgc.{data}.{kilobytes}kB.{use}", 0.5),
    ]  # fmt: skip
    file: Annotated[Path, ex.Artifact]
    gain_points: Annotated[
        float | None, ex.MeanOverSeeds("points"), ex.Column("gain of the better", "+.2f"),
        ex.Claim("lgc.{data}.{kilobytes}kB.gain_points", 0.5),
    ] = None  # fmt: skip


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> list[Row]:
    """Train the teacher, write the file, train classifiers on what it gives, and test them."""
    ((seed,),) = trials
    whole = data.images(config.data, "train")
    train, _ = datasets.split_validation(whole, config.validation_images)
    path = data.path(f"{config.data}_{config.kilobytes}_{seed}.lgc")
    options = {"heavy": config.heavy, "contrast": config.contrast}
    point = OperatingPoint(config.downsampling, config.width, config.heavy.ranges, 0.0, **options)
    teacher = bytes.fromhex(data.cached(f"teacher_{seed}", lambda: _teacher(config, train, seed)))
    spec = (1000 * config.kilobytes, point, jax.random.key(seed))
    content = distilled_file.write(*train[:2], *spec, teacher=teacher)
    container.save(path, content)
    sizes, both = {ALONE: len(teacher)}, (config.data, config.kilobytes)
    found: dict[str, float] = {}
    for name in config.uses:
        measured = partial(_percent, config, path, name, seed, data)
        found[name] = data.cached(f"{name}_{seed}", measured)
    return [
        Row(*both, use, seed, sizes.get(USES[use], len(content)), percent, path, _gain(found, use))
        for use, percent in found.items()
    ]


def recompute(config: Config, row: Row, data: ex.Data) -> dict[str, float | None]:
    """From the file, decoded again."""
    names = config.uses if row.gain_points is not None else (row.use,)
    found = {name: _percent(config, row.file, name, row.seed, data) for name in names}
    return {"accuracy_percent": found[row.use], "gain_points": _gain(found, row.use)}


def _gain(found: dict[str, float], name: str) -> float | None:
    better = max((p for use, p in found.items() if USES[use][1] in ("hard", "soft")), default=0.0)
    return better - found[name] if USES[name] == CODEC else None


def _teacher(config: Config, train: Images, seed: int) -> str:
    pixels, classes = train.pixels, np.asarray(train.labels, np.int32)
    width = network.width_for(pixels.shape[1:], len(train.label_names), config.teacher_bytes)
    options = {"ranges": config.heavy.ranges, "bits_weight": config.bits_weight}
    key = jax.random.fold_in(jax.random.key(seed), 1)
    return training.train(key, pixels, classes, width, config.teacher_steps, **options).hex()


def _percent(config: Config, path: Path, name: str, seed: int, data: ex.Data) -> float:
    test, (number, source) = data.images(config.data, "test"), USES[name]
    if USES[name] == ALONE:
        found = lgc.classify(path.read_bytes(), test.pixels).argmax(axis=1)
        return 100 * float(np.mean(found == test.labels))
    if USES[name] == CODEC:
        drawn = _best_codec(config, seed, data)
    else:
        options = {"by_teacher": source, "temperature": config.temperature}
        drawn = decoded_sets.from_archive(path, config.per_class, seed, **options)
    return downstream.accuracy_percent(config.classifiers[number], drawn, test, seed)


def _best_codec(config: Config, seed: int, data: ex.Data) -> panel.TrainingSet:
    """Images drawn from random ones under WebP or AVIF, at the quality that teaches ridge most."""
    whole = data.images(config.data, "train")
    train, validation = datasets.split_validation(whole, config.validation_images)
    files = plain_codecs.plain_files(*train[:2], 1000 * config.kilobytes)
    theirs = [each.images for each in files if each.name.startswith(("webp", "avif"))]
    best = max(theirs, key=lambda images: panel.ridge(images, *validation[:2]))
    return augmented_set(seed, *best, config.per_class, MILD)


_FINE, _CRUDE, _FIVE = Downsampling(1, 2), Downsampling(2, 1), (0, 1, 2, 3, 4)
_BESIDE_CODECS = tuple(name for name in USES if name != "report_cnn.soft")

EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "fashion_12": Config(12, 4_000, seeds=_FIVE),
        "fashion_30": Config(30, 4_000, downsampling=_FINE, width=0),
        "fashion_100": Config(100, 4_000, downsampling=_FINE, width=0),
        "mnist_1": Config(1, 560, "mnist", 30_000, _CRUDE, 0, FEW_IMAGES, 1e-4, 200),
        "mnist_12": Config(12, 4_000, "mnist", 16_000, _CRUDE, 8, NO_FLIPS, 0, 0, 4.0, seeds=_FIVE),
        "mnist_30": Config(30, 9_000, "mnist", 16_000, _CRUDE, 8, NO_FLIPS, 0, 0, 4.0),
        "cifar_30": Config(30, 8_600, "cifar10_jpeg", uses=_BESIDE_CODECS, seeds=(0,)),
        "cifar_100": Config(100, 8_600, "cifar10_jpeg", uses=_BESIDE_CODECS, seeds=(0,)),
        "smoke": Config(
            2, 900, "digits", 40, _FINE, 0, NO_FLIPS, 1e-4, seeds=(0,),
            classifiers=(ClassifierConfig("convnet", 20, 64, 2e-3, 4, True),) * 2, per_class=20,
            validation_images=300, uses=tuple(USES),
        ),
    },
    headline="lgc.fashion_mnist.12kB.convnet.soft",
)  # fmt: skip
