"""Files of distilled images with a teacher: soft labels, hard labels, and the teacher alone.

A file of 12 kB with a given share for the teacher. The downsampling is chosen on validation images,
by a ConvNet that is trained on the soft labels of what a subprocess draws from the file. Then test
images are classified once by a ConvNet trained on hard labels, by one trained on soft ones, and by
the teacher.

Cost: cpu: 40 min a seed on 1 core; smoke (digits): 1 min.
Data: fashion_mnist.
"""

from dataclasses import dataclass
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
from fewbits.training.downstream import ClassifierConfig
from lgc.distillation import Downsampling, distilled_file
from lgc.distillation.augmentation import Augmentation
from lgc.distillation.distilled_file import OperatingPoint
from lgc.teachers import network, training
from lgc.teachers.mixing import Mixing


@dataclass(frozen=True)
class Config:
    data: str = "fashion_mnist"
    kilobytes: int = 12
    teacher_bytes: int = 3_700
    teacher_steps: int = 20_000
    downsamplings: tuple[Downsampling, ...] = (Downsampling(2, 2), Downsampling(3, 2))
    heavy: Mixing = Mixing(Augmentation(translation=4, flip=1), 25, 35)
    """For soft labels; hard ones have its ranges alone."""
    classifier: ClassifierConfig = decoded_sets.CONVNET
    seeds: tuple[int, ...] = (0,)
    per_class: int = 6_000
    validation_images: int = 5_000


class Row(NamedTuple):
    """Test accuracy of what a file with a teacher gives, %.

    ConvNet of width 32 trained on hard and on soft labels, and the teacher itself. Without a
    deviation it is one seed.
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


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> list[Row]:
    """Train the teacher, choose the downsampling, write the file, train and test."""
    ((seed,),) = trials
    whole = data.images(config.data, "train")
    train, validation = datasets.split_validation(whole, config.validation_images)
    weights = data.cached(f"teacher_{seed}", lambda: _teacher(config, train, seed).hex())
    teacher, accuracies = bytes.fromhex(weights), {}
    for downsampling in config.downsamplings:
        path = data.path(f"{config.data}_{downsampling.factor}_{downsampling.bits}_{seed}.lgc")
        point = OperatingPoint(downsampling, 0, config.heavy.ranges, 0.0, heavy=config.heavy)
        content = distilled_file.write(
            train.pixels, train.labels, 1000 * config.kilobytes, point, jax.random.key(seed),
            teacher=teacher,
        )  # fmt: skip
        container.save(path, content)
        accuracies[path] = data.cached(
            path.stem, lambda path=path: _percent(config, path, "soft", validation, seed)
        )
    best = max(accuracies, key=lambda path: accuracies[path])
    test = data.images(config.data, "test")
    return [
        Row(
            config.data, config.kilobytes, name, seed,
            len(teacher) if use == "alone" else best.stat().st_size,
            _percent(config, best, use, test, seed), best,
        )
        for name, use in USES.items()
    ]  # fmt: skip


USES = {"convnet.with_teacher": "hard", "convnet.soft": "soft", "teacher_alone": "alone"}


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """From the file, decoded again."""
    test = data.images(row.data, "test")
    return _percent(config, row.file, USES[row.use], test, row.seed)


def _teacher(config: Config, train: Images, seed: int) -> bytes:
    shape = train.pixels.shape[1:]
    width = network.width_for(shape, len(train.label_names), config.teacher_bytes)
    key = jax.random.fold_in(jax.random.key(seed), 1)
    classes = np.asarray(train.labels, np.int32)
    return training.train(
        key, train.pixels, classes, width, config.teacher_steps, ranges=config.heavy.ranges
    )


def _percent(config: Config, path: Path, use: str, test: Images, seed: int) -> float:
    if use == "alone":
        found = lgc.classify(path.read_bytes(), test.pixels).argmax(axis=1)
        return 100 * float(np.mean(found == test.labels))
    return decoded_sets.percent_learned(
        path, config.per_class, seed, config.classifier, test, heavy=use == "soft"
    )


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "cpu": Config(),
        "smoke": Config(
            "digits", 2, 900, 40, (Downsampling(1, 2),), per_class=20, validation_images=300,
            classifier=ClassifierConfig("convnet", 20, 64, 2e-3, 4, True),
        ),
    },
    headline="lgc.fashion_mnist.12kB.convnet.soft",
)  # fmt: skip
