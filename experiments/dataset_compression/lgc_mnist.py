"""Latent Gaussian Compression of MNIST, vanilla autoencoder: 95.98 % at 3,080,064 bytes.

"Latent Gaussian Compression" (Zhao, Arihara, Tang and Webster) again, its model coded: autoencoder
784-128-64 and back, 30 epochs; full-covariance Gaussian mixtures per class, K by BIC; 60,000
decoded images train the published classifier of 5,254 parameters for 15 epochs (published: 50,
which takes 3.3 times as long); tested on the official 10,000.

Cost: paper: about 1 h on 2 cores; smoke: 1 min.
Data: mnist.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets
from experiments.runner import experiment as ex
from experiments.runner import plots
from experiments.runner.rows import grouped, mean_over_seeds
from fewbits.coding import container
from fewbits.io.datasets import Images
from fewbits.io.progress import Bar
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc import Config as Compression
from lgc import archive, compression
from lgc.coresets import lossless_subset

PUBLISHED_BYTES, PUBLISHED_PERCENT = 3_080_064, 95.98
CLAIMED = {"8-bit grid": "report_ae", "5-bit grid": "report_ae_5bit"}
"""Precisions that are claimed; 8 bits are the default of `fewbits lgc compress`."""
BASELINE = "8-bit grid"
"""The precision whose bytes the subset gets."""


@dataclass(frozen=True)
class Config:
    compression: Compression = Compression()
    classifier: ClassifierConfig = ClassifierConfig(steps=14_070)
    bits: tuple[str, ...] = ("float32", "8", "5")
    """Precisions at which each trained model is written; digits are k-bit grids."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    per_class: int = 6_000
    """Decoded images of each class."""
    train_images: int = 60_000
    runs_per_chunk: int | None = 1
    """Classifiers side by side: one is fastest on a CPU, None takes as many as fit in memory."""


class Row(NamedTuple):
    """The autoencoder of "Latent Gaussian Compression", coded.

    Mean ± standard deviation over seeds; official MNIST test set. Published accuracy: one run on
    10,000 held-out training images. `subset`: as many random training images, losslessly
    compressed, as fit the bytes of the 8-bit archive.
    """

    stored: Annotated[str, ex.Key, ex.Column("stored as")]
    seed: int | None
    bytes: Annotated[int, ex.Over(np.mean), ex.Column("bytes on disk", ",.0f")]
    accuracy_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Column("test accuracy, %"),
        ex.Claim("lgc.mnist.{claim}.accuracy", 0.5, when=lambda row: row.stored in CLAIMED),
    ]  # fmt: skip
    finite: bool | None = None
    components: tuple[int, ...] | None = None
    """Of each class's mixture."""
    images: int | None = None
    """In the subset."""
    file: Annotated[Path | None, ex.Artifact] = None

    @property
    def claim(self) -> str:
        """Part of the claim's id."""
        return CLAIMED[self.stored]


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> list[Row]:
    """One model written at every precision and the subset, each with its classifier."""
    ((seed,),) = trials
    train = data.images("mnist", "train").first(config.train_images)
    rows, training_sets = [], []
    for bits, content in _archives(train, config, seed):
        path = data.path(f"lgc_mnist_{bits}_seed{seed}.lgc")
        container.save(path, content)
        training_sets.append(decoded_sets.from_archive(path, config.per_class, seed))
        components = archive.read(content).components
        rows.append(Row(stored(bits), seed, len(content), np.nan, None, components, None, path))
    budget = next((row.bytes for row in rows if row.stored == BASELINE), rows[-1].bytes)
    content, count = lossless_subset.largest(train.pixels, train.labels, budget, seed)
    path = data.path(f"lgc_mnist_subset_seed{seed}.bin")
    container.save(path, content)
    training_sets.append(decoded_sets.from_subset(path, len(training_sets[0][1]), seed))
    rows.append(Row("subset", seed, len(content), np.nan, None, None, count, path))
    with Bar(f"seed {seed}: training {len(training_sets)} classifiers") as bar:
        outcome = downstream.train(
            config.classifier, training_sets, data.images("mnist", "test"), seeds=(seed,),
            runs_per_chunk=config.runs_per_chunk, progress=bar,
        )  # fmt: skip
    accuracy, finite = 100 * np.asarray(outcome.accuracy[:, 0]), np.asarray(outcome.finite[:, 0])
    return [
        row._replace(accuracy_percent=float(percent), finite=bool(whole))
        for row, percent, whole in zip(rows, accuracy, finite, strict=True)
    ]


def _archives(train: Images, config: Config, seed: int) -> Iterator[tuple[str, bytes]]:
    """One trained model at every precision."""
    with Bar(f"seed {seed}") as bar:
        fitted = compression.fit(
            train.pixels, train.labels, config=config.compression, key=jax.random.key(seed),
            progress=bar,
        )  # fmt: skip
    for name in config.bits:
        bits: Any = int(name) if name.isdecimal() else name
        yield name, compression.to_bytes(fitted, replace(config.compression, bits=bits))


def stored(bits: str) -> str:
    """The name of a precision."""
    return f"{bits}-bit grid" if bits.isdecimal() else bits


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Decode the archive in a subprocess, train its classifier again, test it."""
    assert row.file is not None
    assert row.seed is not None
    number = [stored(bits) for bits in config.bits].index(row.stored)
    return decoded_sets.percent_learned(
        row.file,
        config.per_class,
        row.seed,
        config.classifier,
        data.images("mnist", "test"),
        number,
    )


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Accuracy against bytes of the file."""
    figure, (axis,) = plots.subplots(width=5.4)
    for name, mine in grouped(records["paper"].rows, lambda row: row.stored).items():
        size = np.mean([row.bytes for row in mine])
        accuracy = mean_over_seeds(mine, "accuracy_percent")
        colour = plots.BASELINE if name == "subset" else plots.OURS
        axis.errorbar(size, accuracy.mean, accuracy.std, fmt="o", color=colour, capsize=3)
        axis.annotate(name, (size, accuracy.mean), xytext=(5, -10), textcoords="offset points")
    published = (PUBLISHED_BYTES, PUBLISHED_PERCENT)
    axis.plot(*published, "*", color=plots.PUBLISHED, ms=10)
    axis.annotate(
        "published", published, xytext=(-24, 8), textcoords="offset points", color=plots.PUBLISHED
    )
    axis.set(xscale="log", xlabel="bytes on disk", ylabel="test accuracy, %")
    axis.set_title("MNIST, vanilla autoencoder and mixtures, one file each", loc="left")
    return {"accuracy_against_bytes": figure}


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "paper": Config(),
        "smoke": Config(
            compression=Compression(hidden=32, latent=8, epochs=2, max_components=2),
            classifier=ClassifierConfig(steps=200),
            bits=("float32", "8"),
            seeds=(0, 1),
            per_class=100,
            train_images=2_000,
        ),
    },
    published=[Row("as published", None, PUBLISHED_BYTES, PUBLISHED_PERCENT)],
    data="mnist",
)
