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
import io
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets
from experiments.runner import experiment as ex
from experiments.runner import plots
from experiments.runner.rows import grouped
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.progress import Bar
from fewbits.training.downstream import ClassifierConfig
from lgc import Config as Mixtures
from lgc.coresets import lossless_subset
from lgc.groups import grouped_compression as compression
from lgc.groups import spuco_mnist
from lgc.groups.grouped import Architecture
from lgc.groups.grouped_compression import equal_groups
from lgc.groups.spuco_mnist import Colouring, Grouped

TrainingSet = Literal[
    "raw", "raw_equalised", "subset", "subset_equalised", "dense_natural", "dense_equalised",
    "convolutional_natural", "convolutional_equalised",
]  # fmt: skip
_SHOWN = 20
"""Images in each row of reconstructions."""


@dataclass(frozen=True)
class Config:
    data: str = "mnist"
    colouring: Colouring = Colouring()
    training_sets: tuple[TrainingSet, ...] = get_args(TrainingSet)
    archive: compression.Config = compression.Config()
    """Made with both decoders."""
    classifier: ClassifierConfig = decoded_sets.REPORT_CNN
    test: Literal["test", "validation"] = "test"
    """What is published, and what is for choices."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


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
        ex.Claim("lgc.spuco5.worst_group.raw",
                 when=lambda row: row.claimed and row.training_set == "raw"),
        ex.Claim("lgc.spuco5.worst_group.equalised", tolerance=2.0,
                 when=lambda row: row.claimed and row.training_set == "convolutional_equalised"),
    ]  # fmt: skip
    average_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("average, %")]
    even_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("groups' mean, %")]
    groups_percent: tuple[float, ...]
    """By class, then background."""
    file: Annotated[Path | None, ex.Artifact] = None

    @property
    def claimed(self) -> bool:
        """Whether it is of the literature's five classes."""
        return self.classes == 5


