"""SpuCo MNIST: worst-group accuracy of raw data, subsets and equalised archives.

SpuCo MNIST (`lgc.groups.spuco_mnist`): five classes of two digits on five background colours, of
which each class has its own in 99.5 % of the training images. Classifiers that read the background
are right on average and wrong in the worst group. They are trained, for equally many steps, on: all
images; a lossless random subset of the convolutional archive's bytes; what a subprocess draws from
that archive with the training set's own group sizes (`natural`) or with equal ones (`equalised`),
which costs no bytes since the file holds classes and backgrounds apart. Groups are the known
colours; `raw_equalised` and `subset_equalised` know them too, and repeat the rare images. The same
again with a dense decoder. Official test images, all groups equally large; choices belong to the
validation part (`--test validation`).

Cost: paper: 1.2 h on 1 core; smoke (digits): 1 min.
Data: mnist.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import jax
import numpy as np

from experiments.common import decoded_sets
from experiments.dataset_compression import spuco_figures
from experiments.runner import experiment as ex
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.progress import Bar
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc import Config as Mixtures
from lgc.coresets import lossless_subset
from lgc.groups import grouped_compression as compression
from lgc.groups.grouped import Architecture
from lgc.groups.grouped_compression import equal_groups
from lgc.groups.spuco_mnist import (
    VALIDATION_SHARE,
    Colouring,
    GroupAccuracies,
    Grouped,
    balanced_set,
    group_accuracies,
    training_set,
)

TrainingSet = Literal[
    "raw", "raw_equalised", "subset", "subset_equalised", "dense_natural", "dense_equalised",
    "convolutional_natural", "convolutional_equalised",
]  # fmt: skip
USUAL_STRENGTH = 0.995


@dataclass(frozen=True)
class Config:
    """One run of the experiment.

    Attributes:
      data: name of the data set whose digits are coloured.
      colouring: how; its strength is replaced by each of `strengths`.
      strengths: shares of a class's training images on its own background.
      training_sets: of the classifiers.
      archive: how archives are made; each with both decoders.
      classifier: the network and its training.
      test: "test" for published numbers, "validation" for choices.
      seeds: of colouring, training and drawing.
    """

    data: str = "mnist"
    colouring: Colouring = Colouring()
    strengths: tuple[float, ...] = (USUAL_STRENGTH,)
    training_sets: tuple[TrainingSet, ...] = get_args(TrainingSet)
    archive: compression.Config = compression.Config()
    classifier: ClassifierConfig = ClassifierConfig(steps=8_000, falling=True)
    test: Literal["test", "validation"] = "test"
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


class Trial(NamedTuple):
    """One classifier."""

    training_set: TrainingSet
    strength: float
    seed: int


class Row(NamedTuple):
    """Spurious backgrounds.

    Mean ± standard deviation over seeds; official test digits, every background equally frequent in
    each class. Average: groups weighted as in training. Raw: all images, no file. Convolutional and
    dense: archives with that decoder, drawn with the training set's group sizes (natural) or with
    equal ones; the subset has the convolutional archive's bytes.
    """

    training_set: Annotated[TrainingSet, ex.Key]
    classes: Annotated[int, ex.Key, ex.Column("classes and colours")]
    strength: Annotated[float, ex.Key, ex.Column(format="g")]
    seed: int
    bytes: Annotated[int | None, ex.Over(np.mean), ex.Column(format=",.0f")]
    worst_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Column("worst group, %"),
        ex.Claim("lgc.spuco5.worst_group.raw{suffix}",
                 when=lambda row: row.claimed and row.training_set == "raw"),
        ex.Claim("lgc.spuco5.worst_group.equalised{suffix}", tolerance=2.0,
                 when=lambda row: row.claimed and row.training_set == "convolutional_equalised"),
    ]  # fmt: skip
    average_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("average, %")]
    even_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("groups' mean, %")]
    groups_percent: tuple[float, ...]
    """By class, then background."""
    finite: bool
    file: Annotated[Path | None, ex.Artifact] = None

    @property
    def claimed(self) -> bool:
        """Whether it is of the literature's five classes."""
        return self.classes == 5

    @property
    def suffix(self) -> str:
        """Of the claim's id."""
        return "" if self.strength == USUAL_STRENGTH else f".{self.strength:g}"


