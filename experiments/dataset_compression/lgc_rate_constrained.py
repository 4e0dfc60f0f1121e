"""Decoder, mixtures and their bits trained together: bytes and accuracy over lambda.

A decoder and a mixture for each class are trained jointly on their likelihood, on lambda times
their bits and on what a classifier learns from their samples (`lgc.autoencoders.rate_constrained`).
lambda is swept with and without that last term, the utility; beside them stands a subset of the
largest file's bytes, quantised and augmented as `lgc_rate_curve` finds best for MNIST at 12,000
bytes. Files are decoded in subprocesses.

Cost: cpu: hours on 2 cores; smoke (digits): 1 min.
Data: mnist.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets
from experiments.runner import experiment as ex
from experiments.runner import plots
from fewbits.coding import container
from fewbits.training import downstream
from fewbits.training.downstream import ClassifierConfig
from lgc.autoencoders import rate_constrained_compression
from lgc.autoencoders.rate_constrained import Hyperparameters
from lgc.coresets.downsampling import Downsampling
from lgc.distillation import distilled_file
from lgc.distillation.augmentation import Augmentation
from lgc.distillation.distilled_file import OperatingPoint


@dataclass(frozen=True)
class Config:
    data: str = "mnist"
    archive: rate_constrained_compression.Config = rate_constrained_compression.Config(steps=4_000)
    bits_weights: tuple[float, ...] = (0.0, 1e-6, 1e-5)
    """lambda, nats per pixel and bit of the file."""
    utility_weights: tuple[float, ...] = (0.0, 0.1)
    kl_weight: float = 0.5
    learning_rate: float = 2e-3
    classifiers: dict[str, ClassifierConfig] = field(
        default_factory=lambda: {
            "report_cnn": ClassifierConfig(steps=8_000, falling=True),
            "convnet": ClassifierConfig("convnet", 4_000, 64, 2e-3, 32, True),
        }
    )
    seeds: tuple[int, ...] = (0,)
    downsampling: Downsampling = Downsampling(factor=1, bits=2)
    augmentation: Augmentation = Augmentation(
        rotation=12, shear=10, scale=12, translation=6, elastic=20
    )
    """Both of the subset."""
    per_class: int = 6_000
    runs_per_chunk: int = 1
    """Files trained side by side."""


class Row(NamedTuple):
    """Decoder, class mixtures and their bits trained together: test accuracy.

    Hard labels, official test set; nothing was chosen on it. CNN: that of "Latent Gaussian
    Compression". Subset: random images, as many as fit the bytes of the largest file.
    """

    file_of: Annotated[str, ex.Key, ex.Column("file of")]
    utility_weight: Annotated[float | None, ex.Key]
    bits_weight: Annotated[float | None, ex.Key, ex.Column("lambda")]
    seed: int
    bytes: Annotated[int, ex.Over(np.mean), ex.Column("bytes", ",.0f")]
    report_cnn_percent: Annotated[
        float | None, ex.MeanOverSeeds("%"), ex.Column("CNN, %"),
        ex.Claim("lgc.rate_constrained.{file_of}.report_cnn", 0.5,
                 when=lambda row: not row.utility_weight and not row.bits_weight),
    ]  # fmt: skip
    convnet_percent: Annotated[float | None, ex.MeanOverSeeds("%"), ex.Column("ConvNet, %")]
    file: Annotated[Path, ex.Artifact(publish=lambda row: row.file_of == "subset")]


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> list[Row]:
    """All files of a seed, each decoded and classified; then the subset."""
    ((seed,),) = trials
    train = data.images(config.data, "train")
    rows = []
    for utility in config.utility_weights:
        trained = _trained(config, data, utility, seed)
        for bits, content in zip(config.bits_weights, trained, strict=True):
            path = data.path(f"utility_{utility:g}_bits_{bits:g}_{seed}.lgc")
            container.save(path, content)
            rows.append(_row(config, data, path, ("joint", utility, bits, seed)))
    point = OperatingPoint(config.downsampling, 0, config.augmentation, 0.0)
    path = data.path(f"lgc_rate_constrained_subset_{seed}.lgc")
    content = distilled_file.write(
        train.pixels, train.labels, max(row.bytes for row in rows), point, jax.random.key(seed)
    )
    container.save(path, content)
    return [*rows, _row(config, data, path, ("subset", None, None, seed))]


def _row(
    config: Config, data: ex.Data, path: Path, key: tuple[str, float | None, float | None, int]
) -> Row:
    """A file's row; its accuracies are cached."""

    def accuracies() -> dict[str, float]:
        decoded = decoded_sets.from_archive(path, config.per_class, key[-1])
        test = data.images(config.data, "test")
        return {
            name: downstream.accuracy_percent(settings, decoded, test, key[-1])
            for name, settings in config.classifiers.items()
        }

    found = data.cached(path.stem, accuracies)
    return Row(*key, path.stat().st_size, found.get("report_cnn"), found.get("convnet"), path)


def _trained(config: Config, data: ex.Data, utility: float, seed: int) -> list[bytes]:
    """The files of all lambdas, trained in one program and cached."""
    train = data.images(config.data, "train")
    chosen = Hyperparameters(
        config.learning_rate, kl_weight=config.kl_weight, utility_weight=utility
    )

    def write(path: Path) -> None:
        contents = rate_constrained_compression.compress_each(
            train.pixels, train.labels, config.bits_weights,
            config=replace(config.archive, hyperparameters=chosen),
            seed=seed, runs_per_chunk=config.runs_per_chunk,
        )  # fmt: skip
        np.savez(path, *[np.frombuffer(content, np.uint8) for content in contents])

    with np.load(data.cached_file(f"utility_{utility:g}_{seed}.npz", write)) as found:
        return [found[name].tobytes() for name in found.files]


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """The CNN's accuracy on the subset again; the other files are not published."""
    settings, test = config.classifiers["report_cnn"], data.images(config.data, "test")
    return decoded_sets.percent_learned(row.file, config.per_class, row.seed, settings, test)


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Accuracy against bytes, a curve for each weight of the utility."""
    figure, (axis,) = plots.subplots()
    record = records.get("gpu") or records["cpu"]
    for utility in (*record.config.utility_weights, None):
        mine = [row for row in record.rows if row.utility_weight == utility]
        colour = "black" if utility is None else plots.OURS if utility else plots.BASELINE
        what = "subset" if utility is None else f"utility {utility:g}"
        for name, title, style in (("convnet", "ConvNet", "o-"), ("report_cnn", "CNN", "P--")):
            if name in record.config.classifiers:
                points = sorted((row.bytes, getattr(row, f"{name}_percent")) for row in mine)
                axis.plot(*zip(*points, strict=True), style, color=colour, label=f"{title}, {what}")
    axis.set(xlabel="bytes on disk", ylabel="test accuracy, %")
    axis.legend(fontsize="small")
    return {"accuracy_against_bytes": figure}


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "cpu": Config(),
        "gpu": Config(
            archive=rate_constrained_compression.Config(steps=20_000, features_width=32),
            bits_weights=(0.0, 1e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4),
            seeds=(0, 1, 2, 3, 4),
            runs_per_chunk=7,
        ),
        "smoke": Config(
            data="digits",
            archive=rate_constrained_compression.Config(
                steps=60, batch_size=50, latent=4, components=2, widths=(8, 8, 4), features_width=4
            ),
            bits_weights=(0.0, 1e-3),
            utility_weights=(0.0,),
            classifiers={"report_cnn": ClassifierConfig(steps=200)},
            per_class=50,
            runs_per_chunk=2,
        ),
    },
    free=("seeds", "runs_per_chunk"),
)
