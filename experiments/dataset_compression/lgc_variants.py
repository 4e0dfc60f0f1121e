"""The report's table: every autoencoder at the bytes that were claimed and at its file's own.

Each variant as the report describes it, on the official 60,000 training images: 30 epochs,
full-covariance mixtures per class with K by BIC, 60,000 decoded images for the report's classifier
(15 epochs, where the report had 50), the official test set. `float64` is the report's own
accounting of the model, K (1 + d + 2 d^2) numbers of 8 bytes and 4 bytes for each of the decoder's;
the other bytes are those of the file that a fresh process decoded. The preset `reported` has the
report's number of images, its epochs and PyTorch's initialisation. A run that was cut off goes on.

    python -m experiments lgc_variants paper
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets, downstream
from experiments.common.downstream import StudentConfig
from experiments.dataset_compression import lgc_variants_figures, lgc_variants_tables
from experiments.runner.records import Claim, Run, Seconds, kept, write_claims, write_record
from experiments.runner.registry import Table, aligned
from experiments.runner.statistics import mean_with, over_seeds
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.progress import Bar
from fewbits.training import trees
from lgc import Config as Compression
from lgc import archive, compression
from lgc.autoencoders import variants
from lgc.gmm import selection

USUAL_STEPS = 14_070
"""Of the classifier: 15 epochs of 60,000 images."""
SHOWN_LATENTS = 400
"""Of each variant's first seed, for the picture of its latent space."""


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    names: tuple[variants.Name, ...] = variants.NAMES
    compression: Compression = Compression()
    student: StudentConfig = StudentConfig(steps=USUAL_STEPS)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    per_class: int = 6_000
    """Decoded images of each class."""
    train_images: int = 60_000
    variational_components: int = 3
    """Components tried for the variational ones, whose BIC rises from the first on."""

    @property
    def suffix(self) -> str:
        """Of names of files and claims, where something is not as usual."""
        mine, usual, student = self.compression, Compression(), self.student
        epochs = student.steps * student.batch_size // (10 * self.per_class)
        unusual = (
            (mine.bits != usual.bits, f"_{mine.bits}bit"),
            (student.steps != USUAL_STEPS, f"_{epochs}epochs"),
            (mine.initialisation != usual.initialisation, f"_{mine.initialisation}"),
        )
        return "".join(text for said, text in unusual if said)


