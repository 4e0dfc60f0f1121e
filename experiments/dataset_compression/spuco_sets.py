"""What SpuCo MNIST's students are trained on: raw images, subsets and archives of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import jax
import numpy as np

from experiments.common import decoded_sets
from experiments.common.downstream import StudentConfig
from experiments.dataset_compression import spuco_figures
from experiments.runner.records import Run, write_json
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.progress import Bar
from lgc.coresets import lossless_subset
from lgc.groups import grouped_compression as compression
from lgc.groups.grouped_compression import equal_groups
from lgc.groups.spuco_mnist import VALIDATION_SHARE, Colouring, Grouped, balanced_set, training_set

Arm = Literal[
    "raw",
    "raw_equalised",
    "subset",
    "subset_equalised",
    "dense_natural",
    "dense_equalised",
    "convolutional_natural",
    "convolutional_equalised",
]
Decoder = Literal["dense", "convolutional"]


@dataclass(frozen=True)
class Config:
    """One run of the experiment.

    Attributes:
      data: name of the data set whose digits are coloured.
      recipe: how; its strength is replaced by each of `strengths`.
      strengths: shares of a class's training images on its own background.
      arms: training sets of the students.
      archive: how archives are made; each with both decoders.
      student: the judge, and its training.
      test: images that judge: "test" for a report, "validation" for choices.
      seeds: of colouring, training and drawing.
    """

    data: str = "mnist"
    recipe: Colouring = Colouring()
    strengths: tuple[float, ...] = (0.995,)
    arms: tuple[Arm, ...] = get_args(Arm)
    archive: compression.Config = compression.Config()
    student: StudentConfig = StudentConfig(steps=8_000, falling=True)
    test: Literal["test", "validation"] = "test"
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


def coloured(
    config: Config, strength: float, seed: int, data_dir: str | None
) -> tuple[Grouped, Grouped]:
    """Training set, and the set that judges: the test images, or the validation part.

    The validation part and its colours do not depend on the seed, nor do the test's colours.
    """
    recipe = Colouring(**{**config.recipe.__dict__, "strength": strength})
    digits = datasets.load(config.data, "train", data_dir=data_dir)
    held = round(VALIDATION_SHARE * len(digits.labels))
    digits, judges = datasets.split_validation(digits, held)
    if config.test == "test":
        judges = datasets.load(config.data, "test", data_dir=data_dir)
    return training_set(digits, recipe, seed), balanced_set(judges, recipe, 0)


def for_arm(
    config: Config, run: Run, arm: Arm, strength: float, seed: int, train: Grouped, test: Grouped
) -> tuple[np.ndarray, np.ndarray, int | None]:
    """Images, labels and bytes of the file they came from; None where there is no file."""
    size = len(train.classes)
    kind, _, weights = arm.partition("_")
    if kind == "raw":
        rows = equal_groups(train.groups, size, seed) if weights else np.arange(size)
        return train.pixels[rows], train.classes[rows], None
    if kind == "subset":
        archive = _archive(config, run, "convolutional", strength, seed, train, test)
        data = _subset(train, archive.stat().st_size, weights == "equalised", seed)
        path = run.folder / "archives" / f"spuco_{arm}_{strength}_{seed}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        container.save(path, data)
        return *decoded_sets.from_subset(path, size, seed), path.stat().st_size
    assert kind in ("dense", "convolutional")
    path = _archive(config, run, kind, strength, seed, train, test)
    per_group = None if weights == "natural" else size // len(train.counts())
    return *decoded_sets.from_archive(path, per_group, seed), path.stat().st_size


def _subset(train: Grouped, budget_bytes: int, equalised: bool, seed: int) -> bytes:
    """The largest random subset that fits; equalised, from as many images of every group."""
    if equalised:
        present = int(np.count_nonzero(train.counts()))
        fewest = train.counts()[train.counts() > 0].min()
        train = train.take(equal_groups(train.groups, int(fewest) * present, seed))
    return lossless_subset.largest(train.pixels, train.classes, budget_bytes, seed)[0]


def _archive(
    config: Config,
    run: Run,
    decoder: Decoder,
    strength: float,
    seed: int,
    train: Grouped,
    test: Grouped,
) -> Path:
    """Path of the archive, made now if it is not there yet."""
    path = path_of(config, run, decoder, strength, seed)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = replace(
        config.archive, architecture=replace(config.archive.architecture, decoder=decoder)
    )
    with Bar(f"{decoder}, strength {strength}, seed {seed}") as bar:
        made = compression.compress(
            train.pixels,
            train.classes,
            train.backgrounds,
            config=settings,
            key=jax.random.key(seed),
            progress=bar,
        )
    if seed == config.seeds[0] and strength == config.strengths[0]:
        shown = spuco_figures.shown_of(test)
        kept = {
            "originals": spuco_figures.pack(shown.pixels),
            decoder: spuco_figures.pack(made.reconstruct(shown.pixels, shown.backgrounds)),
        }
        write_json(run.folder / "pictures" / f"{decoder}.json", kept)
    container.save(path, made.data)
    return path


def path_of(config: Config, run: Run, decoder: str, strength: float, seed: int) -> Path:
    """Where an archive is kept: among the claims' artefacts if a claim rests on it."""
    kept = run.preset == "paper" and seed == config.seeds[0] and decoder == "convolutional"
    folder = run.artifacts if kept else run.folder / "archives"
    return folder / f"spuco_{decoder}_{strength}_{seed}.lgc"