def measure(config: Config, trials: list[tuple[int, TrainingSet]], data: ex.Data) -> ex.Measurement:
    """Colour, compress, decode in a subprocess, train and test."""
    ((seed, name),) = trials
    train, test = _coloured(config, config.colouring, seed, data)
    kind, _, weights = name.partition("_")
    size = len(train.classes)
    path, pictures = None, {}
    if kind == "raw":
        rows = equal_groups(train.groups, size, seed) if weights else np.arange(size)
        decoded = train.pixels[rows], train.classes[rows]
    else:
        decoder = "convolutional" if kind == "subset" else kind
        path, pictures = _archive(config, data, decoder, seed, train, test)
        if kind == "subset":
            chosen = train.equalised(seed) if weights == "equalised" else train
            budget = path.stat().st_size
            content, _ = lossless_subset.largest(chosen.pixels, chosen.classes, budget, seed)
            path = data.path(f"spuco_{name}_{config.colouring.strength}_{seed}.bin")
            container.save(path, content)
            decoded = decoded_sets.from_subset(path, size, seed)
        else:
            per_group = None if weights == "natural" else size // len(train.counts())
            decoded = decoded_sets.from_archive(path, per_group, seed)
    found = spuco_mnist.learned(config.classifier, decoded, train, test, seed)
    row = Row(
        name, train.n_classes, config.colouring.strength, seed,
        path.stat().st_size if path else None,
        100 * found.worst, 100 * found.average, 100 * found.even,
        tuple(np.round(100 * found.each, 2).tolist()), path,
    )  # fmt: skip
    return ex.Measurement([row], {"pictures": pictures if seed == config.seeds[0] else {}})


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Draw from the archive again, train the classifier again, test it; percent."""
    assert row.file is not None
    colouring = replace(config.colouring, strength=row.strength)
    train, test = _coloured(config, colouring, row.seed, data)
    per_group = len(train.classes) // len(train.counts())
    decoded = decoded_sets.from_archive(row.file, per_group, row.seed)
    return 100 * spuco_mnist.learned(config.classifier, decoded, train, test, row.seed).worst


def _coloured(
    config: Config, colouring: Colouring, seed: int, data: ex.Data
) -> tuple[Grouped, Grouped]:
    """Training set, and the official test images or the validation part, as `config.test` says."""
    digits, others = data.images(config.data, "train"), data.images(config.data, "test")
    train, validation, test = spuco_mnist.benchmark(digits, others, colouring, seed)
    return train, test if config.test == "test" else validation


def _archive(
    config: Config, data: ex.Data, decoder: str, seed: int, train: Grouped, test: Grouped
) -> tuple[Path, dict[str, str]]:
    """Path of the archive, and test images as they are and through it."""
    name = f"spuco_{decoder}_{config.colouring.strength}_{seed}"
    architecture = replace(config.archive.architecture, decoder=decoder)
    shown = test.examples(_SHOWN)

    def compressed() -> tuple[np.ndarray, np.ndarray]:
        with Bar(f"{decoder}, seed {seed}") as bar:
            made = compression.compress(
                train.pixels, train.classes, train.backgrounds,
                config=replace(config.archive, architecture=architecture),
                key=jax.random.key(seed), progress=bar,
            )  # fmt: skip
        return np.frombuffer(made.data, np.uint8), made.reconstruct(shown.pixels, shown.backgrounds)

    archive, reconstructed = data.cached_tree(name, compressed).values()
    path = data.path(f"{name}.lgc")
    container.save(path, archive.tobytes())
    return path, {"originals": pack(shown.pixels), decoder: pack(reconstructed)}


def pack(images: np.ndarray) -> str:
    """Images as text: compressed, in base 64."""
    file = io.BytesIO()
    np.savez_compressed(file, images)
    return base64.b64encode(file.getvalue()).decode()


def unpack(text: str) -> np.ndarray:
    """The images that `pack` was given."""
    with np.load(io.BytesIO(base64.b64decode(text))) as arrays:
        return arrays["arr_0"]


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Mean accuracy of every (class, background), a map for each training set; reconstructions."""
    paper = records["paper"]
    by_set = grouped(paper.rows, lambda row: row.training_set)
    columns = min(4, len(by_set))
    maps, axes = plots.subplots(columns, rows=-(-len(by_set) // columns), width=2.1, height=2.4)
    for spare in axes[len(by_set) :]:
        spare.set_visible(False)
    for axis, (name, mine) in zip(axes, by_set.items(), strict=False):
        each = np.mean([row.groups_percent for row in mine], axis=0)
        each = each.reshape(mine[0].classes, mine[0].classes)
        plots.heat_map(axis, each, ".0f", 6, cmap="viridis", vmin=0, vmax=100)
        axis.set(xlabel="background", ylabel="class")
        axis.set_title(name.replace("_", " "), loc="left", fontsize=7)
    strips = [
        (title.replace("_", " "), unpack(text)) for title, text in paper.extras["pictures"].items()
    ]
    return {"groups": maps, **({"reconstructions": plots.image_grid(strips)} if strips else {})}


_FEW: tuple[TrainingSet, ...] = (
    "raw", "raw_equalised", "convolutional_natural", "convolutional_equalised",
)  # fmt: skip

EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "paper": Config(),
        "ten": Config(
            colouring=Colouring(n_classes=10, palette="tab10", label_noise=0.001, strength=0.99),
            training_sets=_FEW,
            seeds=(0, 1, 2),
        ),
        "smoke": Config(
            data="digits",
            colouring=Colouring(strength=0.9),
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
    grid=lambda config: product(config.seeds, config.training_sets),
    data=lambda config: f"coloured by lgc/groups/spuco_mnist.py: "
    f"{datasets.SOURCES[config.data].note}",
    free=("seeds", "training_sets"),
    headline="lgc.spuco5.worst_group.equalised",
)  # fmt: skip
