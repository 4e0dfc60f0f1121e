"""MNIST's test images, losslessly, by bits-back coding with a variational autoencoder.

BB-ANS (Townsend et al. 2019) published 1.41 bits per dimension for raw 8-bit MNIST, and 1.42 for
bz2. Here the model is counted as well. Training takes a quarter of an hour for each model on one
core and can be done apart, seed by seed:

    python -m fewbits.codecs.latent_images.image_vae runs/image_vae
    python -m experiments bits_back_mnist paper --models runs/image_vae
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.common import plain_files
from experiments.runner import subprocesses
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table
from fewbits.codecs.latent_images import image_file, image_vae, integer_vae
from fewbits.coding import container
from fewbits.io import datasets

CLAIM = "coding.bits_back.mnist.bits_per_dim"


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    vae: image_vae.Config = image_vae.Config()
    data: str = "mnist"
    models: str | None = None
    """Folder written by `fewbits.codecs.latent_images.image_vae`; made here if not given."""
    seeds: tuple[int, ...] = (0, 1, 2)
    kernel_bits: int = 7
    n_lanes: int = 50
    """Images side by side; each lane has to borrow for its first image."""
    test_images: int = 10_000


PRESETS = {
    "smoke": (
        "enlarged digits, a tiny model",
        Config(
            vae=image_vae.Config(n_latents=8, n_shades=6, wide=8, medium=8, narrow=4, epochs=4),
            data="digits",
            seeds=(0,),
            n_lanes=4,
            test_images=200,
        ),
    ),
    "paper": ("all 10,000 test images, three models", Config()),
}


def run(config: Config, run: Run) -> None:
    """Train or load models, write files, decode each in a fresh process, compare."""
    began = time.perf_counter()
    train = _images(config.data, "train", run.data_dir)
    test = _images(config.data, "test", run.data_dir)
    pixels, labels = test.pixels[: config.test_images], test.labels[: config.test_images]
    folder = Path(config.models or run.folder / "models")
    models = image_vae.train_seeds(
        config.vae, config.seeds, train.pixels, test.pixels, folder, print
    )
    trained = time.perf_counter()
    rows = []
    for seed, trained_model in zip(config.seeds, models, strict=True):
        model = integer_vae.quantise(trained_model.params, config.kernel_bits)
        encoding = time.perf_counter()
        data = image_file.write(model, pixels, labels, config.n_lanes)
        seconds = time.perf_counter() - encoding
        path = run.artifacts / f"bits_back_{config.data}_seed{seed}.fwb"
        container.save(path, data)
        _check(path, pixels, labels)
        sizes = image_file.sizes(data)
        rows.append(
            {
                "seed": seed,
                "images_bytes": sizes.images,
                "model_bytes": sizes.model,
                "file_bytes": path.stat().st_size,
                "bits_per_dimension": 8 * sizes.images / pixels.size,
                "bits_per_dimension_with_model": 8 * sizes.total / pixels.size,
                "negative_elbo_bits_per_dimension": trained_model.test_bits_per_dimension,
                "encode_seconds": seconds,
            }
        )
        bits = 8 * sizes.images / pixels.size
        print(f"seed {seed}: {bits:.4f} bits per dimension, model {sizes.model:,} bytes")
        if seed != config.seeds[0]:
            path.rename(run.folder / path.name)
    baselines = _baselines(run.folder / "baselines", pixels)
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, time.perf_counter() - trained),
        metrics={
            "models": rows,
            "baseline_bytes": baselines,
            "pixels": int(pixels.size),
            "training_seconds": [one.seconds for one in models],
            "training_device": models[0].device,
        },
        data=datasets.SOURCES[config.data].note,
        notes=f"training or loading took {trained - began:.0f} s and is not in seconds; the bytes "
        "of the images contain their labels, which are the payload that comes back",
    )
    if config.data == "mnist" and len(pixels) == 10_000:
        _claim(run, rows, record, pixels.size)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Ours beside general-purpose compressors and the published number."""
    if "paper" not in records:
        return []
    metrics = records["paper"]["metrics"]
    pixels, models = metrics["pixels"], metrics["models"]

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in models]))

    rows: list[tuple[Any, ...]] = [
        ("BB-ANS, as published (model not counted)", "", "1.41"),
        *(
            (name, f"{size:,}", f"{8 * size / pixels:.3f}")
            for name, size in metrics["baseline_bytes"].items()
        ),
        (
            "bits back, images",
            f"{mean('images_bytes'):,.0f}",
            f"{mean('bits_per_dimension'):.3f}",
        ),
        (
            "bits back, whole file with its model",
            f"{mean('file_bytes'):,.0f}",
            f"{mean('bits_per_dimension_with_model'):.3f}",
        ),
        ("negative ELBO of the float model", "", f"{mean('negative_elbo_bits_per_dimension'):.3f}"),
    ]
    return [
        Table(
            "MNIST test images, lossless",
            ("coded by", "bytes", "bits per dimension"),
            rows,
            f"Mean of {len(models)} models; the images' bytes hold their labels as well. Every "
            "file was decoded in a fresh process to the same pixels and labels.",
        )
    ]


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Decode the file in a fresh process, compare with the data set, count again."""
    test = _images(record["config"]["data"], "test", data_dir)
    _check(artifact, test.pixels, test.labels)
    sizes = image_file.sizes(artifact.read_bytes())
    return 8 * sizes.images / test.pixels.size


def _check(path: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    """A fresh process decodes the file to these images and labels.

    Raises:
      ValueError: to others.
    """
    with tempfile.TemporaryDirectory() as folder:
        decoded = Path(folder) / "decoded.npz"
        subprocesses.python("fewbits.codecs.latent_images.image_file", ["decode", path, decoded])
        with np.load(decoded) as back:
            same = np.array_equal(back["pixels"], pixels) and np.array_equal(back["labels"], labels)
    if not same:
        raise ValueError(f"{path.name} does not decode to the images it was made from")


def _claim(run: Run, rows: list[dict[str, Any]], record: Path, n_pixels: int) -> None:
    values = [row["bits_per_dimension"] for row in rows]
    claim = Claim(
        id=CLAIM,
        value=values[0],
        std=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        seeds=len(values),
        unit="bits per dimension",
        record=f"{run.experiment}/{record.name}",
        command=run.command,
        tolerance=1e-9,
        bytes=rows[0]["file_bytes"],
        artifact=f"bits_back_mnist_seed{rows[0]['seed']}.fwb",
    )
    write_claims(run, [claim])


def _images(name: str, split: str, data_dir: str | None) -> datasets.Images:
    """A data set of 28 x 28 grey images; digits are enlarged threefold and framed in black."""
    images = datasets.load(name, split, data_dir=data_dir)
    if name != "digits":
        return images
    enlarged = images.pixels.repeat(3, axis=1).repeat(3, axis=2)
    framed = np.pad(enlarged, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return images._replace(pixels=framed)


def _baselines(folder: Path, pixels: np.ndarray) -> dict[str, int]:
    """Bytes of what everybody has, each decoded in a fresh process."""
    content = pixels.tobytes()
    files = [(folder / f"images{suffix}", content) for suffix in plain_files.CODECS]
    sizes = {
        plain_files.CODECS[path.suffix].name: plain_files.save(path, content) for path, _ in files
    }
    each, whole = folder / "each", folder / "images.png"
    each.mkdir(exist_ok=True)
    parts = [each / f"{number:05d}.png" for number in range(len(pixels))]
    for path, image in zip(parts, pixels, strict=True):
        _save_png(path, image)
    sizes["PNG, one file each"] = sum(path.stat().st_size for path in parts)
    _save_png(whole, pixels.reshape(-1, pixels.shape[2]))
    sizes["PNG, one file for all"] = whole.stat().st_size
    plain_files.check([*files, (each, content), (whole, content)])
    return sizes


def _save_png(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.reshape(pixels.shape[:2])).save(path, "PNG", optimize=True)