FREE_FIELDS = ("seeds", "names")
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "paper": ("six variants, five seeds, official 60k/10k", Config()),
    "convolutional": (
        "the convolutional VAE, one seed",
        Config(names=("convolutional_vae",), seeds=(0,)),
    ),
    "finer": (
        "the contrastive autoencoder at 12 bits a parameter, two seeds",
        Config(names=("contrastive_ae",), compression=Compression(bits=12), seeds=(0, 1)),
    ),
    "reported": (
        "five variants trained and begun as the report's were, 12 bits a parameter, one seed",
        Config(
            names=("ae", "contrastive_ae", "vae", "conditional_vae", "contrastive_vae"),
            compression=Compression(bits=12, initialisation="pytorch"),
            student=StudentConfig(),
            seeds=(0,),
            train_images=50_000,
        ),
    ),
    "longer": (
        "the variational ones with the report's 50,000 images and 50 epochs, one seed",
        Config(
            names=("vae", "conditional_vae", "contrastive_vae"),
            student=StudentConfig(),
            seeds=(0,),
            train_images=50_000,
        ),
    ),
    "smoke": (
        "two variants, one seed, 3,000 images, short training",
        Config(
            names=("contrastive_ae", "conditional_vae"),
            compression=Compression(epochs=2, max_components=2, hidden=64, latent=16),
            student=StudentConfig(steps=300),
            seeds=(0,),
            per_class=100,
            train_images=3_000,
            variational_components=1,
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Train, write, decode in a fresh process and judge every variant and seed."""
    train = datasets.load("mnist", "train", data_dir=run.data_dir)
    test = datasets.load("mnist", "test", data_dir=run.data_dir)
    train = train.first(config.train_images)
    rows = []
    for seed in config.seeds:
        for name in config.names:
            path = run.folder / "rows" / f"{name}_{seed}.json"
            rows.append(kept(path, partial(_measure, config, run, name, seed, train, test)))
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(
            sum(row["compress_seconds"] for row in rows),
            sum(row["student_seconds"] for row in rows),
        ),
        metrics={"rows": rows},
        data=datasets.SOURCES["mnist"].note,
        notes="seconds.compile is all up to the decoded files, seconds.run training the students; "
        "both with their compilation",
    )
    if run.preset != "smoke":
        write_claims(run, [_claim(config, run, rows, name, record) for name in config.names])
    print(aligned([lgc_variants_tables.COLUMNS, *lgc_variants_tables.summaries(rows)]))


def _measure(
    config: Config,
    run: Run,
    name: variants.Name,
    seed: int,
    train: datasets.Images,
    test: datasets.Images,
) -> dict[str, Any]:
    began = time.perf_counter()
    variational = name not in ("ae", "contrastive_ae")
    tried = config.variational_components if variational else config.compression.max_components
    settings = replace(config.compression, variant=name, max_components=tried)
    key_train, key_fit = jax.random.split(jax.random.key(seed))
    with Bar(f"{name}, seed {seed}") as bar:
        latents = compression.encode(train.pixels, train.labels, settings, key_train, progress=bar)
        candidates = selection.fit_candidates(
            latents.values, train.labels, settings, key_fit, progress=bar
        )
    mixtures = [selection.select(each, settings) for each in candidates]
    data = archive.write(
        latents.decoder,
        mixtures,
        image_shape=train.pixels.shape[1:],
        labels=range(len(train.label_names)),
        counts=np.bincount(train.labels, minlength=len(train.label_names)).tolist(),
        covariance=settings.covariance,
        bits=settings.bits,
    )
    path = _path(config, run, name, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    container.save(path, data)
    images, labels = decoded_sets.from_archive(path, config.per_class, seed)
    compressed = time.perf_counter()
    outcome = downstream.train(
        config.student, [(images, labels)], test, seeds=(seed,), runs_per_chunk=1
    )
    components = sum(len(mixture.weights) for mixture in mixtures)
    row = {
        "variant": name,
        "seed": seed,
        "bytes": len(data),
        "components": [len(mixture.weights) for mixture in mixtures],
        "report_bytes": _report_bytes(components, name, settings, latents),
        "accuracy_percent": 100 * float(outcome.accuracy[0, 0]),
        "finite": bool(outcome.finite[0, 0]),
        "compress_seconds": compressed - began,
        "student_seconds": time.perf_counter() - compressed,
    }
    if seed == config.seeds[0]:
        row["pictures"] = lgc_variants_figures.pictures(
            latents.values[:SHOWN_LATENTS],
            train.labels[:SHOWN_LATENTS],
            candidates,
            images,
            labels,
            np.asarray(outcome.predictions)[0, 0],
            test.labels,
        )
    return row


def _report_bytes(
    components: int, name: variants.Name, settings: Compression, latents: compression.Latents
) -> int:
    """What the report's pickle would take: all latent dimensions, covariances stored twice."""
    dimensions = settings.latent + (10 if name == "conditional_vae" else 0)
    dead = dimensions - latents.values.shape[1]
    decoder = trees.size(latents.decoder) + dead * settings.hidden
    return components * (1 + dimensions + 2 * dimensions**2) * 8 + 4 * decoder


def _path(config: Config, run: Run, name: str, seed: int) -> Path:
    kept = run.preset != "smoke" and seed == config.seeds[0]
    return (
        run.artifacts if kept else run.folder / "archives"
    ) / f"lgc_{name}{config.suffix}_{seed}.lgc"


def _claim(config: Config, run: Run, rows: list[dict[str, Any]], name: str, record: Path) -> Claim:
    mine = [row for row in rows if row["variant"] == name]
    accuracy = over_seeds(row["accuracy_percent"] for row in mine)
    return Claim(
        id=f"lgc.variants.{name}{config.suffix}.accuracy",
        value=accuracy.mean,
        std=accuracy.std,
        seeds=accuracy.count,
        unit="%",
        tolerance=0.5,
        bytes=mine[0]["bytes"],
        artifact=_path(config, run, name, config.seeds[0]).name,
        record=f"lgc_variants/{record.name}",
        command=run.command,
    )


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """The first seed's student again, averaged with the other seeds' as recorded; percent."""
    test = datasets.load("mnist", "test", data_dir=data_dir)
    config = record["config"]
    stem = claim.id.split(".")[2]
    name = next(each for each in variants.NAMES if stem.startswith(each))
    first = record["seeds"][0]
    decoded = decoded_sets.from_archive(artifact, config["per_class"], seed=first)
    student = StudentConfig(**config["student"])
    found = downstream.accuracy_percent(student, decoded, test, first)
    rows = [row for row in record["metrics"]["rows"] if row["variant"] == name]
    return mean_with(found, rows, "accuracy_percent", first)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """The report's table with true bytes beside it."""
    return lgc_variants_tables.tables(records)


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Accuracy against bytes with its Pareto front, BIC curves, latents, samples, confusions."""
    if "paper" not in records:
        return {}
    return lgc_variants_figures.draw(records["paper"]["metrics"]["rows"])
