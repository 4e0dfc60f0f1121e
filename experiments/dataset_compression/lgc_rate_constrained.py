"""Decoder, mixtures and their bits trained together: bytes and accuracy over lambda.

A decoder and a mixture for each class are trained jointly on their likelihood, on lambda times
their bits and on what a classifier learns from their samples (`lgc.autoencoders.rate_constrained`).
lambda is swept with and without that last term, the utility; beside them stands a subset of the
largest file's bytes, quantised and augmented as `lgc_rate_curve` finds best for MNIST at 12,000
bytes. Files are decoded in subprocesses.

Cost: cpu: hours on 2 cores; smoke (digits): 1 min.
Data: mnist.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import numpy as np

from experiments.common import decoded_sets
from experiments.common.decoded_sets import CONVNET, REPORT_CNN
from experiments.runner import experiment as ex
from fewbits.coding import container
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc.autoencoders import rate_constrained_compression
from lgc.autoencoders.rate_constrained import Hyperparameters
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file
from lgc.distillation.augmentation import Augmentation
from lgc.distillation.distilled_file import OperatingPoint

_LEARNING_RATE, _KL_WEIGHT = 2e-3, 0.5
_AUGMENTATION = Augmentation(rotation=12, shear=10, scale=12, translation=6, elastic=20)
_SUBSET = OperatingPoint(Downsampling(factor=1, bits=2), 0, _AUGMENTATION, 0.0)


@dataclass(frozen=True)
class Config:
    data: str = "mnist"
    archive: rate_constrained_compression.Config = rate_constrained_compression.Config(steps=4_000)
    bits_weights: tuple[float, ...] = (0.0, 1e-6, 1e-5)
    """lambda, nats per pixel and bit of the file."""
    utility_weights: tuple[float, ...] = (0.0, 0.1)
    classifiers: dict[str, ClassifierConfig] = field(
        default_factory=lambda: {"report_cnn": REPORT_CNN, "convnet": CONVNET}
    )
    seeds: tuple[int, ...] = (0,)
    per_class: int = 6_000


Trial = tuple[int, float | None]
"""Seed, and a weight of the utility; None for the subset of the largest file's bytes."""


class Row(NamedTuple):
    """Decoder, class mixtures and their bits trained together: test accuracy.

    Hard labels, official test set; nothing was chosen on it. CNN: that of "Latent Gaussian
    Compression". Subset: random images, as many as fit the bytes of the largest file.
    """

    file_of: Annotated[str, ex.Key, ex.Column("file of")]
    utility_weight: Annotated[float | None, ex.Key]
    bits_weight: Annotated[float | None, ex.Key, ex.Axis("lambda")]
    seed: int
    bytes: Annotated[int, ex.Over(np.mean), ex.Column("bytes", ",.0f"),
                     ex.Axis("bytes on disk", x=True)]  # fmt: skip
    report_cnn_percent: Annotated[
        float | None, ex.MeanOverSeeds("%"), ex.Column("CNN, %"), ex.Axis("test accuracy, %"),
        ex.Claim("lgc.rate_constrained.{file_of}.report_cnn", 0.5,
                 when=lambda row: not row.utility_weight and not row.bits_weight),
    ]  # fmt: skip
    convnet_percent: Annotated[
        float | None, ex.MeanOverSeeds("%"), ex.Column("ConvNet, %"), ex.Axis("test accuracy, %")
    ]
    file: Annotated[Path, ex.Artifact(publish=lambda row: row.file_of == "subset")]


def grid(config: Config) -> Iterator[Trial]:
    """The files of one weight of the utility, trained in one program; the subset last."""
    return product(config.seeds, (*config.utility_weights, None))


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    """Files, each decoded and classified."""
    ((seed, utility),) = trials
    if utility is not None:
        written = zip(config.bits_weights, _trained(config, data, seed, utility), strict=True)
        return [_row(config, data, ("joint", utility, bits, seed), path) for bits, path in written]
    train = data.images(config.data, "train")
    files = [path for each in config.utility_weights for path in _trained(config, data, seed, each)]
    path = data.path(f"lgc_rate_constrained_subset_{seed}.lgc")
    content = distilled_file.write(
        train.pixels, train.labels, max(file.stat().st_size for file in files), _SUBSET,
        jax.random.key(seed),
    )  # fmt: skip
    container.save(path, content)
    return [_row(config, data, ("subset", None, None, seed), path)]


def _row(
    config: Config, data: ex.Data, key: tuple[str, float | None, float | None, int], path: Path
) -> Row:
    decoded = decoded_sets.from_archive(path, config.per_class, key[-1])
    test = data.images(config.data, "test")
    found = {
        name: downstream.accuracy_percent(settings, decoded, test, key[-1])
        for name, settings in config.classifiers.items()
    }
    return Row(*key, path.stat().st_size, found.get("report_cnn"), found.get("convnet"), path)


def _trained(config: Config, data: ex.Data, seed: int, utility: float) -> list[Path]:
    """The files of all lambdas."""
    train = data.images(config.data, "train")
    chosen = Hyperparameters(_LEARNING_RATE, kl_weight=_KL_WEIGHT, utility_weight=utility)

    def made() -> list[np.ndarray]:
        contents = rate_constrained_compression.compress_each(
            train.pixels, train.labels, config.bits_weights,
            config=replace(config.archive, hyperparameters=chosen), seed=seed, runs_per_chunk=1,
        )  # fmt: skip
        return [np.frombuffer(content, np.uint8) for content in contents]

    paths = [data.path(f"utility_{utility:g}_bits_{b:g}_{seed}.lgc") for b in config.bits_weights]
    contents = data.cached_tree(f"utility_{utility:g}_{seed}", made)
    for path, content in zip(paths, contents.values(), strict=True):
        container.save(path, content.tobytes())
    return paths


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """The CNN's accuracy on the subset again; the other files are not published."""
    settings, test = config.classifiers["report_cnn"], data.images(config.data, "test")
    return decoded_sets.percent_learned(row.file, config.per_class, row.seed, settings, test)


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "cpu": Config(),
        "smoke": Config(
            data="digits",
            archive=rate_constrained_compression.Config(
                steps=60, batch_size=50, latent=4, components=2, widths=(8, 8, 4), features_width=4
            ),
            bits_weights=(0.0, 1e-3),
            utility_weights=(0.0,),
            classifiers={"report_cnn": ClassifierConfig(steps=200)},
            per_class=50,
        ),
    },
)