def grid(config: Config) -> Iterator[Trial]:
    for strength in config.strengths:
        for seed in config.seeds:
            yield from (Trial(name, strength, seed) for name in config.training_sets)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> ex.Measurement:
    """Colour, compress, decode in a subprocess, train and test."""
    (trial,) = trials
    train, test = coloured(config, trial.strength, trial.seed, data)
    kind, _, weights = trial.training_set.partition("_")
    size, seed = len(train.classes), trial.seed
    path, pictures = None, {}
    if kind == "raw":
        rows = equal_groups(train.groups, size, seed) if weights else np.arange(size)
        decoded = train.pixels[rows], train.classes[rows]
    else:
        decoder = "convolutional" if kind == "subset" else kind
        path, pictures = _archive(config, data, decoder, trial, train, test)
        if kind == "subset":
            content = _subset(train, path.stat().st_size, weights == "equalised", seed)
            path = data.path(f"spuco_{trial.training_set}_{trial.strength}_{seed}.bin")
            container.save(path, content)
            decoded = decoded_sets.from_subset(path, size, seed)
        else:
            per_group = None if weights == "natural" else size // len(train.counts())
            decoded = decoded_sets.from_archive(path, per_group, seed)
    found, finite = _group_accuracies(config.classifier, decoded, train, test, seed)
    row = Row(
        *trial[:1], train.n_classes, *trial[1:], path.stat().st_size if path else None,
        100 * found.worst, 100 * found.average, 100 * found.even,
        tuple(np.round(100 * found.each, 2).tolist()), finite, path,
    )  # fmt: skip
    return ex.Measurement([row], {"pictures": pictures})


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Draw from the archive again, train the classifier again, test it; percent."""
    assert row.file is not None
    train, test = coloured(config, row.strength, row.seed, data)
    per_group = len(train.classes) // len(train.counts())
    decoded = decoded_sets.from_archive(row.file, per_group, row.seed)
    return 100 * _group_accuracies(config.classifier, decoded, train, test, row.seed)[0].worst


def coloured(config: Config, strength: float, seed: int, data: ex.Data) -> tuple[Grouped, Grouped]:
    """Training set, and the official test images or the validation part, as `config.test` says.

    The validation part and its colours do not depend on the seed, nor do the test's colours.
    """
    colouring = replace(config.colouring, strength=strength)
    digits = data.images(config.data, "train")
    held_out = round(VALIDATION_SHARE * len(digits.labels))
    digits, test = datasets.split_validation(digits, held_out)
    if config.test == "test":
        test = data.images(config.data, "test")
    return training_set(digits, colouring, seed), balanced_set(test, colouring, 0)


def _group_accuracies(
    classifier: ClassifierConfig,
    images: tuple[np.ndarray, np.ndarray],
    train: Grouped,
    test: Grouped,
    seed: int,
) -> tuple[GroupAccuracies, bool]:
    outcome = downstream.train(classifier, [images], test.images(), seeds=(seed,), runs_per_chunk=1)
    predictions = np.asarray(outcome.predictions)[0, 0]
    return group_accuracies(predictions, test, train.counts()), bool(outcome.finite[0, 0])


def _subset(train: Grouped, budget_bytes: int, equalised: bool, seed: int) -> bytes:
    """The largest random subset that fits; equalised, from as many images of every group."""
    if equalised:
        present = int(np.count_nonzero(train.counts()))
        fewest = train.counts()[train.counts() > 0].min()
        train = train.take(equal_groups(train.groups, int(fewest) * present, seed))
    return lossless_subset.largest(train.pixels, train.classes, budget_bytes, seed)[0]


def _archive(
    config: Config, data: ex.Data, decoder: str, trial: Trial, train: Grouped, test: Grouped
) -> tuple[Path, dict[str, str]]:
    """Path of the archive, and pictures of the first one's reconstructions."""
    name = f"spuco_{decoder}_{trial.strength}_{trial.seed}"
    architecture = replace(config.archive.architecture, decoder=decoder)

    def compressed() -> dict[str, Any]:
        with Bar(f"{decoder}, strength {trial.strength}, seed {trial.seed}") as bar:
            made = compression.compress(
                train.pixels, train.classes, train.backgrounds,
                config=replace(config.archive, architecture=architecture),
                key=jax.random.key(trial.seed), progress=bar,
            )  # fmt: skip
        pictures = {}
        if trial[1:] == (config.strengths[0], config.seeds[0]):
            shown = spuco_figures.shown_of(test)
            reconstructed = made.reconstruct(shown.pixels, shown.backgrounds)
            pictures = {"originals": shown.pixels, decoder: reconstructed}
        return {
            "archive": base64.b64encode(made.data).decode(),
            "pictures": {name: spuco_figures.pack(each) for name, each in pictures.items()},
        }

    stage, path = data.cached(name, compressed), data.path(f"{name}.lgc")
    container.save(path, base64.b64decode(stage["archive"]))
    return path, stage["pictures"]


_FEW: tuple[TrainingSet, ...] = (
    "raw", "raw_equalised", "convolutional_natural", "convolutional_equalised",
)  # fmt: skip

EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "paper": Config(),
        "strengths": Config(
            strengths=(0.9, 0.97, 0.99, 0.999), training_sets=_FEW, seeds=(0, 1, 2)
        ),
        "ten": Config(
            colouring=Colouring(n_classes=10, palette="tab10", label_noise=0.001),
            strengths=(0.99,),
            training_sets=_FEW,
            seeds=(0, 1, 2),
        ),
        "smoke": Config(
            data="digits",
            strengths=(0.9,),
            training_sets=("raw", "subset", "convolutional_equalised"),
            archive=compression.Config(
                Architecture(latent=4, hidden=32, dense_hidden=(16,), widths=(4, 4, 4)),
                steps=60,
                mixtures=Mixtures(components=1),
            ),
            classifier=ClassifierConfig(steps=60),
            seeds=(0,),
        ),
    },
    figures=spuco_figures.draw,
    data=lambda config: f"coloured by lgc/groups/spuco_mnist.py: "
    f"{datasets.SOURCES[config.data].note}",
    free=("seeds", "training_sets", "strengths"),
    headline="lgc.spuco5.worst_group.equalised",
)  # fmt: skip
